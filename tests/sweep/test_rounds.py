"""Rounds of launches go on until every run has ended, and stop where they achieve nothing."""

import json
import os
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext

from alupdate.config.compose import Composer
from alupdate.results.status import RunStatus, read_status
from alupdate.sweep import launch as rounds
from alupdate.sweep.launch import (
    SweepResults,
    extract_shared_features,
    job_result,
    launch_until_done,
    make_launch,
)
from alupdate.sweep.plan import PlannedRun, extractions
from alupdate.sweep.worker import LAUNCHER_PID, PARALLEL_JOBS, JobResult
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.paths import conf_dir


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(rounds, "SECONDS_BETWEEN_ROUNDS", 0.01)


def returned(value):
    result = JobReturn(status=JobStatus.COMPLETED)
    result.return_value = value
    return result


class Launches:
    """A launcher that plays a script: per launch, what each run does, or what is raised."""

    def __init__(self, folder, *script):
        self.script, self.folder, self.launched = list(script), folder, []

    def __call__(self, jobs):
        self.launched.append([job[0] for job in jobs])
        step = self.script.pop(0)
        for name, state in step.get("states", {}).items():
            (self.folder / name).mkdir(exist_ok=True)
            document = {"state": state, "failures": len(self.launched)}
            (self.folder / name / "status.json").write_text(json.dumps(document))
        if "raises" in step:
            raise step["raises"]
        return [step["results"][job[0]] for job in jobs]


def run_config(*overrides):
    """Compose without the command, which would refuse nothing here."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return Composer().config(overrides)


PIXELS = run_config("dataset=digits", "backbone=pixels")
IMAGES = run_config("dataset=mnist5k", "backbone=efficientnet_lite0")


def plan(folder, *names, config=PIXELS):
    return [
        PlannedRun((name,), config, folder / name, read_status(folder / name), False)
        for name in names
    ]


DONE, BUSY, INTERRUPTED = JobResult("done"), JobResult("busy"), JobResult("interrupted")
FAILED, INVALID, KILLED = (JobResult(o, "because") for o in ("failed", "invalid", "killed"))


def test_ended_runs_are_not_launched_again_and_others_are(tmp_path):
    launch = Launches(
        tmp_path,
        {"results": {"a": DONE, "b": FAILED, "c": BUSY, "d": INTERRUPTED, "e": INVALID}},
        {"results": {"c": KILLED, "d": DONE}},
    )
    results = SweepResults()
    launch_until_done(plan(tmp_path, *"abcde"), launch, results)
    assert launch.launched == [list("abcde"), ["c", "d"]]
    ended = {path.name: result for path, result in results.jobs.items()}
    assert ended == {"a": DONE, "b": FAILED, "c": KILLED, "d": DONE, "e": INVALID}


def test_when_a_worker_takes_the_launcher_down_only_unfinished_runs_come_again(tmp_path):
    launch = Launches(
        tmp_path,
        {
            "states": {"a": "completed", "b": "failed", "c": "interrupted"},
            "raises": BrokenProcessPool("a process died"),
        },
        {"results": {"c": DONE, "d": DONE}},
    )
    results = SweepResults()
    launch_until_done(plan(tmp_path, *"abcd"), launch, results)
    assert launch.launched == [list("abcd"), ["c", "d"]]
    assert results.launcher_error is None
    outcomes = {path.name: result.outcome for path, result in results.jobs.items()}
    assert outcomes == {"a": "done", "b": "failed", "c": "done", "d": "done"}


def test_a_launcher_that_always_breaks_down_is_given_up(tmp_path):
    launch = Launches(tmp_path, *[{"raises": BrokenProcessPool("died\nat once")}] * 9)
    results = SweepResults()
    launch_until_done(plan(tmp_path, "a"), launch, results)
    assert len(launch.launched) == rounds.MAX_FUTILE_ROUNDS
    assert results.launcher_error == "BrokenProcessPool: died"
    assert results.jobs == {}


def test_runs_that_are_interrupted_again_and_again_are_left(tmp_path):
    launch = Launches(tmp_path, *[{"results": {"a": INTERRUPTED}}] * 9)
    results = SweepResults()
    launch_until_done(plan(tmp_path, "a"), launch, results)
    assert len(launch.launched) == rounds.MAX_FUTILE_ROUNDS
    assert results.jobs == {}
    assert results.launcher_error is not None
    assert "interrupted 3 times in a row" in results.launcher_error


def test_a_launcher_that_starts_nothing_is_wrong_input(tmp_path):
    launch = Launches(tmp_path, {"raises": RuntimeError("no such partition: nope\nmore")})
    with pytest.raises(InputError, match=r"hydra/launcher: RuntimeError: no such partition: nope$"):
        launch_until_done(plan(tmp_path, "a"), launch, SweepResults())


def test_a_job_that_raises_something_of_its_own_has_failed(tmp_path, capsys):
    result = JobReturn(status=JobStatus.FAILED, overrides=[])
    result.return_value = MemoryError("out of memory")
    assert job_result(result) == JobResult("failed", "MemoryError: out of memory")
    assert job_result(returned(0.5)).outcome == "failed"


@pytest.mark.parametrize(
    ("failures", "most", "force", "given_up"),
    [(2, 3, False, False), (3, 3, False, True), (9, None, False, False), (3, 3, True, False)],
)
def test_what_failed_too_often_is_given_up(failures, most, force, given_up, tmp_path):
    config = replace(PIXELS, max_failures=most, force=force)
    run = PlannedRun(("a",), config, tmp_path / "a", RunStatus("failed", "x", failures), False)
    launch = Launches(tmp_path, {"results": {"a": DONE}})
    results = SweepResults()
    launch_until_done([run], launch, results)
    assert launch.launched == ([] if given_up else [["a"]])
    assert results.jobs[run.path].outcome == ("failed" if given_up else "done")


def test_features_that_runs_share_are_extracted_once_and_first(tmp_path, capsys):
    images = plan(tmp_path, "a", "b", config=IMAGES)
    pixels = plan(tmp_path, "c", "d")
    launch = Launches(tmp_path, {"results": {"a": FAILED}})
    extract_shared_features([*images, *pixels], launch, Display(enabled=False))
    assert launch.launched == [["a"]]
    broken = Launches(tmp_path, {"raises": BrokenProcessPool("a process died")})
    extract_shared_features(images, broken, Display(enabled=False))  # the runs extract, then
    assert "features are not extracted first: a process died" in capsys.readouterr().err
    assert extractions(images[:1]) == []
    finished = PlannedRun(("e",), images[0].config, tmp_path / "e", RunStatus("completed"), True)
    assert extractions([*images, finished]) == []


def test_workers_are_told_of_joblib_and_of_nothing_else(tmp_path, monkeypatch):
    for name in (LAUNCHER_PID, PARALLEL_JOBS):
        monkeypatch.setenv(name, "7")
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        joblib = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=3"]
        context = HydraContext(GlobalHydra.instance().config_loader(), callbacks=None)
        make_launch(compose("config", joblib, return_hydra_config=True), context, tmp_path)
        assert (os.environ[LAUNCHER_PID], os.environ[PARALLEL_JOBS]) == (str(os.getpid()), "3")
        make_launch(compose("config", return_hydra_config=True), context, tmp_path)
    assert not {LAUNCHER_PID, PARALLEL_JOBS} & set(os.environ)
