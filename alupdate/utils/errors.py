"""The exception for wrong input, exit codes, and one-line error messages."""

import difflib
import errno
import os
import tempfile
import traceback
from collections.abc import Iterable
from pathlib import Path

DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes of every command: success, a run failed, wrong input, stopped by a signal."""


class InputError(Exception):
    """The command or its input is wrong.

    The message is a single line: what is wrong, where, and what would be right. The command
    prints it without a traceback and exits with ``WRONG_INPUT``.
    """


def first_line(error: BaseException, *, typed: bool = False) -> str:
    r"""Return the first line of an error's message, or the name of its type if it has none.

    Args:
        error: any exception.
        typed: whether to put the type before the message, as in ``ValueError: too large``.

    Example:
        >>> first_line(ValueError("too large\nby far"), typed=True)
        'ValueError: too large'
    """
    name, lines = type(error).__name__, str(error).strip().splitlines()
    if not lines:
        return name
    return f"{name}: {lines[0]}" if typed else lines[0]


def explain_os_error(error: OSError) -> str:
    """Return one line for a file, or another resource of the system, that could not be used."""
    reason = error.strerror or first_line(error, typed=True)
    if error.errno in _CANNOT_WRITE and error.filename is not None:
        return f"results_dir: cannot write {error.filename} ({reason})"
    return reason if error.filename is None else f"{error.filename}: {reason}"


_CANNOT_WRITE = {errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM}
_CANNOT_WRITE |= {errno.ENOTDIR, errno.EEXIST, errno.EFBIG, errno.EIO}


def suggestion(name: str, allowed: Iterable[str]) -> str:
    """Return ``did you mean a or b? `` for the names nearest to ``name``, or an empty string."""
    nearest = difflib.get_close_matches(name, list(allowed), n=2, cutoff=0.5)
    return f"did you mean {' or '.join(nearest)}? " if nearest else ""


def save_traceback(error: BaseException) -> Path | None:
    """Write the traceback of an error to a new file, and return it; None if that fails."""
    try:
        descriptor, path = tempfile.mkstemp(prefix="alupdate-", suffix=".log")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(traceback.format_exception(error))
    except (OSError, MemoryError, RecursionError):
        return None
    return Path(path)
