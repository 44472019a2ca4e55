"""ProbCover: greedy maximum coverage of the pool by balls of one radius."""

from collections.abc import Iterator
from dataclasses import dataclass as plain_dataclass
from functools import cached_property, partial
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from typing_extensions import override

from alupdate.config.values import SETTINGS, Count, PositiveOrAuto
from alupdate.laplace.tiles import Assumptions, at_once, is_accelerator
from alupdate.strategies.base import Query, StrategyOption
from alupdate.strategies.diversity import (
    distance_chunks,
    in_parts,
    nearest,
    squared_distances,
    unit_length,
)
from alupdate.strategies.kmeans import kmeans
from alupdate.strategies.unasked import UnaskedGreedy, refresh_largest

N_COUNTED = 5000
"""On how many candidates coverage is counted by default, at most."""

_TILE_NUMBERS = 2**22
"""How many distances are counted together. With fewer, products with the points take longer."""

_RIM = 1e-4
"""By how much, relatively, an automatic radius is below the distance of two candidates."""

N_SAMPLED = 2000
"""Candidates on which an automatic radius is estimated, at most."""


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class ProbCover(StrategyOption, UnaskedGreedy):
    """ProbCover: greedy maximal coverage with balls of one radius [Yehuda2022].

    Candidates within the radius of a labelled instance are covered. Each pick is the candidate
    whose ball covers the most that are not covered yet; ties, as when everything is covered, go to
    the one farthest from a labelled instance. Features are scaled to unit length. O(P N D), for N
    candidates among which those covered are counted: all of no more than ``n_counted``, otherwise
    a random sample that stands for all.

    The automatic radius is the paper's: the largest at which a share of ``purity`` of all balls
    holds one k-means cluster only, with as many clusters as classes, on a sample of the candidates.

    Attributes:
        radius: between unit vectors, or ``auto``.
        purity: the share of pure balls for ``auto``.
        n_counted: N at most; null for all, at O(P^2 D).
    """

    name: Literal["probcover"] = "probcover"
    radius: PositiveOrAuto = "auto"
    purity: Annotated[float, Field(strict=True, gt=0, le=1)] = 0.95
    n_counted: Count | None = N_COUNTED

    def utilities(self, query: Query) -> Tensor:
        """Return how many uncovered candidates the ball around each covers (P,)."""
        if self._is_small(query):
            balls = self._balls(query)
            uncovered = _gaps_on_sphere(query, balls.points) > balls.square
            return balls.counts(uncovered).to(balls.points.dtype)
        cover = self._sampled(query)
        return cover.degrees(cover.gaps, cover.uncovered)

    @override
    def picks(self, query: Query, assumed: Assumptions | None = None) -> Iterator[Tensor]:
        if self._is_small(query):
            return self._exact(query)
        return self._sampled(query).greedy(assumed)

    def _is_small(self, query: Query) -> bool:
        return self.n_counted is None or len(query.features) <= self.n_counted

    def _exact(self, query: Query) -> Iterator[Tensor]:
        balls = self._balls(query)
        points, square = balls.points, balls.square
        gaps, taken = _gaps_on_sphere(query, points), query.taken.clone()
        degrees = balls.counts(gaps > square)
        for _ in range(len(taken) - len(query.picked)):
            # Rounding at the rim of a ball can leave a degree below zero.
            most = degrees.masked_fill(taken, -len(points) - 1).max()
            tied = (degrees == most) & ~taken
            pick = torch.where(tied, gaps, -1.0).argmax(dim=0, keepdim=True)
            yield pick[0]
            taken.index_fill_(0, pick, True)
            distances = squared_distances(points[pick], points)[0]
            newly = (gaps > square) & (distances <= square)
            gaps = torch.minimum(gaps, distances)
            degrees -= balls.counts(newly)

    def _balls(self, query: Query) -> "_Balls":
        return _Balls.of(unit_length(query.features), self._radius(query) ** 2)

    def _radius(self, query: Query) -> float:
        return pure_radius(query, self.purity) if self.radius == "auto" else self.radius

    def _sampled(self, query: Query) -> "SampledCover":
        square = self._radius(query) ** 2
        drawn = query.rng.choice(len(query.features), size=self.n_counted, replace=False)
        positions = torch.from_numpy(drawn).sort().values.to(query.features.device)
        gaps = in_parts(lambda part: _gaps_on_sphere(query, unit_length(part)), query.features)
        return SampledCover(query.features, query.picked, gaps, positions, square)


@plain_dataclass(frozen=True)
class _Balls:
    """Balls around P points.

    Attributes:
        points: (P, D), of unit length.
        square: of the radius.
        inside: (P, P), 1 where a point is in the ball around another one. A GPU keeps it, if it
            fits, since it would have to be asked how many are newly covered. On a CPU it takes
            longer than to look at these.
    """

    points: Tensor
    square: float
    inside: Tensor | None

    @classmethod
    def of(cls, points: Tensor, square: float) -> "_Balls":
        if not is_accelerator(points.device) or len(points) ** 2 > at_once(points, 0):
            return cls(points, square, None)
        return cls(points, square, (squared_distances(points, points) <= square).to(points))

    def counts(self, some: Tensor) -> Tensor:
        """Return how many of some points, a mask (P,), lie in each ball (P,)."""
        if self.inside is not None:
            return (self.inside @ some.to(self.inside)).long()
        others = self.points[some]
        if not len(others):
            return torch.zeros(len(self.points), dtype=torch.int64, device=others.device)
        parts = distance_chunks(self.points, others)
        return torch.cat([(part <= self.square).sum(dim=1) for part in parts])


_GAP_SHARE = 2.0**-24
"""By what gaps are multiplied, so that they matter to equal degrees only."""

_FARTHEST = 5.0
"""More than the largest squared distance of two unit vectors."""


@plain_dataclass(frozen=True)
class SampledCover:
    """How many candidates a ball covers that are not covered yet, counted on a sample of N.

    What a candidate covers of the others is estimated, and whether it covers itself is known.
    Otherwise the sample itself would be picked, not what it stands for. So a degree is the number
    of other uncovered points in its ball, plus N / P if it is not covered. Degrees can only fall,
    and those of earlier picks are bounds (``refresh_largest``).

    Attributes:
        features: (P, D), of the candidates.
        taken: (t,), positions of those that may not be picked.
        gaps: (P,), squared distance of each to the nearest labelled instance, or inf.
        positions: (N,), of the sample.
        square: of the radius.
    """

    features: Tensor
    taken: Tensor
    gaps: Tensor
    positions: Tensor
    square: float

    @cached_property
    def points(self) -> Tensor:
        """(N, D), the sample at unit length."""
        return unit_length(self.features[self.positions])

    @property
    def uncovered(self) -> Tensor:
        """(N,), True for points of the sample that are not covered at the start."""
        return self.gaps[self.positions] > self.square

    def greedy(self, assumed: Assumptions | None = None) -> Iterator[Tensor]:
        """Yield all candidates that are not taken, each the one of the largest degree.

        Of equal ones that comes first which is farthest from what is labelled or picked.
        ``assumed`` is told that few candidates can have the largest degree; None to ask.
        """
        inside, picks = self.uncovered, list[Tensor]()
        bounds = _ranks(self.degrees(self.gaps, inside), self.gaps).index_fill_(0, self.taken, -1)

        def now(inside: Tensor, asked: Tensor) -> Tensor:
            centres = unit_length(self.features[torch.cat(picks)])
            gaps = nearest(unit_length(self.features[asked]), centres)
            gaps = torch.minimum(self.gaps[asked], gaps)
            return _ranks(self.degrees(gaps, inside, asked), gaps)

        for _ in range(len(bounds) - len(self.taken)):
            if picks:
                refresh_largest(bounds, partial(now, inside), assumed=assumed)
            pick = bounds.argmax(dim=0, keepdim=True)
            yield pick[0]
            bounds.index_fill_(0, pick, -1)
            picks.append(pick)
            distances = squared_distances(unit_length(self.features[pick]), self.points)[0]
            inside = inside & (distances > self.square)

    def degrees(self, gaps: Tensor, uncovered: Tensor, asked: Tensor | None = None) -> Tensor:
        """Return the degrees (R,) of candidates.

        Args:
            gaps: (R,), of the candidates.
            uncovered: (N,), the points of the sample that are not covered.
            asked: (R,), positions of the candidates; None for all.
        """
        rows = self.features if asked is None else self.features[asked]
        points, counted = self._counted(uncovered)
        numbers = at_once(points, _TILE_NUMBERS)
        size = max(1, numbers // max(len(points), points.shape[1]))
        # A comparison in place and a product count several times faster than a sum.
        counts = in_parts(
            lambda part: _inside(unit_length(part), points, self.square) @ counted, rows, size
        )
        own = uncovered.new_zeros(len(self.features)).index_copy_(0, self.positions, uncovered)
        counts -= (own if asked is None else own[asked]).to(counts)
        return counts + (gaps > self.square) * (len(self.positions) / len(self.features))

    def _counted(self, uncovered: Tensor) -> tuple[Tensor, Tensor]:
        """Return points (n, D) of unit length, and 1 for each that is counted, otherwise 0.

        On a CPU only those that are counted. A GPU would have to be asked how many these are.
        """
        if is_accelerator(self.features.device):
            return self.points, uncovered.to(self.points)
        points = self.points[uncovered]
        return points, points.new_ones(len(points))


def _inside(rows: Tensor, points: Tensor, square: float) -> Tensor:
    """Return 1 where a row (R, D) is in the ball around a point (N, D), otherwise 0: (R, N).

    As by ``squared_distances``, in place; those that rounding makes negative are inside, too.
    """
    lengths = rows.square().sum(dim=1)[:, None] + points.square().sum(dim=1)
    return lengths.addmm_(rows, points.T, alpha=-2).le_(square)


def _ranks(degrees: Tensor, gaps: Tensor) -> Tensor:
    """Return one number (R,) by which candidates are ordered: by degrees, equal ones by gaps.

    Both can only fall when more is picked, and so can the number.
    """
    return degrees.double() + _GAP_SHARE * gaps.clamp(max=_FARTHEST).double()


def _gaps_on_sphere(query: Query, points: Tensor) -> Tensor:
    """Return the squared distances (P,) of points to the nearest labelled instance, or inf."""
    if not len(query.asked_features):
        return points.new_full((len(points),), torch.inf)
    return nearest(points, unit_length(query.asked_features))


def pure_radius(query: Query, purity: float) -> float:
    """Return the largest radius whose balls around candidates are pure often enough.

    A ball is pure if it reaches no point of another cluster, that is, below the distance to the
    nearest one. So the share of pure balls falls as the radius grows, and the radius sought is just
    below the quantile of those distances that leaves ``purity`` of them. By as much as rounding may
    change a distance, or it would decide which points are in a ball.
    """
    sample = query.rng.permutation(len(query.features))[:N_SAMPLED]
    chosen = unit_length(query.features[torch.from_numpy(sample).to(query.features.device)])
    classes = min(query.n_classes, len(chosen))
    clusters = torch.from_numpy(kmeans(chosen, classes, query.rng))
    clusters = clusters.to(chosen.device)
    reach, start = [], 0
    for part in distance_chunks(chosen, chosen):
        own = clusters[start : start + len(part), None] == clusters
        reach.append(part.masked_fill(own, torch.inf).amin(dim=1))
        start += len(part)
    distances = torch.sort(torch.cat(reach).sqrt()).values
    finite = distances[torch.isfinite(distances)]
    if not len(finite):
        return 1.0
    quantile = finite[min(int((1 - purity) * len(distances) + 1e-9), len(finite) - 1)]
    return (1 - _RIM) * float(quantile)
