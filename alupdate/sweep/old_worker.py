"""What a launcher calls for each job of a sweep, in this process or another, here or elsewhere."""

import os
import threading
import time
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

from joblib import cpu_count
from omegaconf import DictConfig

from alupdate.config import ActiveLearningTask, RunConfig
from alupdate.display import Display
from alupdate.job import digests
from alupdate.results.status import record_death
from alupdate.results.store import RunStore
from alupdate.sweep.isolated import Ending, run_isolated
from alupdate.validate import parse_config

LAUNCHER, PARALLEL = "ALUPDATE_LAUNCHER", "ALUPDATE_PARALLEL_JOBS"
"""Environment: the process that launches workers on this machine, and how many work at once."""

SECONDS_BETWEEN_LOOKS = 0.5


class JobError(Exception):
    """A job of a search ended early; an exception is what every launcher hands back."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending = ending


def run_and_score(composed: DictConfig) -> float | None:
    """Run one job of a search by another Hydra sweeper, and return what that is to maximise.

    It is the normalised area under the accuracy curve; None for other tasks than active_learning.

    Raises:
        JobError: unless the job is done.
    """
    config = parse_config(composed)
    ending = run_composed(composed)
    if ending.outcome != "done":
        raise JobError(ending)
    if not isinstance(config.task, ActiveLearningTask):
        return None
    path = run_path(config)
    area = _area(path / "curve.csv")
    Display(config.progress).say(f"{path}: area under the accuracy curve {area:.4f}")
    return area


def run_composed(composed: DictConfig) -> Ending:
    """Run one job that a launcher of Hydra has composed, and return how it ended."""
    launcher = os.environ.get(LAUNCHER)
    if launcher is not None and int(launcher) != os.getpid():
        _end_with(int(launcher))
    return run_configured(parse_config(composed))


def run_configured(config: RunConfig) -> Ending:
    """Run one job of a sweep in a process of its own and return how it ended."""
    shared = replace(config, progress=False, threads=config.threads or threads_per_job())
    ending = run_isolated(shared)
    if ending.outcome == "killed" and keeps_results(config):
        with suppress(OSError):  # the disk is full: the sweep's table says it
            record_death(run_path(config), ending.reason or "")
    return ending


def threads_per_job() -> int | None:
    """Return this job's share of the processors: SLURM's, or equal parts for parallel jobs.

    None, PyTorch's choice, for jobs that run in turn.
    """
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    parallel = os.environ.get(PARALLEL)
    if parallel is None:
        return int(given) if given.isdigit() else None
    processors = int(given) if given.isdigit() else cpu_count()
    return max(1, processors // int(parallel))


@cache
def _end_with(launcher: int) -> None:
    """End this process when its parent, the launcher, is gone; else it would wait for ever.

    The job's own process notices that in turn, and ends its step and its status properly.
    """

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def keeps_results(config: RunConfig) -> bool:
    """Return whether the task has a run directory."""
    return config.task.name in ("active_learning", "updating")


def run_path(config: RunConfig) -> Path:
    """Return the directory of a run."""
    return RunStore(config, digests(config, Display(enabled=False))).path


def _area(curve: Path) -> float:
    import pandas as pd

    from alupdate.statistics.areas import normalised_area

    return float(normalised_area(pd.read_csv(curve), "accuracy")["area"].iloc[0])
