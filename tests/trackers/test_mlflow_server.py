"""MLflow with a real server, which then hangs, comes back, and is killed.

One test, so that one server is started however many processes share the tests.
"""

import json
import shutil
import signal

import pytest

from tests.support.runs import only_run, run_small
from tests.support.trackers import Server, call_at, curve, mlflow_history, mlflow_run, set_patience

pytest.importorskip("mlflow", reason="MLflow is not installed")
pytest.importorskip("flask", reason="mlflow-skinny serves only with Flask beside it")


@pytest.fixture
def server(empty_store, tmp_path):
    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copy(empty_store, folder)
    server = Server(folder)
    yield server
    server.kill()


def test_a_server_that_works_then_hangs_then_is_killed(
    monkeypatch, tmp_path, server, untracked, capsys
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")

    def run(*arguments):
        """Run to the end with the curve of an untracked run; return the number of warnings."""
        tracker = ("tracker=mlflow", f"tracker.uri={server.uri}")
        assert run_small(monkeypatch, tmp_path, *tracker, *arguments) == 0
        assert (only_run(tmp_path) / "curve.csv").read_bytes() == untracked
        return capsys.readouterr().err.count("warning: tracker=mlflow, ")

    def assert_all_there():
        assert mlflow_run(server.uri).info.status == "FINISHED"
        assert mlflow_history(server.uri, "accuracy") == curve(tmp_path, "accuracy")

    for _ in range(2):
        assert run() == 0
        assert_all_there()
    assert mlflow_run(server.uri).data.params["strategy.name"] == "margin"
    assert list((tmp_path / "server" / "artifacts").glob("*/*/artifacts/curve.png"))

    with monkeypatch.context() as patch:

        def stop():
            server.signal(signal.SIGSTOP)
            set_patience(patch, 0.5)

        call_at(patch, 1, stop)
        assert run("force=true") == 1
    server.signal(signal.SIGCONT)
    assert run() == 0  # sends what is missing; calls that hung may arrive meanwhile
    assert_all_there()

    call_at(monkeypatch, 1, server.kill)
    assert run("force=true") == 1
    assert json.loads((only_run(tmp_path) / "status.json").read_text())["state"] == "completed"
    assert (only_run(tmp_path) / "run.log").read_text().count("WARNING") == 1
