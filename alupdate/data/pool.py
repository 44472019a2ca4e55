"""Who is labelled, and who gives labels."""

from dataclasses import dataclass

import numpy as np

from alupdate.data.dataset import IntArray


@dataclass(frozen=True)
class Pool:
    """The pool's state: which instances are labelled, in the order of purchase.

    It holds no other label than those that were bought: an unlabelled instance's label cannot be
    reached through it.

    Attributes:
        size: number of instances, labelled or not.
        indices: (N,), the labelled instances.
        labels: (N,), their class indices.
        reserved: (R,), instances set aside that are never candidates.
    """

    size: int
    indices: IntArray
    labels: IntArray
    reserved: IntArray

    @classmethod
    def unlabelled(cls, size: int, reserved: IntArray | None = None) -> "Pool":
        """Return a pool of which nothing is labelled."""
        empty = np.empty(0, dtype=np.int64)
        return cls(size, empty, empty, empty if reserved is None else reserved)

    def candidates(self) -> IntArray:
        """Return the indices of all instances that may be bought, ascending."""
        free = np.ones(self.size, dtype=bool)
        free[self.indices] = False
        free[self.reserved] = False
        return np.flatnonzero(free)

    def label(self, indices: IntArray, labels: IntArray) -> "Pool":
        """Return the pool after a purchase.

        Raises:
            ValueError: an index is unknown, reserved, labelled already, or named twice.
        """
        if len(np.unique(indices)) != len(indices) or not np.isin(indices, self.candidates()).all():
            raise ValueError(f"not distinct unlabelled instances of the pool: {indices.tolist()}")
        return Pool(
            self.size,
            np.concatenate([self.indices, indices]),
            np.concatenate([self.labels, labels]),
            self.reserved,
        )


class Annotator:
    """Gives the true labels of the instances that are bought, and of nothing else."""

    def __init__(self, labels: IntArray) -> None:
        self._labels = labels

    def annotate(self, indices: IntArray) -> IntArray:
        """Return the labels (b,) of instances (b,)."""
        return self._labels[indices]
