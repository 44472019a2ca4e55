"""Starting jobs by whatever Hydra launcher is configured: in turn, in parallel, on a cluster."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.types import HydraContext
from joblib import cpu_count
from omegaconf import DictConfig

from alupdate.results.status import is_held, read_status
from alupdate.sweep.plan import Composer, PlannedRun, extractions
from alupdate.sweep.worker import LAUNCHER, PARALLEL, Ending, run_composed, run_configured
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError, first_line

Launch = Callable[[Sequence[Sequence[str]]], Sequence[Ending]]
"""Starts a job for each list of overrides, waits for all, and returns how they ended, in order."""
IN_TURN = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"


def make_launch(master: DictConfig, folder: Path) -> Launch:
    """Return a function that starts jobs by the launcher of a composed config.

    A launcher puts what it keeps of its own into ``folder``.

    Raises:
        InputError: joblib is to run no job at once.
    """
    for told in (PARALLEL, LAUNCHER):  # by an earlier sweep of this process
        os.environ.pop(told, None)
    if master.hydra.launcher._target_ == IN_TURN:
        return _in_turn(master)
    if master.hydra.launcher._target_ == JOBLIB:
        _tell_workers(int(master.hydra.launcher.n_jobs))
    master.hydra.sweep.dir = str(folder)
    return _by_hydra(master)


def _in_turn(master: DictConfig) -> Launch:
    """One after the other: Hydra's own launcher would compose every config from the start."""
    composer = Composer(master.hydra.overrides.hydra)
    os.environ.update(master.hydra.job.env_set)
    return lambda jobs: [run_configured(composer.config(job)) for job in jobs]


def _tell_workers(jobs: int) -> None:
    """Tell joblib's workers how many they are, to share the processors, and whose children.

    They end with the sweep, then.
    """
    if jobs == 0:
        raise InputError("hydra.launcher.n_jobs=0: give 1 or more, or -1 for all processors")
    os.environ[PARALLEL] = str(jobs if jobs > 0 else max(1, cpu_count() + 1 + jobs))
    os.environ[LAUNCHER] = str(os.getpid())


def _by_hydra(master: DictConfig) -> Launch:
    context = HydraContext(GlobalHydra.instance().config_loader(), Callbacks())
    launched = 0

    def launch(jobs: Sequence[Sequence[str]]) -> Sequence[Ending]:
        nonlocal launched
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=run_composed, config=master
        )
        first, launched = launched, launched + len(jobs)
        return [ending_of(result) for result in launcher.launch(jobs, initial_job_idx=first)]

    return launch


def ending_of(result: JobReturn) -> Ending:
    """Return how a job ended that a launcher of Hydra started."""
    try:
        ending = result.return_value
    except Exception as error:
        return Ending("failed", first_line(error, typed=True))
    if not isinstance(ending, Ending):
        return Ending("failed", f"the launcher returned {ending!r}")
    return ending


def features_first(runs: Sequence[PlannedRun], launch: Launch, display: Display) -> None:
    """Extract features that several runs wait for, once, before the runs fan out.

    What goes wrong here goes wrong again in the runs, and is reported there.
    """
    first = extractions([run for run in runs if not run.is_given_up])
    if not first:
        return
    names = [f"{run.config.dataset.name}, {run.config.backbone.name}" for run in first]
    display.say(f"extracting features: {'; '.join(names)}")
    try:
        launch([[*run.overrides, "task=features"] for run in first])
    except Exception as error:  # whatever a launcher raises, such as when its worker died
        display.complain(f"warning: features are not extracted first: {first_line(error)}")


SECONDS_BETWEEN_LOOKS = 1.0
MAX_BREAKDOWNS = 3
"""How often in a row a launch may end without any run having ended, or being held elsewhere."""
OFTEN_INTERRUPTED = (
    f"its jobs were interrupted {MAX_BREAKDOWNS} times in a row; the same command resumes them"
)


@dataclass
class Settled:
    """What is settled so far: how runs ended, and why the launcher gave up if it did."""

    endings: dict[Path, Ending] = field(default_factory=dict)
    breakdown: str | None = None


def complete(runs: Sequence[PlannedRun], launch: Launch, settled: Settled) -> None:
    """Launch every run that is not finished, and again those whose worker died with them.

    A run that another process works on is waited for, and taken over if that process dies.

    Args:
        runs: of the sweep.
        launch: starts jobs and waits for them.
        settled: is filled in as runs end, so that it holds what is known when this is interrupted.

    Raises:
        InputError: the launcher does not work at all.
    """
    breakdowns = 0
    for run in runs:
        if run.needs_nothing:
            settled.endings[run.path] = Ending("done", "already done")
        elif run.is_given_up:
            settled.endings[run.path] = Ending("failed", run.before.error)
    while left := _unsettled(runs, settled):
        free = [run for run in left if not is_held(run.path)]
        if not free:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            continue
        settled.breakdown = None
        before = [read_status(run.path) for run in free]
        try:
            endings = launch([run.overrides for run in free])
        except Exception as error:  # whatever a launcher raises: its worker died, no such queue
            settled.breakdown = first_line(error, typed=True)
            began = before != [read_status(run.path) for run in free]
            if not began and not isinstance(error, BrokenExecutor):
                raise InputError(f"hydra/launcher: {settled.breakdown}") from error
        else:
            _settle_returned(free, endings, settled)
        if len(_unsettled(runs, settled)) < len(left):
            breakdowns = 0
            continue
        breakdowns += all(not is_held(run.path) for run in free)
        if breakdowns == MAX_BREAKDOWNS:
            settled.breakdown = settled.breakdown or OFTEN_INTERRUPTED
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _settle_returned(
    runs: Sequence[PlannedRun], endings: Sequence[Ending], settled: Settled
) -> None:
    """Take note of the runs that ended; one that was busy or interrupted comes up again."""
    for run, ending in zip(runs, endings, strict=True):
        if ending.outcome in ("done", "failed", "killed", "refused"):
            settled.endings[run.path] = ending


def _unsettled(runs: Sequence[PlannedRun], settled: Settled) -> list[PlannedRun]:
    """Return the runs that have not ended, by what is settled and by their status files.

    The files tell of runs in another sweep, and of those whose worker ended with its launcher.
    """
    left = [run for run in runs if run.path not in settled.endings]
    for run in left:
        status = read_status(run.path)
        if status != run.before and status.state == "completed":
            settled.endings[run.path] = Ending("done")
        elif status != run.before and status.state == "failed":
            settled.endings[run.path] = Ending("failed", status.error)
    return [run for run in left if run.path not in settled.endings]
