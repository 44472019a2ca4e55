"""MLflow with its default store, a SQLite file, and with stores that are down."""

import json
import multiprocessing
import shutil
import sys

import pytest

from tests.support import tracked_together, trackers
from tests.support.runs import only_run, run_command, run_small
from tests.support.trackers import call_at, curve, mlflow_history, mlflow_run, set_patience

pytest.importorskip("mlflow", reason="MLflow is not installed")
SMALL_STUDY = ("task=updating", "task.initial_sizes=[10,20]", "task.new_sizes=[2]")


def interrupt():
    raise KeyboardInterrupt


def fail():
    raise RuntimeError("no luck")


def curve_bytes(folder):
    return (only_run(folder) / "curve.csv").read_bytes()


def assert_all_there(folder, uri):
    assert mlflow_run(uri).info.status == "FINISHED"
    assert mlflow_history(uri, "accuracy") == curve(folder, "accuracy")


def test_settings_cycles_and_files_of_a_run(monkeypatch, tmp_path, store_uri, untracked):
    assert run_small(monkeypatch, tmp_path, "tracker=mlflow", "update.compare=true") == 0
    assert_all_there(tmp_path, store_uri)
    run, directory = mlflow_run(store_uri), only_run(tmp_path)
    assert {"seed": "0", "strategy.name": "margin", "update.gamma": "10.0"}.items() <= (
        run.data.params.items()
    )
    assert "tracker.name" not in run.data.params
    status = json.loads((directory / "status.json").read_text())
    assert run.data.tags["alupdate.run"] == directory.name
    assert run.data.tags["alupdate.hash"] == directory.name[-8:]
    assert run.data.tags["alupdate.git_revision"] == (status["git_revision"] or "unknown")
    assert mlflow_history(store_uri, "cycle") == [(10, 0), (13, 1), (16, 2)]
    names = {"nll", "brier", "ece", "ace", "seconds/retrain", "seconds/select"}
    assert names | {"comparison/agreement"} <= set(run.data.metrics)
    (artifacts,) = (tmp_path / "results" / "mlflow-artifacts").glob("default/*/artifacts")
    kept = {path.name for path in artifacts.iterdir()}
    assert {"config.yaml", "status.json", "run.log", "curve.csv", "curve.png"} <= kept
    assert json.loads((artifacts / "status.json").read_text())["state"] == "completed"


def test_repeated_and_redone_runs_are_one_run(monkeypatch, tmp_path, store_uri, untracked):
    assert run_small(monkeypatch, tmp_path) == 0
    assert run_small(monkeypatch, tmp_path, "tracker=mlflow") == 0
    assert_all_there(tmp_path, store_uri)
    first = mlflow_run(store_uri).info
    assert run_small(monkeypatch, tmp_path, "tracker=mlflow") == 0
    assert mlflow_run(store_uri).info == first
    assert run_small(monkeypatch, tmp_path, "tracker=mlflow", "force=true") == 0
    assert_all_there(tmp_path, store_uri)
    assert mlflow_run(store_uri).info.run_id != first.run_id
    assert curve_bytes(tmp_path) == untracked


def test_a_resumed_run_goes_on_in_the_same_run(monkeypatch, tmp_path, store_uri):
    for trouble, code, status in ((interrupt, 130, "KILLED"), (fail, 1, "FAILED")):
        with monkeypatch.context() as patch:
            call_at(patch, 1, trouble)
            assert run_small(patch, tmp_path, "tracker=mlflow") == code
        assert mlflow_run(store_uri).info.status == status
    assert len(mlflow_history(store_uri, "accuracy")) == 2
    (only_run(tmp_path) / "state.json").unlink()  # all cycles are done again, in other seconds
    assert run_small(monkeypatch, tmp_path, "tracker=mlflow") == 0
    assert_all_there(tmp_path, store_uri)


def test_steps_that_are_sent_again_are_not_there_twice(monkeypatch, tmp_path, store_uri):
    """As after an answer that got lost: this process does not know that the steps arrived."""
    from alupdate.trackers.mlflow import MlflowRun

    original = MlflowRun.send

    def forgetful(self, points):
        self._steps.clear()
        original(self, points)

    monkeypatch.setattr(MlflowRun, "send", forgetful)
    assert run_small(monkeypatch, tmp_path, "tracker=mlflow") == 0
    assert_all_there(tmp_path, store_uri)


def test_updates_are_kept_by_number_of_initial_labels(monkeypatch, tmp_path, store_uri):
    few = "update.n_hypotheses=100"
    assert run_small(monkeypatch, tmp_path, *SMALL_STUDY, few, "tracker=mlflow") == 0
    assert [step for step, _ in mlflow_history(store_uri, "accuracy/retrain/new_2")] == [10, 20]
    name = "agreement/second_order-gaussian-p1-g10/new_2"
    assert [step for step, _ in mlflow_history(store_uri, name)] == [10, 20]


DOWN = ("closed_port", "silent_server", "locked_file", "read_only_file", "no_database", "full_disk")


@pytest.mark.parametrize("kind", DOWN)
def test_a_tracker_that_is_down(kind, monkeypatch, tmp_path, empty_store, untracked, capsys):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    set_patience(monkeypatch, 0.5)
    shutil.copy(empty_store, tmp_path)
    with getattr(trackers, kind)(tmp_path) as uri:
        arguments = ("tracker=mlflow", f"tracker.uri='{uri}'")
        assert run_small(monkeypatch, tmp_path, *arguments) == 0
        assert capsys.readouterr().err.count("warning: tracker=mlflow, ") == 1
        assert (only_run(tmp_path) / "run.log").read_text().count("WARNING") == 1
        assert json.loads((only_run(tmp_path) / "status.json").read_text())["error"] is None
        assert curve_bytes(tmp_path) == untracked
        assert run_small(monkeypatch, tmp_path, *arguments) == 0
        assert capsys.readouterr().err.count("warning: tracker=mlflow, ") == 1


def test_what_a_locked_store_missed_is_filled_in_later(monkeypatch, tmp_path, store_uri):
    with trackers.locked_file(tmp_path / "results"), monkeypatch.context() as patch:
        set_patience(patch, 0.5)
        assert run_small(patch, tmp_path, "tracker=mlflow") == 0
    assert run_small(monkeypatch, tmp_path, "tracker=mlflow") == 0
    assert_all_there(tmp_path, store_uri)


def test_processes_that_start_at_the_same_moment_share_a_new_store(tmp_path):
    from mlflow.tracking import MlflowClient

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.tracked_together"])
    names = ["a-00000001", "a-00000001", "b-00000002"]
    barrier = context.Barrier(len(names))
    processes = [
        context.Process(target=tracked_together.track, args=(tmp_path, name, barrier))
        for name in names
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(names)
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("default")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["alupdate.run"] for run in runs) == sorted(set(names))
    for run in runs:
        assert run.info.status == "FINISHED"
        assert len(client.get_metric_history(run.info.run_id, "accuracy")) == 1
    assert not list(tmp_path.glob(".*.partial*"))


@pytest.mark.parametrize("extra", ["mlflow", "tensorboard"])
def test_a_missing_extra_is_one_line(extra, monkeypatch, tmp_path, capsys):
    for name in list(sys.modules):
        if name.startswith(("alupdate.trackers.mlflow", "alupdate.trackers.tensorboard")):
            monkeypatch.delitem(sys.modules, name)
    for name in ("mlflow.entities", "tensorboard.compat.proto.event_pb2"):
        monkeypatch.setitem(sys.modules, name, None)
    assert run_small(monkeypatch, tmp_path, f"tracker={extra}") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: tracker={extra}: ")
    assert f"pip install 'alupdate[{extra}]'" in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["localhost:5000", "ftp://x/y", "''", "5"])
def test_a_wrong_uri_is_one_line(uri, monkeypatch, tmp_path, capsys):
    command = ("tracker=mlflow", f"tracker.uri={uri}")
    assert run_command(monkeypatch, tmp_path, *command) == 2
    assert capsys.readouterr().err.startswith("error: tracker.uri=")
    assert list(tmp_path.iterdir()) == []
