"""Diversity sampling: coverage of the feature space."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass as plain_dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from torch import Tensor
from typing_extensions import override

from alupdate.config.values import SETTINGS, Count, CountOrAuto
from alupdate.laplace.tiles import Assumptions, at_once
from alupdate.strategies.base import Positions, Query, StrategyOption
from alupdate.strategies.kmeans import LARGE, SHARED, centres, kmeans
from alupdate.strategies.unasked import UnaskedGreedy, refresh_largest
from alupdate.strategies.uncertainty import Margin

_CHUNK_NUMBERS = 2**24
"""How many distances are in memory at a time."""

_COPIED_NUMBERS = 2**26
"""Of a pool of up to so many numbers, a copy is made; of a larger one, of a few rows at a time."""


def squared_distances(rows: Tensor, points: Tensor) -> Tensor:
    """Return |a - b|^2 of rows (R, D) and points (N, D), of shape (R, N), by one matrix product."""
    lengths = rows.square().sum(dim=1)[:, None] + points.square().sum(dim=1)
    return torch.clamp(torch.addmm(lengths, rows, points.T, alpha=-2), min=0)


def distance_chunks(rows: Tensor, points: Tensor) -> Iterator[Tensor]:
    """Yield the squared distances (r, N) of a few rows after the other to all points (N, D)."""
    size = max(1, at_once(rows, _CHUNK_NUMBERS) // max(1, len(points)))
    for part in torch.split(rows, size):
        yield squared_distances(part, points)


def nearest(rows: Tensor, points: Tensor) -> Tensor:
    """Return the squared distance (R,) of each row (R, D) to the nearest of points (N, D)."""
    return torch.cat([part.amin(dim=1) for part in distance_chunks(rows, points)])


def rows_at_once(width: int) -> int:
    """Return how many rows of so many numbers are worked on together."""
    return max(1, _CHUNK_NUMBERS // max(1, width))


def unit_length(rows: Tensor) -> Tensor:
    """Return rows (N, D) scaled to length 1; rows of zeros stay as they are."""
    lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    scaled: Tensor = rows / lengths.clamp(min=torch.finfo(rows.dtype).tiny)
    return scaled


def in_parts(function: Callable[[Tensor], Tensor], rows: Tensor, size: int | None = None) -> Tensor:
    """Return what a function from (R, D) to (R,) gives for rows (N, D) or (N,), a few at a time.

    Each result is written into one tensor: small tensors that stay between large ones that come and
    go would leave holes in the memory.
    """
    size = size or rows_at_once(rows.shape[1])
    first, *others = torch.split(rows, size)
    values = function(first)
    found = values.new_empty(len(rows))
    found[:size] = values
    for place, part in zip(torch.split(found[size:], size), others, strict=bool(others)):
        place.copy_(function(part))
    return found


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class CoreSet(StrategyOption, UnaskedGreedy):
    """Core-set selection: greedy k-center clustering in the feature space [Sener2018].

    Each pick is the candidate farthest from all labelled instances and earlier picks.

    The distances to the K labelled instances are computed once per query, in O(P K D); each pick
    then costs O(P D). With nothing labelled, the first pick is the candidate farthest from the
    candidates' mean. That mean is subtracted, since |a|^2 + |b|^2 - 2ab of features far from the
    origin would lose their differences to rounding. Where the copy would be large, it is not made,
    and a pick computes anew only those distances that may be the largest [Minoux1978].
    """

    name: Literal["coreset"] = "coreset"

    def utilities(self, query: Query) -> Tensor:
        """Return the squared distance (P,) to the nearest labelled instance, or to the mean."""
        if query.features.numel() > _COPIED_NUMBERS:
            return _LargeCover.of(query).gaps
        return _gaps(*_centred(query))

    @override
    def picks(self, query: Query, assumed: Assumptions | None = None) -> Iterator[Tensor]:
        large = query.features.numel() > _COPIED_NUMBERS
        return _LargeCover.of(query).farthest_first(query, assumed) if large else self._kept(query)

    def _kept(self, query: Query) -> Iterator[Tensor]:
        """Yield all free candidates; those less their mean are kept in memory."""
        features, labelled = _centred(query)
        lengths = features.square().sum(dim=1)
        gaps, taken = _gaps(features, labelled), query.taken.clone()
        from_the_mean = not len(labelled)
        for _ in range(len(taken) - len(query.picked)):
            pick = gaps.masked_fill(taken, -1).argmax(dim=0, keepdim=True)
            yield pick[0]
            taken.index_fill_(0, pick, True)
            distances = lengths + lengths[pick] - 2 * (features @ features[pick][0])
            distances.clamp_(min=0)
            gaps = distances if from_the_mean else torch.minimum(gaps, distances)
            from_the_mean = False


def _centred(query: Query) -> tuple[Tensor, Tensor]:
    """Return candidates (P, D) and labelled instances (K, D) less the candidates' mean."""
    mean = query.features.mean(dim=0)
    return query.features - mean, query.asked_features - mean


def _gaps(features: Tensor, labelled: Tensor) -> Tensor:
    """Return the squared distances (P,) to the nearest labelled instance, or to the origin."""
    return nearest(features, labelled if len(labelled) else torch.zeros_like(features[:1]))


@plain_dataclass(frozen=True)
class _LargeCover:
    """Core-set selection from candidates of which no copy is made.

    A gap can only fall. So a pick computes anew only those that may be the largest.

    Attributes:
        features: (P, D).
        mean: (D,), of the features.
        gaps: (P,), squared distances to the nearest labelled instance; to the mean without any.
    """

    features: Tensor
    mean: Tensor
    gaps: Tensor

    @classmethod
    def of(cls, query: Query) -> "_LargeCover":
        features, mean = query.features, query.features.mean(dim=0)
        labelled = query.asked_features if len(query.asked_features) else mean[None]
        return cls(features, mean, _gaps_to(labelled, features, mean))

    def farthest_first(self, query: Query, assumed: Assumptions | None) -> Iterator[Tensor]:
        """Yield all free candidates, each the one of the largest gap; of equals the first.

        ``assumed`` is told that few candidates can be the farthest; None to ask.
        """
        picks, bounds = list[Tensor](), self.gaps.masked_fill(query.taken, -1)
        taken = query.taken.clone()

        def now(asked: Tensor) -> Tensor:
            centres = self.features[torch.cat(picks)] - self.mean
            size = rows_at_once(self.features.shape[1])
            found = in_parts(lambda i: nearest(self.features[i] - self.mean, centres), asked, size)
            return torch.minimum(bounds[asked], found)

        for _ in range(len(taken) - len(query.picked)):
            if picks:
                refresh_largest(bounds, now, assumed=assumed)
            pick = bounds.argmax(dim=0, keepdim=True)
            yield pick[0]
            taken.index_fill_(0, pick, True)
            picks.append(pick)
            if len(picks) == 1 and not len(query.asked_features):
                bounds = _gaps_to(self.features[pick], self.features, self.mean)
            bounds.masked_fill_(taken, -1)


def _gaps_to(centres: Tensor, features: Tensor, mean: Tensor) -> Tensor:
    """Return the squared distances (P,) of features (P, D) to the nearest of centres (M, D).

    The mean (D,) is subtracted from a few rows at a time.
    """
    points = centres - mean
    return in_parts(lambda part: nearest(part - mean, points), features)


@plain_dataclass(frozen=True)
class _Points:
    """Labelled instances (K, D) and candidates (P, D) as K + P points of unit length.

    Attributes:
        labelled: come first.
        candidates: come after them. They are not copied.
    """

    labelled: Tensor
    candidates: Tensor

    def __len__(self) -> int:
        return len(self.labelled) + len(self.candidates)

    def at(self, positions: Positions) -> Tensor:
        """Return the points (R, D) at positions (R,)."""
        order = np.argsort(positions, kind="stable")
        count = int((positions < len(self.labelled)).sum())
        places, back = _on_device([positions[order], np.argsort(order)], self.candidates)
        return self.in_order(places, count)[back]

    def in_order(self, places: Tensor, count: int) -> Tensor:
        """Return the points (R, D) at places (R,) in order, ``count`` of them labelled."""
        rows = self.candidates[places[count:] - len(self.labelled)]
        if count:
            rows = torch.cat([self.labelled[places[:count]], rows])
        return unit_length(rows)

    def clusters(
        self, count: int, n_clustered: int | None, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return the k-means cluster of each point, of so many clusters.

        Of more points than ``n_clustered``, a random sample is clustered: at least 20 per cluster.
        """
        most = len(self) if n_clustered is None else max(n_clustered, SHARED * count)
        if len(self) <= most:
            points = unit_length(torch.cat([self.labelled, self.candidates]))
            return kmeans(points, count, rng)
        sample = self.at(rng.choice(len(self), size=most, replace=False))
        nearby = centres(sample, count, rng).to(sample)

        def nearest_centre(part: Tensor) -> Tensor:
            return squared_distances(unit_length(part), nearby).argmin(dim=1)

        near = [in_parts(nearest_centre, rows) for rows in (self.labelled, self.candidates)]
        return torch.cat(near).numpy(force=True)


N_COMPARED = 2000
"""Of more members of a cluster than this, a sample is compared with each other."""


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class TypiClust(StrategyOption):
    """TypiClust: the most typical member of each cluster without labels [Hacohen2022].

    Labelled instances and candidates are clustered together, into as many clusters as there will be
    labels (``max_clusters`` at most). Clusters with the fewest labels come first, the larger ones
    before the smaller ones, and those below ``min_cluster_size`` last. Typical is the member of the
    smallest mean distance to its ``n_neighbours`` nearest neighbours within the cluster. Features
    are scaled to unit length, as the authors' are. Beside k-means, O(n^2 D) per cluster of n.

    Large pools are approximated, so that the cost is linear in P. Of more points than
    ``n_clustered``, a random sample is clustered, and the others belong to the nearest centre. Of
    more members of a cluster than ``n_compared``, a random sample of its candidates is compared
    with each other, and the most typical of the sample is picked.

    Attributes:
        n_neighbours: by whose distance an instance is typical.
        max_clusters: at most.
        min_cluster_size: clusters of fewer come last.
        n_clustered: k-means sees so many points at most, but 20 per cluster; null: all.
        n_compared: as many members of a cluster are compared at most; null: all.
    """

    name: Literal["typiclust"] = "typiclust"
    n_neighbours: Count = 20
    max_clusters: Count = 500
    min_cluster_size: Count = 5
    n_clustered: Count | None = LARGE
    n_compared: Count | None = N_COMPARED

    @override
    def select(self, query: Query, size: int) -> Positions:
        points = _Points(query.asked_features, query.features)
        known = len(query.asked_features)
        count = min(known + size, self.max_clusters, len(points))
        clusters = points.clusters(count, self.n_clustered, query.rng)
        free = ~query.taken.numpy(force=True)
        looks = self._looks(clusters, known, free, size, query.rng)
        members = _on_device([look.members for look in looks], query.features)
        picks = [
            self._most_typical(points, query.taken, look, places)
            for look, places in zip(looks, members, strict=True)
        ]
        turns = np.concatenate([look.turns for look in looks])
        picked = np.empty(size, dtype=np.int64)
        picked[turns] = torch.cat(picks).numpy(force=True)
        return picked

    def _looks(
        self,
        clusters: Positions,
        known: int,
        free: NDArray[np.bool_],
        size: int,
        rng: np.random.Generator,
    ) -> "list[_Look]":
        """Return which members of which clusters are compared, and the picks that come of it.

        Which cluster a pick is of does not depend on which of its members it is. So nothing of the
        features is needed for that, and all are compared without a wait in between.

        Args:
            clusters: (K + P,), of labelled instances, then candidates.
            known: K.
            free: (P,), the candidates that may be picked.
            size: how many picks there are.
            rng: draws members, where not all are compared.
        """
        count = int(clusters.max()) + 1
        labels = np.bincount(clusters[:known], minlength=count)
        sizes = np.bincount(clusters, minlength=count)
        left = np.bincount(clusters[known:][free], minlength=count)
        small, current, looks = sizes < self.min_cluster_size, dict[int, _Look](), list[_Look]()
        for turn in range(size):
            cluster = int(np.lexsort((-sizes, labels, small, left == 0))[0])
            if cluster not in current or current[cluster].is_used_up():
                seen = [look.members for look in looks if look.cluster == cluster]
                current[cluster] = self._look(clusters, cluster, known, free, seen, rng)
                looks.append(current[cluster])
            current[cluster].turns.append(turn)
            left[cluster] -= 1
            labels[cluster] += 1
        return looks

    def _look(
        self,
        clusters: Positions,
        cluster: int,
        known: int,
        free: NDArray[np.bool_],
        seen: list[Positions],
        rng: np.random.Generator,
    ) -> "_Look":
        """Return a look at a cluster, of whose members those ``seen`` are picked by now."""
        members = np.flatnonzero(clusters == cluster)
        candidates = members[members >= known]
        pickable = candidates[free[candidates - known]]
        if self.n_compared is None or len(members) <= self.n_compared:
            return _Look(cluster, members, len(pickable), [])
        pickable = pickable[~np.isin(pickable, np.concatenate([members[:0], *seen]))]
        count = min(self.n_compared, len(pickable))
        drawn = np.sort(rng.choice(pickable, size=count, replace=False))
        return _Look(cluster, drawn, count, [])

    def _most_typical(
        self, points: _Points, taken: Tensor, look: "_Look", places: Tensor
    ) -> Tensor:
        """Return the candidates that are picked of a cluster, the most typical first.

        Args:
            points: labelled instances, then candidates.
            taken: (P,), True for candidates that may not be picked.
            look: at the cluster.
            places: its members (M,), on the device.
        """
        known = len(points.labelled)
        labelled = int(np.searchsorted(look.members, known))
        candidates = places[labelled:] - known
        score = self._typicality(points.in_order(places, labelled))[labelled:]
        score = score.masked_fill(taken[candidates], -torch.inf)
        order = torch.sort(score, descending=True, stable=True).indices
        return candidates[order[: len(look.turns)]]

    def _typicality(self, members: Tensor) -> Tensor:
        """Return minus the mean distance (M,) to the nearest neighbours among members (M, D)."""
        count = min(self.n_neighbours, len(members) - 1)
        if count == 0:
            return members.new_zeros(1)
        means = [
            part.topk(count + 1, dim=1, largest=False).values[:, 1:].sqrt().sum(dim=1)
            for part in distance_chunks(members, members)
        ]
        return -torch.cat(means)


@plain_dataclass(frozen=True)
class _Look:
    """Members of a cluster that are compared with each other.

    Attributes:
        cluster: whose they are.
        members: (M,), positions among labelled instances and candidates, in order.
        n_pickable: how many of them are free candidates.
        turns: the picks of the batch that are of them, in order.
    """

    cluster: int
    members: Positions
    n_pickable: int
    turns: list[int]

    def is_used_up(self) -> bool:
        """Return whether all that are pickable are picked."""
        return len(self.turns) >= self.n_pickable


def _on_device(parts: list[Positions], like: Tensor) -> tuple[Tensor, ...]:
    """Return arrays of integers as tensors on a tensor's device, brought there together."""
    whole = torch.from_numpy(np.concatenate(parts)).to(like.device)
    return torch.split(whole, [len(part) for part in parts])


LABELS_PER_CLASS = 4
"""With which TCM looks at predictions: one at the start, and one in each of three cycles."""


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Tcm(StrategyOption):
    """TCM: TypiClust while labels are few, then margin sampling [Doucet2024].

    The authors change after a number of cycles: three, where a cycle brings about one label per
    class after as many initial ones. A strategy sees no cycle but labels, those before the batch:
    with ``auto`` it changes at four labels per class, which is then after the same cycles, and one
    batch is all of one kind. Both have their default settings and their costs.

    Attributes:
        switch_after: from how many labelled instances on the margin decides, or ``auto``.
    """

    name: Literal["tcm"] = "tcm"
    switch_after: CountOrAuto = "auto"

    @override
    def select(self, query: Query, size: int) -> Positions:
        after = self.switch_after
        if after == "auto":
            after = LABELS_PER_CLASS * query.n_classes
        strategy = TypiClust() if len(query.known_features) < after else Margin()
        return strategy.select(query, size)
