"""A job in a process of its own, so that its death, by whatever signal, is only its own.

The processes are forked from a server that has imported everything, so that they start at once.
"""

import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Literal

from joblib import cpu_count
from omegaconf import DictConfig

from alupdate.config import ActiveLearningTask, ImageBackbone, RunConfig, TextBackbone
from alupdate.config.check import parse_config
from alupdate.experiment.job import digests
from alupdate.results.status import record_death
from alupdate.results.store import RunStore
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError, explain_os_error

Outcome = Literal["done", "failed", "killed", "refused", "busy", "interrupted"]
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_TO_END = 30.0
"""What an interrupted job has to end its step and write its status."""
PRELOADED = "alupdate.sweep.preload"


@dataclass(frozen=True)
class Ending:
    """How a job ended.

    Attributes:
        outcome: ``failed``: it broke, and said so in its status; ``killed``: its process died
            without a word; ``refused``: its input is wrong; ``busy``: another process is at it.
        reason: one line, unless it is done.
    """

    outcome: Outcome
    reason: str | None = None


def run_isolated(config: RunConfig) -> Ending:
    """Run a job in another process and wait for it.

    Raises:
        KeyboardInterrupt: from the user; the job has ended, too.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOADED, *_network_library(config)])
    receiver, sender = context.Pipe(duplex=False)
    place = (os.getcwd(), dict(os.environ))
    process = context.Process(target=_work, args=(config, sender, *place))
    try:
        process.start()
    except (EOFError, OSError) as error:
        return Ending("interrupted", f"no process could be started ({error})")
    sender.close()
    try:
        while not receiver.poll(SECONDS_BETWEEN_LOOKS):
            pass  # a wait without end can miss a Ctrl-C that comes just before it
        ending = _ending(receiver)
        process.join()
    except KeyboardInterrupt:
        process.terminate()
        process.join(SECONDS_TO_END)
        raise
    finally:
        if process.is_alive():
            process.kill()
    return ending or Ending("killed", _cause_of_death(process.exitcode))


def _network_library(config: RunConfig) -> list[str]:
    if isinstance(config.backbone, ImageBackbone):
        return ["timm"]
    return ["transformers"] if isinstance(config.backbone, TextBackbone) else []


def _ending(receiver: Connection) -> Ending | None:
    try:
        return Ending(*receiver.recv())
    except EOFError:
        return None


def _cause_of_death(code: int | None) -> str:
    if code is None or code >= 0:
        return f"its process ended with code {code}"
    name = signal.Signals(-code).name
    hint = " (by the memory killer?)" if name == "SIGKILL" else ""
    return f"its process was killed by {name}{hint}"


def _work(config: RunConfig, sender: Connection, folder: str, environment: dict[str, str]) -> None:
    """Run the job in the new process and send how it ended."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    # Ctrl-C reaches all processes of a terminal; the parent passes it on once, as SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _interrupt)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        ending = _run(config)
    except KeyboardInterrupt:
        ending = Ending("interrupted", "interrupted")
    with suppress(BrokenPipeError):  # nobody waits for it any more
        sender.send((ending.outcome, ending.reason))


def _run(config: RunConfig) -> Ending:
    from alupdate.experiment.job import RunError, run_job
    from alupdate.results.store import BusyError

    try:
        run_job(config)
    except BusyError as error:
        return Ending("busy", str(error))
    except InputError as error:
        return Ending("refused", str(error))
    except OSError as error:
        return Ending("refused", explain_os_error(error))
    except RunError as error:
        return Ending("failed", error.reason)
    return Ending("done")


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    """Interrupt the job when the process that waits for it is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(SECONDS_TO_END)
    os.kill(os.getpid(), signal.SIGKILL)


LAUNCHER, PARALLEL = "ALUPDATE_LAUNCHER", "ALUPDATE_PARALLEL_JOBS"
"""Environment: the process that launches workers on this machine, and how many work at once."""

SECONDS_BETWEEN_CHECKS = 0.5


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
            time.sleep(SECONDS_BETWEEN_CHECKS)
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

    from alupdate.analysis.aulc import aulc_per_run

    return float(aulc_per_run(pd.read_csv(curve), "accuracy")["area"].iloc[0])
