"""Kernel herding: greedy maximum coverage of the pool, by a smooth kernel.

The coverage of points x by chosen instances i is the weighted mean over x of s(x) = max_i k(x, i),
over all that is labelled or in the batch. Each pick is the candidate that raises it most, by

    g(i) = 1/N sum_x u_x max(k(x, i) - s(x), 0)

with weights u_x: 1 in MaxHerding [Bae2024], the model's uncertainty in UHerding [Bae2025]. The
kernel is k(x, i) = exp(-|x - i|^2 / length^2) on features of unit length, without a factor of 2, as
in the authors' code. Without labels s is 0. Of equal gains the first candidate's wins.
``Coverage`` says what changes where the points are a sample of the candidates.

A gain can only fall when s rises. So the gains of earlier picks are upper bounds, and a pick need
look only at candidates whose bound is at least the largest gain so far [Minoux1978]: a few dozen
instead of all. A kernel of more than ``KEPT_NUMBERS`` numbers is not kept between picks; its rows
are computed again where they are needed, so that memory is linear in the pool.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from functools import partial
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import PlainValidator
from pydantic.dataclasses import dataclass
from torch import Tensor
from typing_extensions import override

from alupdate.config.values import SETTINGS, Count, Positive, positive_or
from alupdate.laplace.map import map_update
from alupdate.laplace.names import GAUSSIAN
from alupdate.laplace.posterior import fit_posterior
from alupdate.laplace.temperature import implied_precision, temperature_of_labels
from alupdate.laplace.tiles import Assumptions, at_once
from alupdate.strategies.base import Query, StrategyOption
from alupdate.strategies.diversity import (
    distance_chunks,
    in_parts,
    nearest,
    unit_length,
)
from alupdate.strategies.unasked import UnaskedGreedy, refresh_largest
from alupdate.strategies.uncertainty import margin_uncertainty
from alupdate.utils.metrics import Predictions, expected_calibration_error

N_POINTS = 2500
"""On how many points coverage is measured by default, at most."""

KEPT_NUMBERS = 2**24
"""How many numbers of a kernel are kept in memory at most."""

_TILE_NUMBERS = 2**20
"""How many numbers of a kernel are worked on together: about what a processor's caches hold."""

_ROUNDING = 64
"""Gains are equal if they differ by less than so many units in the last place. Those of two
candidates that are near to nothing but each other are 1 + k - s_1 - s_2."""

SAME = 1e-12
"""The squared distance up to which two vectors of unit length are copies."""

AUTHORS_TEMPERATURES = [float(value) for value in np.arange(10, 200) / 10]

KernelLength = Annotated[
    float | Literal["min", "median"], PlainValidator(positive_or("min", "median"))
]
TemperatureChoice = Annotated[
    float | Literal["auto", "original"], PlainValidator(positive_or("auto", "original"))
]
_Rows = Callable[[Tensor], Tensor]


@plain_dataclass(frozen=True)
class Coverage:
    """What the gains of candidates depend on.

    A sample of N points stands for the others of P candidates; a candidate's coverage of itself is
    known, and counts once. Otherwise the sample itself would be picked, not what it stands for.

    Attributes:
        features: (P, D), of the candidates.
        positions: (N,), of the points among the candidates.
        weights: (P,), u of the candidates.
        covered: (P,), s of the candidates at the start.
        length: of the kernel.
    """

    features: Tensor
    positions: Tensor
    weights: Tensor
    covered: Tensor
    length: float

    def gains(self) -> Tensor:
        """Return the gain (P,) of every candidate at the start."""
        return self._gains(self._rows(), self.covered[self.positions], [], self._everyone)

    def greedy(self, taken: Tensor, assumed: Assumptions | None = None) -> Iterator[Tensor]:
        """Yield all candidates but those that are taken, each the one of the largest gain.

        Of equals the first comes first. ``bounds`` holds the gains of this step or of earlier ones.

        Args:
            taken: (t,), positions.
            assumed: is told that few candidates can have the largest gain; None to ask.
        """
        rows, covered, picks = self._rows(), self.covered[self.positions], list[Tensor]()
        bounds = self._gains(rows, covered, picks, self._everyone).index_fill(0, taken, -1.0)
        for _ in range(len(bounds) - len(taken)):
            if picks:
                now = partial(self._gains, rows, covered, picks)
                refresh_largest(bounds, now, _share(bounds), assumed)
            largest = bounds >= bounds.max() * _share(bounds)
            pick = largest.to(torch.uint8).argmax(dim=0, keepdim=True)
            yield pick[0]
            bounds.index_fill_(0, pick, -1.0)
            picks.append(pick)
            near = rows(pick)[0]
            covered = torch.maximum(covered, near).masked_fill_(self.positions == pick, 1.0)

    @property
    def _everyone(self) -> Tensor:
        return torch.arange(len(self.features), device=self.features.device)

    def _gains(self, rows: _Rows, covered: Tensor, picks: list[Tensor], asked: Tensor) -> Tensor:
        """Return the gains (R,) of candidates at positions (R,).

        Args:
            rows: from ``_rows``.
            covered: (N,), s of the points now.
            picks: since the start, each (1,).
            asked: (R,).
        """
        weights = self.weights[self.positions] / len(self.positions)
        others = in_parts(
            lambda part: rows(part).sub_(covered).clamp_(min=0) @ weights,
            asked,
            max(1, at_once(weights, _TILE_NUMBERS) // len(weights)),
        )
        own = self.covered[asked]
        if picks:
            centres = unit_length(self.features[torch.cat(picks)])
            own = torch.maximum(own, self._near(unit_length(self.features[asked]), centres))
        return others.add_((1 - own).clamp_(min=0) * self.weights[asked] / len(self.features))

    def _near(self, rows: Tensor, centres: Tensor) -> Tensor:
        """Return the largest kernel (R,) of unit rows (R, D) with unit centres (M, D)."""
        return nearest(rows, centres).mul_(-(self.length**-2)).exp_()

    def _rows(self) -> _Rows:
        """Return a function from positions (R,) of candidates to k(x, i) at the points (R, N).

        It is 0 where the point is the candidate. One matrix product gives the exponents:
        [i, |i|^2, 1] times [2 x, -1, -|x|^2] / length^2.
        """
        points = unit_length(self.features[self.positions])
        squares = points.square().sum(dim=1, keepdim=True)
        factors = torch.cat([2 * points, -torch.ones_like(squares), -squares], dim=1)
        factors = factors.div_(self.length**2).T
        place = self.positions.new_full((len(self.features),), -1)
        place[self.positions] = torch.arange(len(points), device=place.device)

        def computed(asked: Tensor) -> Tensor:
            part = unit_length(self.features[asked])
            squares = part.square().sum(dim=1, keepdim=True)
            kernel = torch.cat([part, squares, torch.ones_like(squares)], dim=1) @ factors
            kernel.clamp_(max=0).exp_()
            own = place[asked][:, None]
            known = own.clamp(min=0)
            return kernel.scatter_(1, known, kernel.gather(1, known).masked_fill_(own >= 0, 0))

        if len(self.features) * len(points) > at_once(points, KEPT_NUMBERS):
            return computed
        return computed(self._everyone).__getitem__


def _share(bounds: Tensor) -> float:
    """Return from which share of the largest gain on others are equal to it, but for rounding."""
    return 1 - _ROUNDING * float(torch.finfo(bounds.dtype).eps)


def coverage_of(
    query: Query, length: float, uncertainty: Tensor | None, n_points: int | None
) -> Coverage:
    """Return the coverage of a query's candidates by what is labelled.

    Args:
        query: whose candidates are covered and may cover.
        length: of the kernel.
        uncertainty: (P,), the weights of the candidates; None or all 0 for equal weights.
        n_points: a random sample of so many candidates stands for all; None for all.
    """
    features, count = query.features, len(query.features)
    positions = torch.arange(count)
    if n_points is not None and n_points < count:
        drawn = query.rng.choice(count, size=n_points, replace=False)
        positions = torch.from_numpy(drawn).sort().values
    weights, covered = features.new_ones(count), features.new_zeros(count)
    if uncertainty is not None and bool((uncertainty > 0).any()):
        weights = uncertainty
    coverage = Coverage(features, positions.to(features.device), weights, covered, length)
    if len(query.asked_features):
        centres = unit_length(query.asked_features)
        size = max(1, at_once(centres, _TILE_NUMBERS) // len(centres))
        covered = in_parts(lambda part: coverage._near(unit_length(part), centres), features, size)
    return replace(coverage, covered=covered)


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class MaxHerding(StrategyOption, UnaskedGreedy):
    """MaxHerding: greedy maximum coverage of the candidates by a Gaussian kernel [Bae2024].

    ProbCover without a radius: the nearer a labelled instance, the better a candidate is covered.
    No prediction is looked at. O(P N D) for P candidates, N points and D features, and O(N D) for
    each of the few dozen candidates that a pick looks at.

    Attributes:
        length: of the kernel, between unit vectors.
        n_points: coverage is measured on a random sample of so many candidates; None for all.
    """

    name: Literal["maxherding"] = "maxherding"
    length: Positive = 1.0
    n_points: Count | None = N_POINTS

    def utilities(self, query: Query) -> Tensor:
        """Return the gain in coverage (P,) by each candidate."""
        return coverage_of(query, self.length, None, self.n_points).gains()

    @override
    def picks(self, query: Query, assumed: Assumptions | None = None) -> Iterator[Tensor]:
        coverage = coverage_of(query, self.length, None, self.n_points)
        return coverage.greedy(query.picked, assumed)


def spacing(labelled: Tensor) -> Tensor:
    """Return the distance (M,), on the sphere, of labelled instances (K, D) to their nearest other.

    Copies do not count as others; M < K where nothing but copies is labelled. In float64, which
    tells a copy from a rounding.
    """
    points = unit_length(labelled.double())
    squares = [
        part.masked_fill_(part <= SAME, torch.inf).amin(dim=1)
        for part in distance_chunks(points, points)
        if len(points) > 1
    ]
    found = torch.cat([points.new_zeros(0), *squares])
    return found[torch.isfinite(found)].sqrt()


def left_out_temperature(query: Query) -> float:
    """Return the temperature under which left-out labels are most likely, by leave-one-out.

    The labels are left out in closed form. 1 where there is nothing to choose by: see
    ``temperature_of_labels``.
    """
    mean = query.posterior.mean
    return temperature_of_labels(mean, query.labelled_features, query.labelled_labels)


def held_out_temperature(query: Query) -> float:
    """Return the temperature that calibrates best on a random fifth of the labels, as the authors.

    The last layer is fitted on the other labels, and of 1, 1.1, ..., 19.9 the temperature with the
    smallest expected calibration error on the fifth is taken. The authors train as they train the
    model. A strategy has no trainer: the fit is the mode under the prior that the model's own
    weights imply (``implied_precision``), by the MAP update. 1 where there is nothing to fit.
    """
    precision = _precision(query)
    if precision is None:
        return 1.0
    features, labels = query.labelled_features.double(), query.labelled_labels
    order = torch.from_numpy(query.rng.permutation(len(labels))).to(labels.device)
    out, kept = order[: max(1, len(order) // 5)], order[max(1, len(order) // 5) :]
    start = torch.zeros_like(query.posterior.mean, dtype=torch.float64)
    prior = fit_posterior(start, features[:0], GAUSSIAN, precision)
    fitted = map_update(prior, features[kept], labels[kept], 1.0).posterior
    logits = fitted.logits(features[out])

    def error(temperature: float) -> float:
        return expected_calibration_error(Predictions.of(logits / temperature, labels[out]))

    return min(AUTHORS_TEMPERATURES, key=error)


def _precision(query: Query) -> float | None:
    """Return the prior precision that the weights imply; None with labels of fewer than 2 classes.

    None, too, where the weights do not point to the labels.
    """
    features, labels = query.labelled_features.double(), query.labelled_labels
    if len(torch.unique(labels)) < 2:
        return None
    return implied_precision(query.posterior.mean.double(), features, labels)


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class UHerding(StrategyOption, UnaskedGreedy):
    """UHerding: greedy maximum coverage of what the model is unsure about [Bae2025].

    Each point weighs 1 - (p_first - p_second), with probabilities softmax(f / T). Where that is 0
    everywhere, all points weigh the same. The kernel shrinks as labels come in: its length comes
    from the distances of labelled instances to their nearest other one. So coverage counts at
    first, and uncertainty later.

    In a sequential batch, logits, labels, distances and s(x) are those after every label.
    O(P N D) for P candidates, N points and D features, and the choice of T.

    Attributes:
        temperature: T: ``auto`` leaves every label out in closed form, O(C m^2 max(K, D)) for K
            labelled instances and C classes, m the smaller of K and D; ``original`` holds a fifth
            of them out (``held_out_temperature``).
        length: of the kernel: ``min`` (the authors') or ``median`` of those distances, or a number.
            1 where there are no two labelled instances that differ.
        n_points: coverage is measured on a random sample of so many candidates; None for all.
    """

    name: Literal["uherding"] = "uherding"
    uses_labels: ClassVar[bool] = True
    temperature: TemperatureChoice = "auto"
    length: KernelLength = "median"
    n_points: Count | None = N_POINTS

    def utilities(self, query: Query) -> Tensor:
        """Return the gain in weighted coverage (P,) by each candidate."""
        return self._coverage(query).gains()

    @override
    def picks(self, query: Query, assumed: Assumptions | None = None) -> Iterator[Tensor]:
        return self._coverage(query).greedy(query.picked, assumed)

    def _coverage(self, query: Query) -> Coverage:
        temperature = self._temperature(query)
        uncertainty = query.map_logits(lambda logits: margin_uncertainty(logits / temperature))
        return coverage_of(query, self._length(query), uncertainty, self.n_points)

    def _temperature(self, query: Query) -> float:
        if self.temperature == "auto":
            return left_out_temperature(query)
        if self.temperature == "original":
            return held_out_temperature(query)
        return self.temperature

    def _length(self, query: Query) -> float:
        if not isinstance(self.length, str):
            return self.length
        distances = spacing(query.labelled_features)
        if not len(distances):
            return 1.0
        return float(distances.min() if self.length == "min" else distances.quantile(0.5))
