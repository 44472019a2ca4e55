"""Atomic writes, locks and checksums of files, and what lies below a folder."""

import errno
import hashlib
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from filelock import FileLock

if sys.platform != "win32":
    import fcntl

from alupdate.utils.display import Display
from alupdate.utils.errors import InputError, cannot_read

Status = os.stat_result
_Identity = tuple[int, int]
MOST_WAYS = 100
"""By how many links one folder may be reached: links between folders multiply quickly."""


def replace_file(path: Path, content: str | bytes, *, synced: bool = True) -> None:
    """Write ``content`` to ``path`` atomically: readers see the old file or the new one.

    Raises OSError (disk full, no permission) with the old file untouched and no stray file left.

    Args:
        path: of the file.
        content: the whole of it.
        synced: whether the data reaches the disk before the rename, so that all this holds after
            a power cut, too; slow, and not needed for what can be made again.
    """
    with replaced_file(path, synced=synced) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def replaced_file(path: Path, *, synced: bool = True) -> Iterator[IO[bytes]]:
    """Yield a file that takes the place of ``path`` when the block ends, and not if it fails.

    Arguments and errors are those of ``replace_file``.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.unlink(missing_ok=True)  # of a process of this number, or a link
        with partial.open("xb") as file:
            yield file
            if synced:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)
"""What the system says where a file system takes no locks."""
WARNED = "ALUPDATE_WITHOUT_LOCKS"
"""Environment: set after the warning, so that the processes of a sweep do not repeat it."""
Holder = Literal["alive", "gone", "unknown"]


@contextmanager
def locked_file(path: Path, timeout: float = -1.0) -> Iterator[None]:
    """Hold the lock of a file, which is made where it is not there.

    The system frees it with the process. Where a file server takes no locks, the work goes on
    without after one warning: it is safe as long as no two commands write the same files.

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


def lock_opened(descriptor: int, path: Path) -> None:
    """Wait for the lock of an open file, which its closing frees; as ``locked_file`` without locks.

    On Windows nothing is locked.

    Raises:
        OSError: it cannot be locked although the file system takes locks.
    """
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        _warn(path, error)


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
    if sys.platform == "win32":
        return "unknown", "this system does not tell who holds a lock"
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


def require_regular(path: Path) -> None:
    """Refuse what has no end, such as a pipe or a device: reading it might take for ever.

    Raises:
        OSError: there is no such file, or it is no regular one.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is no regular file", str(path))


def regular_bytes(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: as ``require_regular``, or it cannot be read, or is larger than the memory.
    """
    require_regular(path)
    try:
        return path.read_bytes()
    except (MemoryError, OverflowError) as error:
        too_large = "is larger than this machine's memory"
        raise OSError(errno.EFBIG, too_large, str(path)) from error


BYTES_OF_NAME = 180
"""Bytes of a name made of labels; file systems allow 255, of which endings need some."""


def safe_name(text: str) -> str:
    """Return a text with ``_`` for what a file name should not have, and not too long for one.

    Letters, digits, dots, dashes and underscores stay; so no name leads out of its folder.

    Example:
        >>> safe_name("../ag/news")
        '.._ag_news'
    """
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in text)
    return safe.encode()[:BYTES_OF_NAME].decode(errors="ignore")


def distinct_name(text: str) -> str:
    """Return ``safe_name``, with a digest where it differs from the text: no two texts share one.

    Example:
        >>> distinct_name("ag_news"), distinct_name("ag/news")
        ('ag_news', 'ag_news-40b8e4')
    """
    safe = safe_name(text)
    if safe == text:
        return text
    return f"{safe}-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:6]}"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    require_regular(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digest(key: str, path: str) -> str:
    """Return the SHA-256 of the file that the setting ``key`` names.

    Raises:
        InputError: it cannot be read.
    """
    return digest_of(Path(path), f"{key}={path}")


def digest_of(path: Path, where: str) -> str:
    """Return the SHA-256 of a file of the user's.

    Args:
        path: of the file.
        where: how to call what needs it in an error message.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return sha256_of(path)
    except OSError as error:
        raise cannot_read(where, error) from error


def printable_name(name: str) -> str:
    r"""Return a file's name with what a terminal or UTF-8 cannot show written as escapes.

    Example:
        >>> printable_name("caf\udce9.png"), printable_name("a\x1b[31m")
        ('caf\\xe9.png', 'a\\x1b[31m')
    """
    known = os.fsencode(name).decode("utf-8", errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in known)


@dataclass(frozen=True)
class Walk:
    """What lies below a folder; paths are relative to it, with slashes.

    Attributes:
        files: regular files, with their status.
        folders: all of them.
        hidden: files and folders whose name begins with a dot; the folders are not entered.
        dangling: links that lead nowhere.
        special: pipes, sockets and devices.
    """

    files: dict[str, Status] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    dangling: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)


def files_below(root: Path, where: str) -> Walk:
    """List what lies below a folder; links are followed, inside and outside of it.

    Args:
        root: the folder.
        where: how to call it in an error message.

    Raises:
        InputError: a link leads back to a folder around it, or a folder cannot be listed.
    """
    walk, ways = Walk(), Counter[_Identity]()
    try:
        pending: list[tuple[str, tuple[_Identity, ...]]] = [("", (_identity(root.stat()),))]
        while pending:
            prefix, above = pending.pop()
            for entry in sorted(os.listdir(root / prefix)):
                path = f"{prefix}{entry}"
                status = None if entry.startswith(".") else _status(root / path)
                if entry.startswith("."):
                    walk.hidden.append(path)
                elif status is None:
                    walk.dangling.append(path)
                elif stat.S_ISREG(status.st_mode):
                    walk.files[path] = status
                elif stat.S_ISDIR(status.st_mode):
                    here = _identity(status)
                    ways[here] += 1
                    _refuse_circle(here in above, ways[here], f"{where}: {printable_name(path)}")
                    walk.folders.append(path)
                    pending.append((f"{path}/", (*above, here)))
                else:
                    walk.special.append(path)
    except OSError as error:
        place = printable_name(str(error.filename))
        raise InputError(f"{where}: {place} cannot be listed ({error.strerror})") from error
    return walk


def _status(path: Path) -> Status | None:
    """Return the status of what a path leads to, or None for a link that leads nowhere."""
    try:
        return path.stat()
    except OSError:
        if not path.is_symlink():
            raise
        return None


def _identity(status: Status) -> _Identity:
    return status.st_dev, status.st_ino


def _refuse_circle(back: bool, ways: int, link: str) -> None:
    if back:
        raise InputError(f"{link} leads back to a folder around it; remove the link")
    if ways > MOST_WAYS:
        raise InputError(f"{link} is a folder that over {MOST_WAYS} links lead to; remove some")
