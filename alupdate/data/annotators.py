"""Simulated annotators who err, and the vote on what they say."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from alupdate.data.dataset import IntArray
from alupdate.data.pool import Annotator
from alupdate.utils.seeds import Stream, generator

GivenLabel = tuple[int, int, int]
"""An instance of the pool, the number of an annotator, and the class index that this one gave."""


def majority(votes: Sequence[int]) -> int:
    """Return the class with the most votes (n >= 1,); of equals, the one that was named first.

    Example:
        >>> majority([2, 0, 0, 1]), majority([2, 0, 0, 2])
        (0, 2)
    """
    return Counter(votes).most_common(1)[0][0]  # which keeps the order of first mentions


def lead(votes: Sequence[int]) -> int:
    """Return by how many votes the first class is ahead of the second.

    Example:
        >>> lead([2, 0, 0]), lead([2, 0]), lead([2])
        (1, 0, 1)
    """
    counts = [count for _, count in Counter(votes).most_common(2)]
    return counts[0] - sum(counts[1:])


def symmetric(n_classes: int) -> NDArray[np.float64]:
    """Return the weights (C, C) with which every class but the true one is drawn alike."""
    return 1 - np.eye(n_classes)


class NoisyAnnotators(Annotator):
    """Annotators who err independently; about an instance they are asked in a random order.

    What they say depends on the seed and the instance alone: it does not matter when, in which
    order or together with what an instance is asked about, and a resumed run hears the same. Once
    all have been asked about an instance, they are asked again in the same order, and each
    annotation is a draw of its own.
    """

    def __init__(
        self,
        labels: IntArray,
        rates: Sequence[float],
        votes: int,
        seed: int,
        confusion: NDArray[np.float64],
    ) -> None:
        """Make annotators.

        Args:
            labels: (N,), true class indices of the pool.
            rates: (n,), of each annotator the probability that an annotation is wrong.
            votes: how many are asked about an instance at first.
            seed: of the run.
            confusion: (C, C), row c: the weights of the classes that are given instead of c.
        """
        super().__init__(labels)
        self._rates, self._votes = np.asarray(rates, dtype=np.float64), votes
        self._generator = partial(generator, seed, Stream.ANNOTATION)
        self._edges = np.cumsum(confusion * symmetric(len(confusion)), axis=1)

    def annotations(self, index: int, count: int | None = None) -> list[GivenLabel]:
        """Return the first annotations (count,) of an instance; None for as many as at first."""
        count, rng = count or self._votes, self._generator(index)
        order = rng.permutation(len(self._rates))
        draws = rng.random((count, 2))
        return [
            (index, int(who), self._answer(index, self._rates[who], *draw))
            for who, draw in zip(np.resize(order, count), draws, strict=True)
        ]

    @override
    def annotate(self, indices: IntArray) -> IntArray:
        """Return the vote (b,) on the first annotations of instances (b,)."""
        found = [self.annotations(index) for index in indices.tolist()]
        votes = [majority([label for *_, label in given]) for given in found]
        return np.array(votes, dtype=np.int64)

    def _answer(self, index: int, rate: float, error: float, place: float) -> int:
        """Return the class that is given, from two uniform numbers: whether wrong, and which."""
        truth = int(self._labels[index])
        edges = self._edges[truth]
        if error >= rate or not edges[-1]:
            return truth
        others = np.flatnonzero(np.diff(edges, prepend=0))
        drawn = np.searchsorted(edges[others], place * edges[-1], side="right")
        return int(others[min(drawn, len(others) - 1)])  # a product may round up to the sum
