"""Driving a command through a pseudo-terminal."""

import os
import pty
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

SECONDS = 120


class Conversation:
    """A command that believes that a person sits at its terminal.

    Attributes:
        shown: what it has printed since the last answer.
        everything: all that it has printed.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execv(sys.executable, [sys.executable, "-m", "alupdate.run", *arguments])
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
        os.kill(self._pid, signal.SIGKILL)
        self.end()

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self._terminal, b"\x03")

    def end(self) -> int:
        """Wait for the end, and return the exit code."""
        end = time.monotonic() + SECONDS
        while self._read():
            if time.monotonic() > end:
                os.kill(self._pid, signal.SIGKILL)
                raise TimeoutError(self.everything[-2000:])
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
