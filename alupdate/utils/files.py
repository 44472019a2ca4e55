"""Atomic writes, and checksums of files."""

import errno
import hashlib
import os
import stat
from pathlib import Path

from alupdate.utils.errors import InputError


def replace_file(path: Path, content: str | bytes, *, synced: bool = True) -> None:
    """Write ``content`` to ``path`` atomically: readers see the old file or the new one.

    Raises OSError (disk full, no permission) with the old file untouched and no stray file left.

    Args:
        path: of the file.
        content: the whole of it.
        synced: whether the data reaches the disk before the rename, so that all this holds after
            a power cut, too; slow, and not needed for what can be made again.
    """
    data = content.encode() if isinstance(content, str) else content
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


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
    try:
        return sha256_of(Path(path))
    except OSError as error:
        raise InputError(f"{key}={path}: {error.strerror}") from error
