"""Locks of files, which the operating system frees with their process (``flock``).

Some file servers take no locks. There the work goes on without, after one warning: it is safe as
long as no two commands write the same files.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from filelock import FileLock

from alupdate.utils.display import Display

WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)
"""What the system says where a file system takes no locks."""
WARNED = "ALUPDATE_WITHOUT_LOCKS"
"""Environment: set after the warning, so that the processes of a sweep do not repeat it."""
Holder = Literal["alive", "gone", "unknown"]


@contextmanager
def locked_file(path: Path, timeout: float = -1.0) -> Iterator[None]:
    """Hold the lock of a file, which is made where it is not there.

    Args:
        path: of the file.
        timeout: seconds to wait for another process; negative for ever.

    Raises:
        filelock.Timeout: another process holds it.
        OSError: the file cannot be made or opened.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=timeout)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        _warn(path, error)
    try:
        yield
    finally:
        lock.release()


def _warn(path: Path, error: OSError) -> None:
    if not os.environ.get(WARNED):
        os.environ[WARNED] = "1"
        Display(enabled=False).complain(
            f"warning: {path}: the file system takes no locks ({error.strerror}); the work goes on "
            "without, so let no other command write there at the same time"
        )


def holder(path: Path) -> tuple[Holder, str]:
    """Return whether a living process holds the lock of a file, and why that is not known.

    The file is only read, so that this works for other users and on read-only file systems.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return "gone", ""
    except OSError as error:
        return "unknown", error.strerror or ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "alive", ""
    except OSError as error:
        return "unknown", error.strerror or ""
    finally:
        os.close(descriptor)
    return "gone", ""
