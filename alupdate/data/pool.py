"""The state of the pool, and the annotator that labels its instances."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from alupdate.config.values import NO_LABEL
from alupdate.data.dataset import IntArray


def _none() -> IntArray:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Pool:
    """Which instances of the pool are labelled, in the order of annotation.

    It holds the labels of labelled instances and no others: the label of an unlabelled instance
    cannot be reached through it.

    Attributes:
        size: number of instances, labelled or not.
        indices: (N,), the labelled instances.
        labels: (N,), their class indices.
        reserved: (R,), instances set aside that are never candidates.
        unlabelable: (U,), instances that were asked about, and that nobody could label.

    Example:
        >>> import numpy as np
        >>> pool = Pool.unlabelled(5).label(np.array([3, 1]), np.array([0, 2]))
        >>> pool.candidates().tolist()
        [0, 2, 4]
    """

    size: int
    indices: IntArray
    labels: IntArray
    reserved: IntArray
    unlabelable: IntArray = field(default_factory=_none)

    @classmethod
    def unlabelled(cls, size: int, reserved: IntArray | None = None) -> "Pool":
        """Return a pool in which nothing is labelled."""
        return cls(size, _none(), _none(), _none() if reserved is None else reserved)

    @property
    def n_asked(self) -> int:
        """How many instances were asked about; each costs as much as a label."""
        return len(self.indices) + len(self.unlabelable)

    def candidates(self) -> IntArray:
        """Return the indices of all instances that may be selected, ascending."""
        free = np.ones(self.size, dtype=bool)
        free[self.indices] = False
        free[self.reserved] = False
        free[self.unlabelable] = False
        return np.flatnonzero(free)

    def label(self, indices: IntArray, labels: IntArray) -> "Pool":
        """Return the pool with more instances labelled, or known to have no label.

        Args:
            indices: (b,), candidates.
            labels: (b,), their class indices, or NO_LABEL.

        Raises:
            ValueError: an index is unknown, reserved, labelled already, or named twice.
        """
        if len(np.unique(indices)) != len(indices) or not np.isin(indices, self.candidates()).all():
            raise ValueError(f"not distinct unlabelled instances of the pool: {indices.tolist()}")
        known = labels != NO_LABEL
        return Pool(
            self.size,
            np.concatenate([self.indices, indices[known]]),
            np.concatenate([self.labels, labels[known]]),
            self.reserved,
            np.concatenate([self.unlabelable, indices[~known]]),
        )

    def relabelled(self, labels: Mapping[int, int]) -> "Pool":
        """Return the pool with other labels of labelled instances: pool index to class index."""
        pairs = zip(self.indices.tolist(), self.labels.tolist(), strict=True)
        revised = [labels.get(index, label) for index, label in pairs]
        return replace(self, labels=np.array(revised, dtype=np.int64))


class Annotator:
    """Gives the labels of the instances that are queried, and of no others."""

    def __init__(self, labels: IntArray) -> None:
        self._labels = labels

    def annotate(self, indices: IntArray) -> IntArray:
        """Return the labels (b,) of instances (b,), NO_LABEL for outliers."""
        return self._labels[indices]
