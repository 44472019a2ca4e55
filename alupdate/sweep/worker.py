"""A job in a process of its own, so that its death, by whatever signal, is only its own.

The processes are forked from a server that has imported everything, so that they start at once.
"""

import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import FrameType
from typing import Literal

from alupdate.config import ImageBackbone, RunConfig, TextBackbone
from alupdate.errors import InputError, explain_os_error

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
    from alupdate.job import RunError, run_job
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
