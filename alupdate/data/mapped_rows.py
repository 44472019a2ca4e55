"""Feature vectors that stay in their file until they are asked for."""

import mmap
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from alupdate.data.instances import FloatArray

CHUNK_BYTES = 2**26
"""Bytes of the file that are read at a time."""


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
    device: torch.device

    def __len__(self) -> int:
        """Return N."""
        return len(self.features)

    def __getitem__(self, positions: Tensor) -> Tensor:
        """Return the rows (n, D + 1) at positions (n,), read in the order of the file."""
        wanted = positions.numpy(force=True)
        rows = torch.ones(len(wanted), self.features.shape[1] + 1)
        order = np.argsort(wanted, kind="stable")
        size = max(1, CHUNK_BYTES // (4 * self.features.shape[1]))
        for start in range(0, len(order), size):
            places = order[start : start + size]
            rows.numpy()[places, :-1] = self.features[wanted[places]]
            self._give_back()
        return rows.to(self.device)

    def _give_back(self) -> None:
        mapped = getattr(self.features, "_mmap", None)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)
