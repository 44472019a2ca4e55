"""Progress and messages of a run: a live bar, or plain lines where there is no terminal."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from alupdate.utils.errors import redacted

SECONDS_BETWEEN_LINES = 5.0
LAST_STANDARD_STREAM = 2
WIDTH_OF_FILES = 300
Advance = Callable[[int, str], None]
"""Reports steps done since the last call, and a note to show beside the bar."""


class Rate:
    """Steps per second since the start, as a note beside a progress bar."""

    def __init__(self, unit: str) -> None:
        self._unit, self._start, self._count = unit, time.perf_counter(), 0

    def after(self, steps: int) -> str:
        """Return the rate after ``steps`` more."""
        self._count += steps
        return f"{self._count / self._seconds:.0f} {self._unit}/s"

    def summary(self) -> str:
        """Return how many steps took how long.

        Example:
            >>> Rate("images").summary()
            '0 images in 0.0 s, 0 images/s'
        """
        return f"{self._count} {self._unit} in {self._seconds:.1f} s, {self.after(0)}"

    @property
    def _seconds(self) -> float:
        return time.perf_counter() - self._start


class ForgivingStream:
    """A text stream that drops what it cannot write: its reader is gone, its disk is full."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written; characters that the encoding lacks become escapes."""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError):  # the latter where it is closed
            return 0
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def forgiving(stream: TextIO | None) -> TextIO:
    """Return a stream whose loss is no error; None is one that was closed before the start."""
    given: object = stream
    if isinstance(given, ForgivingStream):
        return cast("TextIO", given)
    if stream is None:
        stream = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    return cast("TextIO", ForgivingStream(stream))


def protect_streams() -> None:
    """Make standard output and standard error of this process forgiving.

    Where a standard stream was closed before the start, files that are opened later would get its
    number, and whatever is printed.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= LAST_STANDARD_STREAM:
        pass
    os.close(descriptor)
    sys.stdout, sys.stderr = forgiving(sys.stdout), forgiving(sys.stderr)


def printable(text: str) -> str:
    r"""Return one line without control characters, so that a name cannot steer a terminal.

    Example:
        >>> print(printable("a\x1b[31mb"))
        a\x1b[31mb
    """
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


class _Terminal(Console):
    """A console that loses what it cannot print, where rich would end the process."""

    @property
    def file(self) -> IO[str]:
        """The stream at this moment, and not the one through which rich catches prints."""
        stream = sys.stderr if self.stderr else sys.stdout
        return forgiving(getattr(stream, "rich_proxied_file", stream))

    @file.setter
    def file(self, new: IO[str]) -> None:
        raise AttributeError("a terminal writes to the streams of its process")


class Display:
    """Progress and messages of one run, on standard error; the final table on standard output."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._errors = _Terminal(stderr=True, highlight=False)
        self._output = _Terminal(highlight=False)
        if not self._output.is_terminal:  # such as a file, where nothing is gained by folding
            self._output.width = WIDTH_OF_FILES

    def say(self, message: str) -> None:
        """Print one line."""
        if self._enabled:
            self._errors.print(printable(redacted(message)), soft_wrap=True, markup=False)

    def complain(self, message: str) -> None:
        """Print one line, even where nothing else is shown."""
        self._errors.print(printable(redacted(message)), soft_wrap=True, markup=False)

    @contextmanager
    def progress(self, title: str, total: int, done: int = 0) -> Iterator[Advance]:
        """Show progress and time left; yields the function to report steps to."""
        if not self._enabled:
            yield lambda steps, note: None
        elif self._errors.is_terminal:
            with self._bar() as bar:
                task = bar.add_task(printable(title), total=total, completed=done, note="")
                yield lambda steps, note: bar.update(task, advance=steps, note=note)
        else:
            yield _PlainProgress(self.say, title, total, done).advance

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._errors,
        )

    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None:
        """Print a small table of numbers under its title."""
        if not self._enabled:
            return
        table = Table()
        for column in columns:
            table.add_column(_cell(column), justify="right")
        for row in rows:
            table.add_row(*map(_cell, row))
        self._output.print(printable(title), soft_wrap=True, markup=False)
        self._output.print(table)

    def report(self, title: str, columns: list[str], rows: list[list[str]]) -> None:
        """Print a table of words under its title, even where nothing else is shown."""
        table = Table(show_lines=False)
        for column in columns:
            table.add_column(_cell(column), overflow="fold")
        for row in rows:
            table.add_row(*(_cell(redacted(cell)) for cell in row))
        self._output.print(printable(title), soft_wrap=True, markup=False)
        self._output.print(table)


def _cell(text: str) -> Text:
    """Return what a cell shows: names are no markup."""
    return Text(printable(text))


class _PlainProgress:
    """A line at the first step, every few seconds, and at the last step."""

    def __init__(self, say: Callable[[str], None], title: str, total: int, done: int) -> None:
        self._say, self._title, self._total = say, title, total
        self._done, self._first = done, done
        self._start = time.monotonic()
        self._next_line = 0.0

    def advance(self, steps: int, note: str) -> None:
        self._done += steps
        elapsed = time.monotonic() - self._start
        if elapsed < self._next_line and self._done < self._total:
            return
        self._next_line = elapsed + SECONDS_BETWEEN_LINES
        left = ""
        if self._done > self._first:
            seconds = elapsed / (self._done - self._first) * (self._total - self._done)
            left = f"  {seconds:.0f} s left"
        self._say(f"{self._title}: {self._done}/{self._total}  {note}{left}")
