"""Starts the jobs of a sweep through a Hydra launcher, in rounds until every run has ended."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.types import HydraContext
from joblib import cpu_count
from omegaconf import DictConfig

from alupdate.config.compose import composer_of
from alupdate.results.status import is_held, read_status
from alupdate.sweep.plan import PlannedRun, extractions, shards_of
from alupdate.sweep.worker import (
    LAUNCHER_PID,
    PARALLEL_JOBS,
    JobResult,
    run_composed,
    run_configured,
)
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError, first_line

Launch = Callable[[Sequence[Sequence[str]]], Sequence[JobResult]]
"""Starts a job for each list of overrides, waits for all, and returns their results, in order."""

SECONDS_BETWEEN_ROUNDS = 1.0
MAX_FUTILE_ROUNDS = 3
"""How many rounds in a row may end no run, while no other process works on one."""
OFTEN_INTERRUPTED = (
    f"its jobs were interrupted {MAX_FUTILE_ROUNDS} times in a row; the same command resumes them"
)
_JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"


@dataclass
class SweepResults:
    """What is known so far of a sweep's runs.

    Attributes:
        jobs: directory of each run that has ended, and its result.
        launcher_error: why the launcher was given up, or None.
    """

    jobs: dict[Path, JobResult] = field(default_factory=dict)
    launcher_error: str | None = None


def launch_until_done(runs: Sequence[PlannedRun], launch: Launch, results: SweepResults) -> None:
    """Launch all pending runs, and again those that were interrupted or lost with their launcher.

    A run that another process works on is waited for, and taken over if that process dies.

    Args:
        runs: of the sweep.
        launch: starts jobs and waits for them.
        results: is filled in as runs end, so that it holds what is known when this is interrupted.

    Raises:
        InputError: the launcher does not work at all.
    """
    _settle_without_launch(runs, results)
    futile_rounds = 0
    while pending := _pending(runs, results):
        free = [run for run in pending if not is_held(run.path)]
        if not free:
            time.sleep(SECONDS_BETWEEN_ROUNDS)
            continue
        _launch_round(free, launch, results)
        if len(_pending(runs, results)) < len(pending):
            futile_rounds, results.launcher_error = 0, None
            continue
        futile_rounds += all(not is_held(run.path) for run in free)
        if futile_rounds == MAX_FUTILE_ROUNDS:
            results.launcher_error = results.launcher_error or OFTEN_INTERRUPTED
            return
        time.sleep(SECONDS_BETWEEN_ROUNDS)


def _settle_without_launch(runs: Sequence[PlannedRun], results: SweepResults) -> None:
    for run in runs:
        if run.needs_nothing:
            results.jobs[run.path] = JobResult("done", "already done")
        elif run.is_given_up:
            results.jobs[run.path] = JobResult("failed", run.before.error)


def _launch_round(runs: Sequence[PlannedRun], launch: Launch, results: SweepResults) -> None:
    """Launch runs once, and note the results of those that ended.

    Raises:
        InputError: the launcher has started none of them.
    """
    results.launcher_error = None
    before = [read_status(run.path) for run in runs]
    try:
        returned = launch([run.overrides for run in runs])
    except Exception as error:  # whatever a launcher raises: its worker died, no such queue
        results.launcher_error = first_line(error, typed=True)
        began = before != [read_status(run.path) for run in runs]
        if not began and not isinstance(error, BrokenExecutor):
            raise InputError(f"hydra/launcher: {results.launcher_error}") from error
        return
    for run, result in zip(runs, returned, strict=True):
        if result.outcome in ("done", "failed", "killed", "invalid"):
            results.jobs[run.path] = result


def _pending(runs: Sequence[PlannedRun], results: SweepResults) -> list[PlannedRun]:
    """Return the runs that have not ended, by their results and by their status files.

    The files tell of runs in another sweep, and of those whose result was lost with the launcher.
    """
    without_result = [run for run in runs if run.path not in results.jobs]
    for run in without_result:
        status = read_status(run.path)
        if status != run.before and status.state == "completed":
            results.jobs[run.path] = JobResult("done")
        elif status != run.before and status.state == "failed":
            results.jobs[run.path] = JobResult("failed", status.error)
    return [run for run in without_result if run.path not in results.jobs]


def extract_shared_features(runs: Sequence[PlannedRun], launch: Launch, display: Display) -> None:
    """Extract features that several runs need, once, before the runs start.

    What goes wrong here goes wrong again in the runs, and is reported there.
    """
    first = extractions([run for run in runs if not run.is_given_up])
    if not first:
        return
    names = [f"{run.config.dataset.name}, {run.config.backbone.name}" for run in first]
    display.say(f"extracting features: {'; '.join(names)}")
    jobs = [
        [*run.overrides, "task=features", *part] for run in first for part in shards_of(run.config)
    ]
    try:
        launch(jobs)
    except Exception as error:  # whatever a launcher raises, such as when its worker died
        display.complain(f"warning: features are not extracted first: {first_line(error)}")


def make_launch(master: DictConfig, context: HydraContext, folder: Path) -> Launch:
    """Return a function that starts jobs with the launcher of a composed config.

    Args:
        master: the composed config, with Hydra's own settings.
        context: what Hydra's launchers need.
        folder: where a launcher puts files of its own.

    Raises:
        InputError: joblib is to run no job at once.
    """
    for variable in (PARALLEL_JOBS, LAUNCHER_PID):  # of an earlier sweep in this process
        os.environ.pop(variable, None)
    if master.hydra.runtime.choices["hydra/launcher"] == "basic":
        return _in_turn(master)
    if master.hydra.launcher._target_ == _JOBLIB:
        _tell_workers(int(master.hydra.launcher.n_jobs))
    master.hydra.sweep.dir = str(folder)
    return _by_hydra(master, context)


def _in_turn(master: DictConfig) -> Launch:
    """Run one job after the other; Hydra's launcher for this would compose each config anew."""
    composer = composer_of(master)
    os.environ.update(master.hydra.job.env_set)
    return lambda jobs: [run_configured(composer.config(job)) for job in jobs]


def _tell_workers(jobs: int) -> None:
    """Tell joblib's workers how many share the processors, and which process they end with."""
    if jobs == 0:
        raise InputError("hydra.launcher.n_jobs=0: give 1 or more, or -1 for all processors")
    os.environ[PARALLEL_JOBS] = str(jobs if jobs > 0 else max(1, cpu_count() + 1 + jobs))
    os.environ[LAUNCHER_PID] = str(os.getpid())


def _by_hydra(master: DictConfig, context: HydraContext) -> Launch:
    launched = 0

    def launch(jobs: Sequence[Sequence[str]]) -> Sequence[JobResult]:
        nonlocal launched
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=run_composed, config=master
        )
        first, launched = launched, launched + len(jobs)
        return [job_result(result) for result in launcher.launch(jobs, initial_job_idx=first)]

    return launch


def job_result(returned: JobReturn) -> JobResult:
    """Return the result of a job that a launcher of Hydra started."""
    try:
        result = returned.return_value
    except Exception as error:
        return JobResult("failed", first_line(error, typed=True))
    if not isinstance(result, JobResult):
        return JobResult("failed", f"the launcher returned {result!r}")
    return result
