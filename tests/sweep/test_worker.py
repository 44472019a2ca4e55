"""A job's process shares its parent's surroundings, and not its parent's death, nor the reverse."""

import json
import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import initialize_config_dir

from alupdate.config.compose import Composer
from alupdate.results.status import is_held, read_status
from alupdate.sweep.worker import PARALLEL_JOBS, JobResult, run_isolated, run_path, threads_per_job
from alupdate.utils.paths import conf_dir

STRATEGY = """
import json, os, time
from alupdate.strategies.uncertainty import Margin

class Waits(Margin):
    def select(self, query, size):
        variable = os.environ.get("A_VARIABLE")
        document = {"folder": os.getcwd(), "variable": variable, "pid": os.getpid()}
        with open("seen.json.new", "w") as file:
            json.dump(document, file)
        os.rename("seen.json.new", "seen.json")
        while os.path.exists("wait"):
            time.sleep(0.02)
        return super().select(query, size)

make_strategy = lambda settings: Waits()
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "waiting.py").write_text(STRATEGY)
    overrides = ["dataset=digits", "backbone=pixels", "strategy=plugin", "strategy.module=waiting",
                 "n_cycles=1", "training.epochs=2", "threads=1", "progress=false"]  # fmt: skip
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return Composer().config(overrides)


def seen():
    """Wait until the job has come to its query, and return what it saw."""
    while not Path("seen.json").exists():
        time.sleep(0.02)
    return json.loads(Path("seen.json").read_text())


def run_in(folder, config):
    os.chdir(folder)
    run_isolated(config)


def after_the_query_began(action):
    """Do something, in a thread, to the process of a job that has come to its query."""
    threading.Thread(target=lambda: action(seen()["pid"])).start()


def ended(job):
    """Wait until a process is gone, or only waits to be buried."""
    stat = Path(f"/proc/{job}/stat")
    while stat.exists() and stat.read_text().split()[2] != "Z":
        time.sleep(0.05)
    return True


def test_a_job_has_its_parents_folder_and_environment(config, tmp_path, monkeypatch):
    monkeypatch.setenv("A_VARIABLE", "its value")
    assert run_isolated(config) == JobResult("done")
    found = seen()
    assert (found["folder"], found["variable"]) == (str(tmp_path), "its value")
    assert found["pid"] != os.getpid()


def test_a_killed_job_is_reported_by_signal(config):
    Path("wait").touch()
    after_the_query_began(lambda job: os.kill(job, signal.SIGKILL))
    reason = "its process was killed by SIGKILL (by the memory killer?)"
    assert run_isolated(config) == JobResult("killed", reason)


@pytest.fixture
def ctrl_c():
    """A process that was started in the background of a script ignores Ctrl-C; not this one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupted_job_has_ended_when_the_interrupt_goes_on(config):
    Path("wait").touch()
    after_the_query_began(lambda job: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        run_isolated(config)
    assert ended(seen()["pid"])
    assert read_status(run_path(config)).state == "interrupted"
    Path("wait").unlink()
    assert run_isolated(config) == JobResult("done")


def test_a_job_ends_with_its_parent_and_says_so(config, tmp_path):
    Path("wait").touch()
    context = multiprocessing.get_context("forkserver")
    parent = context.Process(target=run_in, args=(tmp_path, config))
    parent.start()
    job = seen()["pid"]
    parent.kill()
    parent.join()
    assert ended(job)
    assert not is_held(run_path(config))
    assert read_status(run_path(config)).state == "interrupted"


def test_wrong_input_of_a_job_is_invalid(config):
    result = run_isolated(replace(config, n_initial=5000))
    assert result.outcome == "invalid"
    assert "n_initial=5000" in result.reason


@pytest.mark.parametrize(
    ("slurm", "parallel", "threads"),
    [(None, None, None), ("4", None, 4), ("8", "2", 4), ("1", "3", 1), ("x", None, None)],
)
def test_jobs_share_the_processors(slurm, parallel, threads, monkeypatch):
    for name, value in (("SLURM_CPUS_PER_TASK", slurm), (PARALLEL_JOBS, parallel)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert threads_per_job() == threads
