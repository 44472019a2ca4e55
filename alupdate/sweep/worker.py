"""Runs one job of a sweep in a subprocess, so that a crash stays in it.

Hydra's launchers call ``run_composed``, in this process or in workers of theirs, and searches by
other sweepers call ``run_and_score``. The subprocess is forked from a server that has imported
everything (``preload``), so that it starts at once.
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

from alupdate.config import ActiveLearningTask, RunConfig
from alupdate.config.check import parse_config
from alupdate.experiment.job import RunError, check_task, digests, run_job
from alupdate.results.status import mark_crashed
from alupdate.results.store import BusyError, RunStore
from alupdate.utils.display import Display, protect_streams
from alupdate.utils.errors import InputError, explain_os_error
from alupdate.utils.metrics import PRIMARY

LAUNCHER_PID, PARALLEL_JOBS = "ALUPDATE_LAUNCHER", "ALUPDATE_PARALLEL_JOBS"
"""Environment: the process that launches workers on this machine, and how many work at once."""

JobOutcome = Literal["done", "failed", "killed", "invalid", "busy", "interrupted"]
_SECONDS_BETWEEN_POLLS = 1.0
_SECONDS_BETWEEN_CHECKS = 0.5
_SECONDS_TO_END = 30.0
"""What an interrupted job has to end its step and write its status."""
_PRELOADED = "alupdate.sweep.preload"


@dataclass(frozen=True)
class JobResult:
    """How a job ended.

    Attributes:
        outcome: ``done``; ``failed``: it raised an error, which its status has; ``killed``: its
            process ended without a result; ``invalid``: its input is wrong; ``busy``: another
            process works on the same run; ``interrupted``: it was stopped, and can be resumed.
        reason: one line, unless the job is done.
    """

    outcome: JobOutcome
    reason: str | None = None


class JobError(Exception):
    """A job of a search is not done; Hydra's sweepers are told by an exception."""

    def __init__(self, result: JobResult) -> None:
        super().__init__(result)
        self.result = result


def run_composed(composed: DictConfig) -> JobResult:
    """Run one job that a launcher of Hydra has composed, and return how it ended."""
    launcher = os.environ.get(LAUNCHER_PID)
    if launcher is not None and int(launcher) != os.getpid():
        _end_with(int(launcher))
    return run_configured(parse_config(composed))


def run_and_score(composed: DictConfig) -> float | None:
    """Run one job of a search by another Hydra sweeper, and return the score to maximise.

    The score is the normalised area under the learning curve of accuracy (AULC); None for tasks
    other than active_learning.

    Raises:
        JobError: unless the job is done.
    """
    config = parse_config(composed)
    if config.stop.ends_run:  # before anything runs
        reason = f"stop={config.stop.name}: a search compares areas over the same labels; use none"
        raise JobError(JobResult("invalid", reason))
    result = run_composed(composed)
    if result.outcome != "done":
        raise JobError(result)
    if not isinstance(config.task, ActiveLearningTask):
        return None
    path = run_path(config)
    score = _aulc(path / "curve.csv")
    Display(config.progress).say(f"{path}: AULC of {PRIMARY} {score:.4f}")
    return score


def run_configured(config: RunConfig) -> JobResult:
    """Run one job of a sweep in a subprocess, with its share of the processors.

    A job whose process was killed is marked as failed in the status of its run.
    """
    try:
        check_task(config)
    except InputError as error:
        return JobResult("invalid", str(error))
    shared = replace(config, progress=False, threads=config.threads or threads_per_job())
    result = run_isolated(shared)
    if result.outcome == "killed" and keeps_results(config):
        with suppress(OSError):  # the disk is full: the sweep's table says it
            mark_crashed(run_path(config), result.reason or "")
    return result


def threads_per_job() -> int | None:
    """Return this job's share of the processors: SLURM's, or equal parts for parallel jobs.

    None, PyTorch's choice, for jobs that run in turn.
    """
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    parallel = os.environ.get(PARALLEL_JOBS)
    if parallel is None:
        return int(given) if given.isdigit() else None
    processors = int(given) if given.isdigit() else cpu_count()
    return max(1, processors // int(parallel))


def keeps_results(config: RunConfig) -> bool:
    """Return whether the task has a run directory."""
    return config.task.name in ("active_learning", "updating")


def run_path(config: RunConfig) -> Path:
    """Return the directory of a run."""
    return RunStore(config, digests(config, Display(enabled=False))).path


def _aulc(curve: Path) -> float:
    from alupdate.analysis.aulc import aulc_per_run
    from alupdate.results.csv_tables import read_run_table

    return float(aulc_per_run(read_run_table(curve), PRIMARY)["area"].iloc[0])


@cache
def _end_with(launcher: int) -> None:
    """End this process when its parent, the launcher, is gone; else it would wait for ever.

    The job's own process notices that in turn, and ends its step and its status properly.
    """

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(_SECONDS_BETWEEN_CHECKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_isolated(config: RunConfig) -> JobResult:
    """Run a job in another process and wait for it.

    Raises:
        KeyboardInterrupt: from the user; the job has ended, too.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_PRELOADED, *config.backbone.preload])
    receiver, sender = context.Pipe(duplex=False)
    place = (os.getcwd(), dict(os.environ))
    process = context.Process(target=_work, args=(config, sender, *place))
    try:
        process.start()
    except (EOFError, OSError) as error:
        return JobResult("interrupted", f"no process could be started ({error})")
    sender.close()
    try:
        while not receiver.poll(_SECONDS_BETWEEN_POLLS):
            pass  # a wait without end can miss a Ctrl-C that comes just before it
        result = _received(receiver)
        process.join()
    except KeyboardInterrupt:
        process.terminate()
        process.join(_SECONDS_TO_END)
        raise
    finally:
        if process.is_alive():
            process.kill()
    return result or JobResult("killed", _cause_of_death(process.exitcode))


def _received(receiver: Connection) -> JobResult | None:
    try:
        return JobResult(*receiver.recv())
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
    protect_streams()
    # Ctrl-C reaches all processes of a terminal; the parent passes it on once, as SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _interrupt)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        result = _run(config)
    except KeyboardInterrupt:
        result = JobResult("interrupted", "interrupted")
    with suppress(BrokenPipeError):  # nobody waits for it any more
        sender.send((result.outcome, result.reason))


def _run(config: RunConfig) -> JobResult:
    try:
        run_job(config)
    except BusyError as error:
        return JobResult("busy", str(error))
    except InputError as error:
        return JobResult("invalid", str(error))
    except OSError as error:
        return JobResult("invalid", explain_os_error(error))
    except RunError as error:
        return JobResult("failed", error.reason)
    return JobResult("done")


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    """Interrupt the job when the process that waits for it is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(_SECONDS_TO_END)
    os.kill(os.getpid(), signal.SIGKILL)
