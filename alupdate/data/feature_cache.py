"""A cache of features on disk: extracted once, shared by all runs, mapped instead of loaded.

Three files per key: ``KEY.npy`` (all rows, pool first), ``KEY.json`` (its size and SHA-256), and,
while extraction lasts, ``KEY.partial`` with ``KEY.progress``: after every few chunks of rows, how
far it got. Rows are appended to the file as they come, so memory does not grow with their number,
and an extraction that was killed goes on where it stopped.

Checksums notice damage: a disk's errors, files that were cut off. They do not protect from somebody
who can write the folder, and with it the checksum; its permissions do (``cache_folder``).
"""

import json
import logging
import mmap
import os
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter, ValidationError

from alupdate.data.dataset import FloatArray
from alupdate.utils.files import locked_file, regular_bytes, replace_file, sha256_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from alupdate.models.scales import Scale

log = logging.getLogger(__name__)
ROWS_BETWEEN_COMMITS = 1024
CHECKSUM_BLOCK = 2**24
"""Bytes that are read at a time for a checksum."""
GATHERED_BYTES = 2**26
"""Bytes of mapped features that are read at a time."""
RowsDone = Callable[[int], None]
"""Takes the number of rows done since the last call."""


@dataclass(frozen=True)
class Features:
    """Feature vectors of a data set.

    Attributes:
        pool: (N, D).
        test: (T, D).
        notes: what a user should know about them, a line each.
        scale: by which they were standardised; None where they are as the backbone gives them.
    """

    pool: FloatArray
    test: FloatArray
    notes: tuple[str, ...] = ()
    scale: "Scale | None" = None


@dataclass(frozen=True)
class Extraction:
    """How to compute the features of all instances, pool first.

    Attributes:
        count: how many instances there are.
        rows: (start, stop) -> features (stop - start, D).
        chunk: how many are computed together.
        watched: given the number of rows done before, yields the function to report rows to.
    """

    count: int
    rows: Callable[[int, int], FloatArray]
    chunk: int
    watched: Callable[[int], AbstractContextManager[RowsDone]]

    def all_rows(self) -> FloatArray:
        """Return the features (count, D), computed in memory."""
        parts = []
        with self.watched(0) as advance:
            for start in range(0, self.count, self.chunk):
                parts.append(self.rows(start, min(start + self.chunk, self.count)))
                advance(len(parts[-1]))
        return np.concatenate(parts)


@dataclass(frozen=True)
class _Progress:
    """How far an extraction got: the file's first ``done`` rows have the checksum ``crc``."""

    done: int
    dimension: int
    crc: int


@dataclass(frozen=True)
class _Contents:
    """What a finished file must hold."""

    count: int
    dimension: int
    sha256: str


def cached_rows(folder: Path, key: str, extraction: Extraction) -> FloatArray:
    """Return the features (count, D) kept under ``key``, or extract and keep them.

    The rows are mapped from the file, read-only: processes that use the same features share their
    memory. Two processes that ask for the same key extract once: the second waits for the first.

    Args:
        folder: the cache directory.
        key: a readable name that ends in a hash of data, weights and transform.
        extraction: computes the features.

    Raises:
        OSError: the disk is full, or cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{key}.npy"
    with locked_file(folder / f"{key}.lock"):
        kept = _load(path, extraction.count)
        if kept is None:
            _extract(path, extraction)
            kept = _load(path, extraction.count)
    if kept is None:
        raise OSError(f"{path} cannot be read back")
    return kept


def _load(path: Path, count: int) -> FloatArray | None:
    """Return the kept features, or None (and say so in the log) if a file is damaged."""
    if not path.is_file():
        return None
    try:
        contents = TypeAdapter(_Contents).validate_json(regular_bytes(path.with_suffix(".json")))
        size = (contents.count, contents.dimension)
        found = path.stat().st_size
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


def _extract(path: Path, extraction: Extraction) -> None:
    """Append what is missing to the partial file, then put it in its place."""
    partial, progress_file = path.with_suffix(".partial"), path.with_suffix(".progress")
    progress = _resumed(partial, progress_file, extraction.count)
    with _opened(partial, progress.done > 0) as file, extraction.watched(progress.done) as advance:
        file.truncate(4 * progress.done * progress.dimension)
        file.seek(0, os.SEEK_END)
        while progress.done < extraction.count:
            stop = min(progress.done + ROWS_BETWEEN_COMMITS, extraction.count)
            progress = _append(file, extraction, advance, progress, stop)
            replace_file(progress_file, json.dumps(asdict(progress)))
    contents = _Contents(extraction.count, progress.dimension, sha256_of(partial))
    replace_file(path.with_suffix(".json"), json.dumps(asdict(contents)))
    partial.replace(path)
    progress_file.unlink()


def _opened(partial: Path, resumes: bool) -> IO[bytes]:
    """Open the partial file to read and write it: never what a link at its name leads to."""
    if not resumes:
        partial.unlink(missing_ok=True)
    new = 0 if resumes else os.O_CREAT | os.O_EXCL
    flags = os.O_RDWR | new | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(partial, flags, 0o600), "r+b")


def _append(
    file: IO[bytes], extraction: Extraction, advance: RowsDone, progress: _Progress, stop: int
) -> _Progress:
    """Compute and append the rows up to ``stop``; they are on disk when this returns."""
    dimension, crc = progress.dimension, progress.crc
    for start in range(progress.done, stop, extraction.chunk):
        end = min(start + extraction.chunk, stop)
        rows = np.ascontiguousarray(extraction.rows(start, end), dtype=np.float32)
        dimension, crc = rows.shape[1], zlib.crc32(rows.data, crc)
        file.write(rows.data)
        advance(end - start)
    file.flush()
    os.fsync(file.fileno())
    return _Progress(stop, dimension, crc)


def _resumed(partial: Path, progress_file: Path, count: int) -> _Progress:
    """Return the progress of an earlier extraction if its rows are still what they were."""
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


@dataclass(frozen=True)
class MappedRows:
    """Feature vectors (N, D) of a mapped file, with a last column of ones where they are gathered.

    A pool of a million instances is then in memory once, as the candidates of a query, and not a
    second time as the pool. What was read of the file is given back at once: mapped pages count as
    memory of the process, and the system keeps them for the next read if it has room.

    Attributes:
        features: (N, D), a ``np.memmap``.
        device: where gathered rows go.
    """

    features: FloatArray
    device: "torch.device"

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, positions: "Tensor") -> "Tensor":
        """Return the rows (n, D + 1) at positions (n,), read in the order of the file."""
        import torch

        wanted = positions.numpy(force=True)
        rows = torch.ones(len(wanted), self.features.shape[1] + 1)
        order = np.argsort(wanted, kind="stable")
        size = max(1, GATHERED_BYTES // (4 * self.features.shape[1]))
        for start in range(0, len(order), size):
            places = order[start : start + size]
            rows.numpy()[places, :-1] = self.features[wanted[places]]
            self._give_back()
        return rows.to(self.device)

    def _give_back(self) -> None:
        mapped = getattr(self.features, "_mmap", None)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)
