"""The exception for wrong input, exit codes, and one-line error messages."""

import difflib
import os
import re
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


USER_AND_PASSWORD = re.compile(r"(?<=//)[^\s'\"]*@")
SECRET_PARAMETER = re.compile(
    r"([?&]\w*(?:password|passwd|pwd|token|secret|key)=)[^&\s'\"]+", re.IGNORECASE
)

SECRET_SETTING = re.compile(r"(\b(?:task|labelstudio)\.token=)(?!\$|'\$)(?:\[[^\]]*\]|[^\s:]+)")


def redacted(text: str) -> str:
    """Return a text without the user names and passwords that addresses in it hold.

    Secret settings are left out, too, unless they name an environment variable.

    Example:
        >>> redacted("labelstudio.token=12345: must be text")
        'labelstudio.token=***: must be text'
        >>> redacted("tracker.uri=https://me:secret@example.org/ml?token=abc")
        'tracker.uri=https://example.org/ml?token=***'
    """
    without = SECRET_PARAMETER.sub(r"\1***", USER_AND_PASSWORD.sub("", text))
    return SECRET_SETTING.sub(r"\1***", without)


def first_line(error: BaseException, *, typed: bool = False) -> str:
    r"""Return the first line of an error's message, or the name of its type if it has none.

    Args:
        error: any exception.
        typed: whether to put the type before the message, as in ``ValueError: too large``.

    Example:
        >>> first_line(ValueError("too large\nby far"), typed=True)
        'ValueError: too large'
    """
    name, lines = type(error).__name__, redacted(str(error)).strip().splitlines()
    if not lines:
        return name
    return f"{name}: {lines[0]}" if typed else lines[0]


def explain_os_error(error: OSError) -> str:
    """Return one line that names the file, if there is one, and what the system says of it.

    Whether it was read or written is known where it happens, and said there.

    Example:
        >>> explain_os_error(FileNotFoundError(2, "No such file or directory", "a.csv"))
        'a.csv: No such file or directory'
    """
    reason = error.strerror or first_line(error)
    return reason if error.filename is None else f"{error.filename}: {reason}"


def cannot_read(where: str, error: OSError) -> InputError:
    """Return the exception for a file that the user named and that the system does not read.

    Args:
        where: the setting or the file that is read; the file is added where it is another.
        error: what the system says.

    Example:
        >>> cannot_read("dataset.path=a.csv", PermissionError(13, "Permission denied", "a.csv"))
        InputError('dataset.path=a.csv: cannot be read (Permission denied)')
    """
    file = "" if error.filename is None else str(error.filename)
    place = where if file in where else f"{where}: {file}"
    reason = error.strerror or first_line(error)
    missing = isinstance(error, FileNotFoundError)
    return InputError(f"{place}: {reason if missing else f'cannot be read ({reason})'}")


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
