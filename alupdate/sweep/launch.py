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
from alupdate.errors import InputError
from alupdate.sweep.plan import PlannedRun, extractions
from alupdate.sweep.worker import LAUNCHER, PARALLEL, run_composed

Launch = Callable[[Sequence[Sequence[str]]], Sequence[JobReturn]]
"""Starts a job for each list of overrides, waits for all, and returns how they ended, in order."""
JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"


def make_launch(master: DictConfig, folder: Path) -> Launch:
    """Return a function that starts jobs by the launcher of a composed config.

    A launcher puts what it keeps of its own into ``folder``.

    With joblib, the jobs are told how many work at once, so that they share the processors, and
    whose children they are, so that they end with the sweep.

    Raises:
        InputError: joblib is to run no job at once.
    """
    context = HydraContext(GlobalHydra.instance().config_loader(), Callbacks())
    if master.hydra.launcher._target_ == JOBLIB:
        jobs = int(master.hydra.launcher.n_jobs)
        if jobs == 0:
            raise InputError("hydra.launcher.n_jobs=0: give 1 or more, or -1 for all processors")
        os.environ[PARALLEL] = str(jobs if jobs > 0 else max(1, cpu_count() + 1 + jobs))
        os.environ[LAUNCHER] = str(os.getpid())
    master.hydra.sweep.dir = str(folder)
    launched = 0

    def launch(jobs: Sequence[Sequence[str]]) -> Sequence[JobReturn]:
        nonlocal launched
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=run_composed, config=master
        )
        first, launched = launched, launched + len(jobs)
        return launcher.launch(jobs, initial_job_idx=first)

    return launch


def features_first(runs: Sequence[PlannedRun], launch: Launch, display: Display) -> None:
    """Extract features that several runs wait for, once, before the runs fan out.

    What goes wrong here goes wrong again in the runs, and is reported there.
    """
    first = extractions([run for run in runs if not run.is_given_up])
    if not first:
        return
    names = [f"{run.config.dataset.name}, {run.config.backbone.name}" for run in first]
    display.say(f"extracting features: {'; '.join(names)}")
    launch([[*run.overrides, "task=features"] for run in first])
