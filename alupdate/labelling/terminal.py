"""Keys and lines from a terminal, and pictures in the system's viewer."""

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from typing_extensions import override

from alupdate.utils.display import printable
from alupdate.utils.errors import InputError

END_OF_INPUT = "\x04"
"""What a closed terminal and Ctrl-D give."""
ESCAPE = "\x1b"
SEQUENCES = ("[", "O")
"""What follows Escape where a key sends several characters."""
SECONDS_WITHIN_SEQUENCE = 0.01
SECONDS_BETWEEN_LOOKS = 0.5
"""How long a wait for a key lasts before signals are looked for again.

A Ctrl-C that comes just before Python waits is noticed only after the wait.
"""
BACKSPACES = ("\x7f", "\b")
LINE_ENDS = ("\n", "\r")


class Keys(Protocol):
    """Where answers come from and questions go to."""

    def key(self) -> str:
        """Return the next key."""
        ...

    def line(self, question: str) -> str:
        """Ask for a line of text; nothing where the answer is broken off by Escape."""
        ...

    def show(self, text: str) -> None:
        """Print lines of text."""
        ...


class TerminalKeys(Keys):
    """The terminal of this process, key by key."""

    @override
    def key(self) -> str:
        character = self._read()
        if character == ESCAPE:
            self._skip_sequence()
        return character

    @override
    def line(self, question: str) -> str:
        self._write(question)
        typed = ""
        while (character := self._read()) not in LINE_ENDS:
            if character in (ESCAPE, END_OF_INPUT):
                if character == ESCAPE:
                    self._skip_sequence()
                typed = ""
                break
            if character in BACKSPACES:
                if typed:
                    typed = typed[:-1]
                    self._write("\b \b")
            elif character.isprintable():
                typed += character
                self._write(character)
        self._write("\n")
        return typed.strip()

    @override
    def show(self, text: str) -> None:
        self._write(f"{text}\n")

    def _read(self) -> str:
        """Return one character; Ctrl-C raises KeyboardInterrupt."""
        raw = b""
        while True:
            while not self._is_waiting(SECONDS_BETWEEN_LOOKS):
                pass
            byte = os.read(sys.stdin.fileno(), 1)
            if not byte:
                return END_OF_INPUT
            raw += byte
            try:
                return raw.decode()
            except UnicodeDecodeError:
                if len(raw) >= 4:
                    raw = b""

    def _skip_sequence(self) -> None:
        """Pass over the rest of an escape sequence, such as that of an arrow key."""
        if not self._is_waiting() or self._read() not in SEQUENCES:
            return
        while self._is_waiting() and not "@" <= self._read() <= "~":
            pass

    def _is_waiting(self, seconds: float = SECONDS_WITHIN_SEQUENCE) -> bool:
        return bool(select.select([sys.stdin], [], [], seconds)[0])

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


@contextmanager
def terminal_keys() -> Iterator[TerminalKeys]:
    """Let keys arrive one by one, unechoed, and restore the terminal afterwards.

    Raises:
        InputError: there is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError(
            "task=label: needs a terminal; task=suggest writes batches to files instead"
        )
    try:
        import termios
        import tty
    except ImportError as error:
        raise InputError(
            "task=label: needs a POSIX terminal; task=suggest writes batches to files instead"
        ) from error
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield TerminalKeys()
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def readable_text(text: str) -> str:
    """Return a text of several lines without characters that steer a terminal."""
    return "\n".join(printable(line) for line in text.splitlines())


class Viewer:
    """The program that shows image files; it runs beside this one."""

    def __init__(self, program: str) -> None:
        """Find the program.

        Args:
            program: its name, ``auto`` for the system's or ``none`` for none.

        Raises:
            InputError: a named program is not there.
        """
        self._command = _system_viewer() if program == "auto" else None
        if program not in ("auto", "none"):
            self._command = shutil.which(program)
            if self._command is None:
                raise InputError(
                    f"task.viewer={program}: there is no such program; use auto or none"
                )

    def show(self, path: Path) -> bool:
        """Open a file and return whether that was tried."""
        if self._command is None:
            return False
        quiet = subprocess.DEVNULL
        try:
            subprocess.Popen(
                [self._command, str(path.absolute())],
                stdin=quiet,
                stdout=quiet,
                stderr=quiet,
                start_new_session=True,
            )
        except OSError:
            return False
        return True


def _system_viewer() -> str | None:
    """Return what opens a file as a double click does; None without a desktop."""
    if sys.platform == "darwin":
        return shutil.which("open")
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return None
    return shutil.which("xdg-open")
