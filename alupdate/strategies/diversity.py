"""Diversity sampling: coverage of the feature space, and the k-means clustering behind it."""

import warnings
from collections.abc import Callable, Iterator
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor
from typing_extensions import override

from alupdate.config.values import SETTINGS, Count, CountOrAuto, PositiveOrAuto
from alupdate.strategies.base import GreedyStrategy, Positions, Query, StrategyOption
from alupdate.strategies.uncertainty import Margin
from alupdate.utils.seeds import sub_seed
from alupdate.utils.threads import libraries

_CHUNK_NUMBERS = 2**24
"""How many distances are in memory at a time."""


def squared_distances(rows: Tensor, points: Tensor) -> Tensor:
    """Return |a - b|^2 of rows (R, D) and points (N, D), of shape (R, N), by one matrix product."""
    lengths = rows.square().sum(dim=1)[:, None] + points.square().sum(dim=1)
    return torch.clamp(torch.addmm(lengths, rows, points.T, alpha=-2), min=0)


def distance_chunks(rows: Tensor, points: Tensor) -> Iterator[Tensor]:
    """Yield the squared distances (r, N) of a few rows after the other to all points (N, D)."""
    size = max(1, _CHUNK_NUMBERS // max(1, len(points)))
    for part in torch.split(rows, size):
        yield squared_distances(part, points)


def nearest(rows: Tensor, points: Tensor) -> Tensor:
    """Return the squared distance (R,) of each row (R, D) to the nearest of points (N, D)."""
    return torch.cat([part.amin(dim=1) for part in distance_chunks(rows, points)])


def unit_length(rows: Tensor) -> Tensor:
    """Return rows (N, D) scaled to length 1; rows of zeros stay as they are."""
    lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    scaled: Tensor = rows / lengths.clamp(min=torch.finfo(rows.dtype).tiny)
    return scaled


MANY_CLUSTERS = 50
"""More clusters than this are seeded here: the library's seeding takes most of its time."""

LARGE = 10_000
"""Many clusters of more points than this are found on mini-batches."""

SHARED = 20
"""Up to this many points per cluster, their distances to each other are computed at once."""


def kmeans(
    points: NDArray[np.floating], n_clusters: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the cluster (N,) of each point (N, D); some may stay empty if few points differ.

    One OpenMP thread: scikit-learn adds up the threads' shares in the order in which they finish,
    and a result must not depend on that. One BLAS thread: k-means++ makes many small products, and
    more threads than idle cores make those several times slower.
    """
    seed = sub_seed(rng)
    with libraries("sklearn").limit(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters
        init = seeds(points, n_clusters, rng) if n_clusters > MANY_CLUSTERS else "k-means++"
        large = n_clusters > MANY_CLUSTERS and len(points) > LARGE
        method = (MiniBatchKMeans if large else KMeans)(
            n_clusters, init=init, n_init=1, random_state=seed
        )
        clusters: NDArray[np.int64] = method.fit_predict(points).astype(np.int64)
    return clusters


def seeds(
    points: NDArray[np.floating], count: int, rng: np.random.Generator
) -> NDArray[np.floating]:
    """Return the points (count, D) that greedy k-means++ seeding draws.

    Each time a few points are drawn, with probabilities in proportion to the squared distance to
    the nearest seed so far (at random where no point differs from those), and the one that lowers
    the sum of these most becomes a seed ([Arthur2007], with the 2 + log k trials of their
    experiments, as in scikit-learn).
    """
    distances_of = _squared_distances(points, len(points) <= SHARED * count)
    chosen = [int(rng.integers(len(points)))]
    nearest = distances_of(np.array(chosen))[0]
    while len(chosen) < count:
        trials = _drawn(nearest, 2 + int(np.log(count)), rng)
        distances = np.minimum(distances_of(trials), nearest)
        best = int(distances.sum(axis=1).argmin())
        chosen.append(int(trials[best]))
        nearest = distances[best]
    return points[chosen]


def _squared_distances(
    points: NDArray[np.floating], at_once: bool
) -> Callable[[NDArray[np.int64]], NDArray[np.floating]]:
    """Return a function from positions (R,) to squared distances (R, N) to all points (N, D).

    One large product ``at_once`` is several times faster than many small ones.
    """
    lengths = np.einsum("nd,nd->n", points, points)

    def distances_of(rows: NDArray[np.int64]) -> NDArray[np.floating]:
        distances = points[rows] @ points.T
        distances *= -2
        distances += lengths
        distances += lengths[rows, None]
        distances[np.arange(len(rows)), rows] = 0
        return distances.clip(min=0, out=distances)

    return distances_of(np.arange(len(points))).__getitem__ if at_once else distances_of


def _drawn(
    weights: NDArray[np.floating], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return positions (count,) drawn in proportion to weights (N,), or at random if all are 0."""
    edges = np.cumsum(weights, dtype=np.float64)
    if edges[-1] <= 0:
        return rng.integers(len(weights), size=count)
    positions = np.searchsorted(edges, rng.random(count) * edges[-1], side="right")
    last: NDArray[np.int64] = np.minimum(positions, len(weights) - 1)
    return last


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class CoreSet(StrategyOption, GreedyStrategy):
    """Core-set selection: greedy k-center clustering in the feature space [Sener2018].

    Each pick is the candidate farthest from all labelled instances and earlier picks.

    The distances to the K labelled instances are computed once per query, in O(P K D); each pick
    then costs O(P D). With nothing labelled, the first pick is the candidate farthest from the
    candidates' mean. That mean is subtracted, since |a|^2 + |b|^2 - 2ab of features far from the
    origin would lose their differences to rounding.
    """

    name: Literal["coreset"] = "coreset"

    def utilities(self, query: Query) -> Tensor:
        """Return the squared distance (P,) to the nearest labelled instance, or to the mean."""
        return _gaps(*_centred(query))

    @override
    def picks(self, query: Query) -> Iterator[int]:
        features, labelled = _centred(query)
        lengths = features.square().sum(dim=1)
        gaps, taken = _gaps(features, labelled), query.taken.clone()
        from_the_mean = not len(labelled)
        for _ in range(len(query.free())):
            pick = int(gaps.masked_fill(taken, -1).argmax())
            yield pick
            taken[pick] = True
            distances = lengths + lengths[pick] - 2 * (features @ features[pick])
            distances.clamp_(min=0)
            gaps = distances if from_the_mean else torch.minimum(gaps, distances)
            from_the_mean = False


def _centred(query: Query) -> tuple[Tensor, Tensor]:
    """Return candidates (P, D) and labelled instances (K, D) less the candidates' mean."""
    mean = query.features.mean(dim=0)
    return query.features - mean, query.labelled_features - mean


def _gaps(features: Tensor, labelled: Tensor) -> Tensor:
    """Return the squared distances (P,) to the nearest labelled instance, or to the origin."""
    return nearest(features, labelled if len(labelled) else torch.zeros_like(features[:1]))


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class TypiClust(StrategyOption):
    """TypiClust: the most typical member of each cluster without labels [Hacohen2022].

    Labelled instances and candidates are clustered together, into as many clusters as there will be
    labels (``max_clusters`` at most). Clusters with the fewest labels come first, the larger ones
    before the smaller ones, and those below ``min_cluster_size`` last. Typical is the member of the
    smallest mean distance to its ``n_neighbours`` nearest neighbours within the cluster. Features
    are scaled to unit length, as the authors' are. Beside k-means, O(n^2 D) per cluster of n.
    """

    name: Literal["typiclust"] = "typiclust"
    n_neighbours: Count = 20
    max_clusters: Count = 500
    min_cluster_size: Count = 5

    @override
    def select(self, query: Query, size: int) -> Positions:
        points = unit_length(torch.cat([query.labelled_features, query.features]))
        known = len(query.labelled_features)
        count = min(known + size, self.max_clusters, len(points))
        clusters = kmeans(points.numpy(force=True), count, query.rng)
        labels = np.bincount(clusters[:known], minlength=count)
        sizes = np.bincount(clusters, minlength=count)
        free, typicality = ~query.taken.numpy(force=True), dict[int, NDArray[np.floating]]()
        picked: list[int] = []
        while len(picked) < size:
            left = np.bincount(clusters[known:][free], minlength=count) > 0
            small = sizes < self.min_cluster_size
            cluster = int(np.lexsort((-sizes, labels, small, ~left))[0])
            members = np.flatnonzero(clusters == cluster)
            if cluster not in typicality:
                typicality[cluster] = self._typicality(points[members])
            score = typicality[cluster][members >= known]
            places = members[members >= known] - known
            pick = int(places[np.where(free[places], score, -np.inf).argmax()])
            picked.append(pick)
            free[pick] = False
            labels[cluster] += 1
        return np.array(picked, dtype=np.int64)

    def _typicality(self, members: Tensor) -> NDArray[np.floating]:
        """Return minus the mean distance (M,) to the nearest neighbours among members (M, D)."""
        count = min(self.n_neighbours, len(members) - 1)
        if count == 0:
            return np.zeros(1)
        means = [
            part.topk(count + 1, dim=1, largest=False).values[:, 1:].sqrt().sum(dim=1)
            for part in distance_chunks(members, members)
        ]
        return -torch.cat(means).numpy(force=True)


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


N_SAMPLED = 2000
"""Candidates on which an automatic radius is estimated, at most."""


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class ProbCover(StrategyOption, GreedyStrategy):
    """ProbCover: greedy maximal coverage with balls of one radius [Yehuda2022].

    Candidates within the radius of a labelled instance are covered. Each pick is the candidate
    whose ball covers the most that are not covered yet; ties, as when everything is covered, go to
    the one farthest from a labelled instance. Features are scaled to unit length. O(P^2 D).

    The automatic radius is the paper's: the largest at which a share of ``purity`` of all balls
    holds one k-means cluster only, with as many clusters as classes, on a sample of the candidates.

    Attributes:
        radius: between unit vectors, or ``auto``.
        purity: the share of pure balls for ``auto``.
    """

    name: Literal["probcover"] = "probcover"
    radius: PositiveOrAuto = "auto"
    purity: Annotated[float, Field(strict=True, gt=0, le=1)] = 0.95

    def utilities(self, query: Query) -> Tensor:
        """Return how many uncovered candidates the ball around each covers (P,)."""
        points, square = self._balls(query)
        uncovered = _gaps_on_sphere(query, points) > square
        return _degrees(points, points[uncovered], square).to(points.dtype)

    @override
    def picks(self, query: Query) -> Iterator[int]:
        points, square = self._balls(query)
        gaps, free = _gaps_on_sphere(query, points), ~query.taken
        degrees = _degrees(points, points[gaps > square], square)
        while free.any():
            # Rounding at the rim of a ball can leave a degree below zero: compare free ones only.
            tied = free & (degrees == degrees[free].max())
            pick = int(torch.where(tied, gaps, -1.0).argmax())
            yield pick
            free[pick] = False
            distances = squared_distances(points[[pick]], points)[0]
            newly = (gaps > square) & (distances <= square)
            gaps = torch.minimum(gaps, distances)
            degrees -= _degrees(points, points[newly], square)

    def _balls(self, query: Query) -> tuple[Tensor, float]:
        """Return the candidates at unit length (P, D), and the squared radius."""
        points = unit_length(query.features)
        radius = self.radius
        if radius == "auto":
            radius = pure_radius(query, points, self.purity)
        return points, radius**2


def _gaps_on_sphere(query: Query, points: Tensor) -> Tensor:
    """Return the squared distances (P,) of points to the nearest labelled instance, or inf."""
    if not len(query.labelled_features):
        return points.new_full((len(points),), torch.inf)
    return nearest(points, unit_length(query.labelled_features))


def _degrees(points: Tensor, others: Tensor, square: float) -> Tensor:
    """Return how many of the others (N, D) lie in the ball around each point (P, D)."""
    if not len(others):
        return torch.zeros(len(points), dtype=torch.int64, device=points.device)
    return torch.cat([(part <= square).sum(dim=1) for part in distance_chunks(points, others)])


def pure_radius(query: Query, points: Tensor, purity: float) -> float:
    """Return the largest radius whose balls are pure often enough, for points (P, D).

    A ball is pure if it reaches no point of another cluster, that is, up to the distance to the
    nearest one. So the share of pure balls falls as the radius grows, and the radius sought is the
    quantile of those distances that leaves ``purity`` of them above it.
    """
    sample = query.rng.permutation(len(points))[:N_SAMPLED]
    chosen = points[torch.from_numpy(sample).to(points.device)]
    classes = min(query.n_classes, len(chosen))
    clusters = torch.from_numpy(kmeans(chosen.numpy(force=True), classes, query.rng))
    clusters = clusters.to(points.device)
    reach, start = [], 0
    for part in distance_chunks(chosen, chosen):
        own = clusters[start : start + len(part), None] == clusters
        reach.append(part.masked_fill(own, torch.inf).amin(dim=1))
        start += len(part)
    distances = torch.sort(torch.cat(reach).sqrt()).values
    finite = distances[torch.isfinite(distances)]
    if not len(finite):
        return 1.0
    return float(finite[min(int((1 - purity) * len(distances) + 1e-9), len(finite) - 1)])
