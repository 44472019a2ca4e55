"""Driving a command through a pseudo-terminal."""

import fcntl
import multiprocessing
import os
import pty
import select
import signal
import sys
import termios
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from alupdate.run import main
from tests.support.processes import start

SECONDS = 120


class Conversation:
    """A command that believes that a person sits at its terminal.

    Attributes:
        shown: what it has printed since the last answer.
        everything: all that it has printed.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._terminal, other_end = pty.openpty()
        begun, begin = multiprocessing.Pipe(duplex=False)
        place = (os.ttyname(other_end), folder, arguments, dict(os.environ))
        self._process = start(_run_in_terminal, begin, *place)
        begin.close()
        begun.poll(SECONDS)  # else there would be no other end between its two holders
        os.close(other_end)
        self.shown = self.everything = ""

    def wait(self, until: Callable[[str], object]) -> bool:
        """Read until what is shown is as wanted; False where the command ended before."""
        end = time.monotonic() + SECONDS
        while not until(self.shown):
            if time.monotonic() > end:
                raise TimeoutError(self.everything[-2000:])
            if not self._read():
                return bool(until(self.shown))
        return True

    def _read(self) -> bool:
        if not select.select([self._terminal], [], [], 0.2)[0]:
            return True
        try:
            raw = os.read(self._terminal, 65536)
        except OSError:  # the other end is closed
            return False
        text = raw.decode(errors="replace").replace("\r\n", "\n")
        self.shown += text
        self.everything += text
        return bool(raw)

    def answer(self, keys: str) -> None:
        """Type keys; what was shown before is forgotten."""
        self.shown = ""
        os.write(self._terminal, keys.encode())

    def kill(self) -> None:
        """End the command as a crash does."""
        self._process.kill()
        self.end()

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self._terminal, b"\x03")

    def end(self) -> int:
        """Wait for the end, and return the exit code."""
        end = time.monotonic() + SECONDS
        while self._read():
            if time.monotonic() > end:
                self._process.kill()
                raise TimeoutError(self.everything[-2000:])
        os.close(self._terminal)
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode


def _run_in_terminal(
    begin: Connection,
    terminal: str,
    folder: Path,
    arguments: tuple[str, ...],
    environment: dict[str, str],
) -> None:
    """Run the command as one that was started in this terminal, which Ctrl-C reaches."""
    os.setsid()
    opened = os.open(terminal, os.O_RDWR)
    fcntl.ioctl(opened, termios.TIOCSCTTY, 0)
    for descriptor in range(3):
        os.dup2(opened, descriptor)
    begin.close()
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["alupdate", *arguments]
    main()
