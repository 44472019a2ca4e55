"""Candidate batches by an ensemble of strategies, each from a random part of the candidates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from alupdate.strategies.badge import Badge
from alupdate.strategies.bait import Bait
from alupdate.strategies.base import Positions, Query, Strategy
from alupdate.strategies.diversity import CoreSet, TypiClust, unit_length
from alupdate.strategies.label_flips import (
    AlfaMix,
    DropQuery,
    representatives,
    without_bias,
)
from alupdate.strategies.lookahead import require_oracle
from alupdate.strategies.uncertainty import Margin, RandomSampling


@dataclass(frozen=True)
class ClassBalanced(Strategy):
    """The most typical instances of the classes with the fewest labels: an ORACLE.

    Each pick is of the class that has the fewest labels so far, those of the batch included; of
    equals it is the first class. Within the class it is the candidate of the smallest sum of
    squared distances to the others that are left, on features of unit length. That is the one
    nearest to their mean, so that a pick costs O(P D). [Huseljic2026b] proposes such batches in two
    ways: from all candidates, where true classes take the place of TypiClust's clusters, and from
    those of DropQuery.

    Attributes:
        source: whose candidates are chosen from; None for all.
    """

    source: DropQuery | None = None

    @property
    @override
    def needs_oracle(self) -> bool:
        return True

    @override
    def select(self, query: Query, size: int) -> Positions:
        positions = self.source.flipping(query, size) if self.source else query.free()
        if len(positions) <= size:
            return representatives(query, positions, size)
        places = torch.from_numpy(positions).to(query.features.device)
        points = unit_length(without_bias(query.features[places]))
        labels = require_oracle(query).candidate_labels[places]
        counts = torch.bincount(query.labelled_labels, minlength=query.n_classes)
        return positions[class_balanced(points, labels, counts, size)]


def class_balanced(points: Tensor, labels: Tensor, counts: Tensor, size: int) -> Positions:
    """Return ``size`` places among points (R, D) that even out how many labels the classes have.

    Of equal members of a class, as two always are, it is the first.

    Args:
        points: (R, D), R >= size.
        labels: (R,), their class indices.
        counts: (C,), labels of each class before.
        size: how many.
    """
    left, taken = torch.ones_like(labels, dtype=torch.bool), counts.tolist()
    remaining = torch.bincount(labels, minlength=len(taken)).tolist()
    chosen: list[int] = []
    for _ in range(size):
        label = min((n, c) for c, n in enumerate(taken) if remaining[c])[1]
        members = ((labels == label) & left).nonzero()[:, 0]
        gaps = (points[members] - points[members].mean(dim=0)).square().sum(dim=1)
        equal = gaps <= gaps.min() * (1 + _ROUNDING * torch.finfo(gaps.dtype).eps)
        place = int(members[equal.to(torch.uint8).argmax()])
        chosen.append(place)
        left[place] = False
        taken[label] += 1
        remaining[label] -= 1
    return np.array(chosen, dtype=np.int64)


ENSEMBLE: Sequence[Strategy] = (
    RandomSampling(),
    TypiClust(),
    DropQuery(),
    Bait(fisher="binary"),
    ClassBalanced(),
    ClassBalanced(DropQuery()),
    Margin(),
    Badge(),
    CoreSet(),
    AlfaMix(),
)
"""The ten strategies whose batches [Huseljic2026b] tries."""

_ROUNDING = 64
"""Squared distances are equal if they differ by less than so many units in the last place."""

SMALLEST_SUBSET = 4
"""A subset has at least so many times the candidates of a batch."""


def from_a_subset(
    member: Strategy, query: Query, pool: Positions, count: int, size: int
) -> Positions:
    """Return the batch (size,) that a strategy picks from ``count`` of the pool (R,) at random."""
    subset = query.rng.choice(pool, size=count, replace=False)
    return subset[member.select(query.subset(subset), size)]


def proposed(query: Query, size: int, count: int, largest: int) -> Positions:
    """Return ``count`` batches (count, size) by the members of ``ENSEMBLE`` in turn.

    Each is picked from a random subset of its own. Its number of candidates is uniform between
    ``SMALLEST_SUBSET`` batches and ``largest``, or all of them where they are fewer.
    """
    pool = query.free()
    most = min(largest, len(pool))
    least = min(SMALLEST_SUBSET * size, most)
    counts = query.rng.integers(max(size, least), max(size, most), size=count, endpoint=True)
    batches = [
        from_a_subset(ENSEMBLE[place % len(ENSEMBLE)], query, pool, int(n), size)
        for place, n in enumerate(counts)
    ]
    return np.stack(batches)
