"""Standard streams that take any text, and whose loss does not stop the work."""

import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, TextIO, cast


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


def forgiving(stream: TextIO) -> TextIO:
    """Return a stream whose loss is no error."""
    known = isinstance(stream, ForgivingStream) or stream is None
    return stream if known else cast("TextIO", ForgivingStream(stream))


def protect_streams() -> None:
    """Make standard output and standard error of this process forgiving."""
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


def save_traceback(error: BaseException) -> Path | None:
    """Write the traceback of an error to a new file, and return it; None if that fails."""
    try:
        descriptor, path = tempfile.mkstemp(prefix="alupdate-", suffix=".log")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(traceback.format_exception(error))
    except (OSError, MemoryError, RecursionError):
        return None
    return Path(path)
