"""A cache of features on disk: extracted once, shared by all runs, mapped instead of loaded.

All rows of a key, pool first, are one file of ``row_files``: ``KEY.npy``, beside ``KEY.log``, which
says how long they took. Where several jobs share
the extraction, each writes a file of its own (``feature_shards``), and these are joined to that.
"""

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from platform import node
from typing import TYPE_CHECKING, Any

import numpy as np

from alupdate.data.dataset import FloatArray
from alupdate.data.feature_shards import Shard, ShardFolder
from alupdate.data.row_files import Extraction, extract_rows, load_rows
from alupdate.utils.files import locked_file

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from alupdate.models.scales import Scale

GATHERED_BYTES = 2**26
"""Bytes of mapped features that are read at a time."""

LARGE_BYTES = 2**29
"""Features of a mapped file above this size stay there until they are asked for."""


@dataclass(frozen=True)
class ScaledRows:
    """Features of a large mapped file, scaled whenever some of them are read.

    Attributes:
        rows: (N, D), a ``np.memmap`` of the features as they are.
        scale: shift and factor of each.
    """

    rows: FloatArray
    scale: "Scale"

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, D)."""
        return self.rows.shape

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, positions: Any) -> FloatArray:
        """Return the scaled features at positions, a slice, or a mask."""
        return self.scale.apply(self.rows[positions])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> FloatArray:
        """Return all of them, in memory."""
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)


def is_large_file(rows: FloatArray) -> bool:
    """Return whether features stay in the file that they are mapped from."""
    return isinstance(rows, np.memmap) and rows.nbytes > LARGE_BYTES


def rows_in_turn(rows: FloatArray) -> Iterator[FloatArray]:
    """Yield features (N, D) as views (n, D): all at once, but those of a large file in parts.

    What was read of a file is given back at once: mapped pages count as memory of the process, and
    the system keeps them for the next read if it has room.
    """
    if not is_large_file(rows):
        yield rows
        return
    size = max(1, GATHERED_BYTES // (8 * rows.shape[1]))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
        _give_back(rows)


def _give_back(features: FloatArray | ScaledRows) -> None:
    rows = features.rows if isinstance(features, ScaledRows) else features
    mapped = getattr(rows, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class Features:
    """Feature vectors of a data set.

    Attributes:
        pool: (N, D); of a large mapped file, scaled where it is read.
        test: (T, D).
        notes: what a user should know about them, a line each.
        scale: by which they were standardised; None where they are as the backbone gives them.
    """

    pool: FloatArray | ScaledRows
    test: FloatArray
    notes: tuple[str, ...] = ()
    scale: "Scale | None" = None


def cached_rows(folder: Path, key: str, extraction: Extraction) -> FloatArray:
    """Return the features (count, D) kept under ``key``, or extract and keep them.

    The rows are mapped from the file, read-only: processes that use the same features share their
    memory. Two processes that ask for the same key extract once: the second waits for the first.
    What several jobs have begun to extract in shards is finished and joined.

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
        kept = load_rows(path, extraction.count)
        if kept is None:
            path.unlink(missing_ok=True)
            shards = ShardFolder(path)
            extract_rows(path, shards.joined(extraction))
            kept = load_rows(path, extraction.count)
            shards.remove()
    if kept is None:
        raise OSError(f"{path} cannot be read back")
    return kept


def record_line(folder: Path, key: str, line: str) -> None:
    """Append a line to the log of the features under ``key``, with the time and the machine.

    Raises:
        OSError: it cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(folder / f"{key}.log", flags, 0o600), "w", encoding="utf-8") as file:
        file.write(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S%z} {node()}: {line}\n")


def keep_shard(folder: Path, key: str, extraction: Extraction, shard: Shard) -> int:
    """Extract and keep one shard of the features under ``key``; the last one joins them all.

    Args:
        folder, key, extraction: as for ``cached_rows``.
        shard: which one.

    Returns:
        How many shards are still missing; 0 once the features of all instances are kept.

    Raises:
        OSError: the disk is full, or cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{key}.npy"
    if load_rows(path, extraction.count) is not None:
        return 0
    if path.is_file():
        with locked_file(folder / f"{key}.lock"):
            if load_rows(path, extraction.count) is None:
                path.unlink(missing_ok=True)
    shards = ShardFolder(path)
    shards.keep(shard, extraction)
    missing = shards.missing(shard.of, extraction.count)
    if not missing:
        cached_rows(folder, key, extraction)
    return len(missing)


@dataclass(frozen=True)
class MappedRows:
    """Feature vectors (N, D) of a mapped file, with a last column of ones where they are gathered.

    A pool of a million instances is then in memory once, as the candidates of a query, and not a
    second time as the pool. What was read of the file is given back at once.

    Attributes:
        features: (N, D), a ``np.memmap``, or one that is scaled.
        device: where gathered rows go.
    """

    features: FloatArray | ScaledRows
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
            _give_back(self.features)
        return rows.to(self.device)
