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


LONGEST_NAME = 180
"""Bytes of a name made of labels; file systems allow 255, of which endings need some."""


def safe_name(text: str) -> str:
    """Return a text with ``_`` for what a file name should not have, and not too long for one.

    Letters, digits, dots, dashes and underscores stay; so no name leads out of its folder.

    Example:
        >>> safe_name("../ag/news")
        '.._ag_news'
    """
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in text)
    return safe.encode()[:LONGEST_NAME].decode(errors="ignore")


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
    try:
        return sha256_of(Path(path))
    except OSError as error:
        raise InputError(f"{key}={path}: {error.strerror}") from error
