"""What a launcher calls for each job of a sweep, in this process or another, here or elsewhere."""

import os
from contextlib import suppress
from dataclasses import replace
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
    ending = run_composed(composed)
    if ending.outcome != "done":
        raise JobError(ending)
    return _objective(parse_config(composed))


def run_composed(composed: DictConfig) -> Ending:
    """Run one job of a sweep in a process of its own and return how it ended."""
    launcher = os.environ.get(LAUNCHER)
    here = None if launcher is None or int(launcher) == os.getpid() else int(launcher)
    if here is not None and os.getppid() != here:
        return Ending("interrupted", "the sweep is gone")
    config = parse_config(composed)
    shared = replace(config, progress=False, threads=config.threads or threads_per_job())
    ending = run_isolated(shared, here)
    if ending.outcome == "killed" and keeps_results(config):
        with suppress(OSError):  # the disk is full: the sweep's table says it
            record_death(run_path(config), ending.reason or "")
    return ending


def threads_per_job() -> int | None:
    """Return this job's share of the processors: SLURM's, or equal parts for parallel jobs.

    None, PyTorch's choice, for jobs that run in turn.
    """
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if given.isdigit():
        return int(given)
    parallel = os.environ.get(PARALLEL)
    return None if parallel is None else max(1, cpu_count() // int(parallel))


def keeps_results(config: RunConfig) -> bool:
    """Return whether the task has a run directory."""
    return config.task.name in ("active_learning", "updating")


def run_path(config: RunConfig) -> Path:
    """Return the directory of a run."""
    return RunStore(config, digests(config, Display(enabled=False))).path


def _objective(config: RunConfig) -> float | None:
    if not isinstance(config.task, ActiveLearningTask):
        return None
    import pandas as pd

    from alupdate.statistics.areas import normalised_area

    curve = pd.read_csv(run_path(config) / "curve.csv")
    return float(normalised_area(curve, "accuracy")["area"].iloc[0])
