"""Starting jobs by whatever Hydra launcher is configured: in turn, in parallel, on a cluster."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.types import HydraContext
from joblib import cpu_count
from omegaconf import DictConfig

from alupdate.display import Display
from alupdate.errors import InputError, first_line
from alupdate.sweep.isolated import Ending
from alupdate.sweep.overrides import Composer
from alupdate.sweep.plan import PlannedRun, extractions
from alupdate.sweep.worker import LAUNCHER, PARALLEL, run_composed, run_configured

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
        return Ending("failed", f"{type(error).__name__}: {first_line(error)}")
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
