"""MLflow with its default store, a SQLite file, and with stores that are down."""

import json
import multiprocessing
import os
import shutil
import sqlite3
import sys
from types import SimpleNamespace

import pytest

from alupdate.config.compose import compose_config
from alupdate.results.status import RunStatus
from alupdate.results.store import RunStore
from alupdate.sweep.plan import PlannedRun
from alupdate.trackers import TRACKERS_DOWN, SweepTrackers, make_tracker, tracked
from alupdate.trackers.tracker import Point
from alupdate.utils.display import Display
from tests.support import tracked_together, trackers
from tests.support.processes import PRELOADED
from tests.support.runs import only_run, run_command, run_small
from tests.support.trackers import call_at, curve, mlflow_history, mlflow_run, set_patience

pytest.importorskip("mlflow", reason="MLflow is not installed")
from mlflow.exceptions import MlflowException

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
    context.set_forkserver_preload([PRELOADED, "tests.support.tracked_together"])
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


@pytest.mark.parametrize(
    "uri", ["localhost:5000", "ftp://x/y", "''", "5", "sqlite:///", "sqlite:///:memory:"]
)
def test_a_wrong_uri_is_one_line(uri, monkeypatch, tmp_path, capsys):
    command = ("tracker=mlflow", f"tracker.uri={uri}")
    assert run_command(monkeypatch, tmp_path, *command) == 2
    assert capsys.readouterr().err.startswith("error: tracker.uri=")
    assert list(tmp_path.iterdir()) == []


def tracker_of(folder, uri, name="a-00000001"):
    """Return the tracker of a run, without the run."""
    from alupdate.trackers.mlflow import MlflowRun

    store = SimpleNamespace(name=name, path=folder, settings={"seed": 0}, status=dict, watch=id)
    return MlflowRun(uri, folder, "default", store)


POINT = Point(10, 0.0, {"cycle": 0.0, "accuracy": 0.5})


def track(tracker, state="completed"):
    tracker.begin(anew=False)
    tracker.send([POINT])
    tracker.end(state)


def test_a_user_without_a_name_is_tracked(monkeypatch, tmp_path, store_uri):
    def nobody():
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("getpass.getuser", nobody)
    track(tracker_of(tmp_path, store_uri))
    assert mlflow_run(store_uri).info.status == "FINISHED"
    assert mlflow_run(store_uri).data.tags["mlflow.user"] == str(os.getuid())


def test_a_run_is_ended_whatever_fails_after_its_start(monkeypatch, tmp_path, store_uri):
    def fail_always(*arguments, **settings):
        raise OSError("no luck")

    with monkeypatch.context() as patch:
        patch.setattr("mlflow.tracking.MlflowClient.log_batch", fail_always)
        tracker, said = tracker_of(tmp_path, store_uri), []
        display = SimpleNamespace(say=said.append)
        with tracked(tracker, tracker._store, display, anew=False):
            pass
        assert [line for line in said if "no luck" in line] == said
        assert len(said) == 1
    assert mlflow_run(store_uri).info.status == "FAILED"  # so that it is filled in later
    assert not tracker_of(tmp_path, store_uri).is_complete()
    track(tracker_of(tmp_path, store_uri))
    assert mlflow_run(store_uri).info.status == "FINISHED"


def test_a_deleted_experiment_is_restored(tmp_path, store_uri):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=store_uri)
    for name in ("a-00000001", "b-00000002"):
        track(tracker_of(tmp_path, store_uri, name))
        client.delete_experiment(client.get_experiment_by_name("default").experiment_id)
    again = tracker_of(tmp_path, store_uri, "a-00000001")
    assert not again.is_complete()
    track(again)
    experiment = client.get_experiment_by_name("default")
    assert experiment.lifecycle_stage == "active"
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["alupdate.run"] for run in runs) == ["a-00000001", "b-00000002"]
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_a_run_that_is_deleted_meanwhile_is_there_again(tmp_path, store_uri):
    from mlflow.tracking import MlflowClient

    tracker = tracker_of(tmp_path, store_uri)
    tracker.begin(anew=True)
    MlflowClient(tracking_uri=store_uri).delete_run(mlflow_run(store_uri).info.run_id)
    with pytest.raises(MlflowException):
        tracker.send([POINT])
    track(tracker)
    assert mlflow_run(store_uri).info.status == "FINISHED"
    assert mlflow_history(store_uri, "accuracy") == [(10, 0.5)]


def unwritable(file):
    raise PermissionError(13, "Permission denied", str(file.parent))


@pytest.mark.parametrize("there", [True, False])
def test_mlflow_is_not_asked_to_open_what_cannot_be_opened(there, monkeypatch, tmp_path):
    """It would try for more than a minute."""
    file = tmp_path / "mlflow.db"
    if there:
        file.write_text("not a database\n" * 100)
    else:
        monkeypatch.setattr("tempfile.TemporaryFile", lambda dir: unwritable(dir / "x"))
    monkeypatch.setattr("alupdate.trackers.mlflow.MlflowClient", None)
    monkeypatch.setattr("alupdate.trackers.mlflow.create_file", None)
    tracker = tracker_of(tmp_path, f"sqlite:///{file}")
    reason = "file is not a database" if there else "Permission denied"
    for call in (lambda: tracker.begin(anew=False), tracker.check):
        with pytest.raises((OSError, sqlite3.Error), match=reason):
            call()


def test_a_sweep_asks_a_store_that_is_down_once(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("alupdate.trackers.mlflow.require_writable", unwritable)
    config = compose_config(["dataset=digits", "backbone=pixels", "tracker=mlflow"])
    store = RunStore(config)
    with monkeypatch.context() as patch:
        patch.setenv(TRACKERS_DOWN, "")
        trackers = SweepTrackers(Display(enabled=False))
        for _ in range(2):
            used = trackers.usable(config, store)
            assert PlannedRun((), used, store.path, RunStatus("completed"), True).needs_nothing
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("warning: tracker=mlflow, sqlite:///")
        assert "Permission denied; the sweep goes on without it" in line
        assert make_tracker(config, store) is None  # in the processes of the sweep
        SweepTrackers(Display(enabled=False))  # of the next sweep
        assert make_tracker(config, store) is not None


@pytest.mark.parametrize("place", ["results", "~/results"])
def test_an_address_that_is_a_directory_is_one_line(place, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "results").mkdir()
    assert (
        run_small(monkeypatch, tmp_path, "tracker=mlflow", f"tracker.uri='sqlite:///{place}'") == 2
    )
    (line,) = capsys.readouterr().err.splitlines()
    assert "results: is a directory; give a file, such as sqlite:///" in line
    assert list(tmp_path.rglob("*")) == [tmp_path / "results"]
