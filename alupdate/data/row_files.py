"""Rows of numbers computed once and kept in a file: written as they come, resumed, then mapped.

Three files per path: ``NAME.npy`` (the rows), ``NAME.json`` (their size and SHA-256), and, while
they are computed, ``NAME.partial`` with ``NAME.progress``: after every few chunks of rows, how far
it got. Rows are appended to the file as they come, so memory does not grow with their number, and a
computation that was killed goes on where it stopped.

Checksums notice damage: a disk's errors, files that were cut off. They do not protect from somebody
who can write the folder, and with it the checksum; its permissions do (``cache_folder``).
"""

import json
import logging
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np
from pydantic import TypeAdapter, ValidationError

from alupdate.data.dataset import FloatArray
from alupdate.utils.files import regular_bytes, replace_file, sha256_of

log = logging.getLogger(__name__)
ROWS_BETWEEN_COMMITS = 1024
CHECKSUM_BLOCK = 2**24
"""Bytes that are read at a time for a checksum."""
RowsDone = Callable[[int], None]
"""Takes the number of rows done since the last call."""


@dataclass(frozen=True)
class Extraction:
    """How to compute the features of all instances, pool first.

    Attributes:
        count: how many instances there are, at least one.
        rows: (start, stop) -> yields the features (n, D) of instances start..stop-1, n at a time.
        watched: given how many rows are done before, of how many, and which ones these are (empty
            for all), yields the function to report rows to.
    """

    count: int
    rows: Callable[[int, int], Iterator[FloatArray]]
    watched: Callable[[int, int, str], AbstractContextManager[RowsDone]]

    def between(self, start: int, stop: int, which: str) -> "Extraction":
        """Return the extraction of instances start..stop-1 alone; ``which`` says which ones."""
        return Extraction(
            stop - start,
            lambda first, last: self.rows(start + first, start + last),
            lambda done, total, _: self.watched(done, total, which),
        )

    def all_rows(self) -> FloatArray:
        """Return the features (count, D), computed in memory."""
        parts = []
        with self.watched(0, self.count, "") as advance:
            for rows in self.rows(0, self.count):
                parts.append(rows)
                advance(len(rows))
        return np.concatenate(parts)


@dataclass(frozen=True)
class _Progress:
    """How far a computation got: the file's first ``done`` rows have the checksum ``crc``."""

    done: int
    dimension: int
    crc: int


@dataclass(frozen=True)
class _Contents:
    """What a finished file must hold; ``part`` says of what, where they are not all rows."""

    count: int
    dimension: int
    sha256: str
    part: str = ""


def load_rows(path: Path, count: int, part: str = "") -> FloatArray | None:
    """Return the rows (count, D) of a finished file, mapped read-only.

    None if there is no file, or (with a line in the log) if it is damaged or another's.

    Args:
        path: of the file.
        count: how many rows it must have.
        part: what it must say that it holds; empty for all rows.
    """
    if not path.is_file():
        return None
    try:
        contents = TypeAdapter(_Contents).validate_json(regular_bytes(path.with_suffix(".json")))
        size = (contents.count, contents.dimension)
        found = path.stat().st_size
        if contents.part != part:
            raise ValueError(f"it holds {contents.part or 'all rows'}, not {part or 'all rows'}")
        if contents.count != count or found != 4 * count * contents.dimension:
            raise ValueError(f"{found} bytes for {size} numbers")
        rows = np.memmap(path, np.float32, "r", shape=size)
        if sha256_of(path) != contents.sha256:
            raise ValueError("checksum")
    except (OSError, ValueError) as error:
        reason = "unreadable" if isinstance(error, ValidationError) else error
        log.warning("feature cache %s is damaged (%s); extracting again", path, reason)
        return None
    return rows


def extract_rows(path: Path, extraction: Extraction, part: str = "") -> None:
    """Append what is missing to the partial file, then put it in its place.

    Args:
        path: of the finished file.
        extraction: computes the rows.
        part: what the file says that it holds; empty for all rows.

    Raises:
        OSError: the disk is full, or cannot be written.
    """
    count = extraction.count
    partial, progress_file = path.with_suffix(".partial"), path.with_suffix(".progress")
    progress = _resumed(partial, progress_file, count)
    with (
        _opened(partial, progress.done > 0) as file,
        extraction.watched(progress.done, count, "") as advance,
    ):
        file.truncate(4 * progress.done * progress.dimension)
        file.seek(0, os.SEEK_END)
        committed = progress.done
        for rows in extraction.rows(progress.done, count):
            progress = _append(file, rows, progress)
            advance(len(rows))
            if progress.done - committed >= ROWS_BETWEEN_COMMITS or progress.done == count:
                _commit(file, progress, progress_file)
                committed = progress.done
    contents = _Contents(count, progress.dimension, sha256_of(partial), part)
    replace_file(path.with_suffix(".json"), json.dumps(asdict(contents)))
    partial.replace(path)
    progress_file.unlink()


def _append(file: IO[bytes], rows: FloatArray, progress: _Progress) -> _Progress:
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    file.write(rows.data)
    crc = zlib.crc32(rows.data, progress.crc)
    return _Progress(progress.done + len(rows), rows.shape[1], crc)


def _commit(file: IO[bytes], progress: _Progress, progress_file: Path) -> None:
    """Put all rows so far on the disk, and then say that they are there."""
    file.flush()
    os.fsync(file.fileno())
    replace_file(progress_file, json.dumps(asdict(progress)))


def _opened(partial: Path, resumes: bool) -> IO[bytes]:
    """Open the partial file to read and write it: never what a link at its name leads to."""
    if not resumes:
        partial.unlink(missing_ok=True)
    new = 0 if resumes else os.O_CREAT | os.O_EXCL
    flags = os.O_RDWR | new | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(partial, flags, 0o600), "r+b")


def _resumed(partial: Path, progress_file: Path, count: int) -> _Progress:
    """Return the progress of an earlier attempt if its rows are still what they were."""
    nothing = _Progress(0, 0, 0)
    if partial.is_symlink():
        return nothing
    try:
        progress = TypeAdapter(_Progress).validate_json(regular_bytes(progress_file))
        if not 0 < progress.done <= count or progress.dimension < 1:
            return nothing
        found = _crc(partial, 4 * progress.done * progress.dimension)
    except (OSError, ValueError):
        return nothing
    if found != progress.crc:
        return nothing
    log.info("extraction resumes after %d rows", progress.done)
    return progress


def _crc(path: Path, size: int) -> int:
    """Return the checksum of a file's first bytes."""
    crc = 0
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(CHECKSUM_BLOCK, size))):
            crc, size = zlib.crc32(block, crc), size - len(block)
    return crc
