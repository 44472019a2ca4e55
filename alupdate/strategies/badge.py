"""BADGE: batches of instances that are uncertain and different from each other."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as option
from torch import Tensor
from typing_extensions import override

from alupdate.config.values import SETTINGS
from alupdate.strategies.base import GreedyStrategy, Query, StrategyOption

KEPT_RESIDUALS = 2**28
"""How many numbers p - e_predicted may be kept for all candidates; beyond, picks are proposed."""

_FEWEST, _MOST = 64, 4096
"""Proposals that are looked at together, at first and at most."""

_PATIENCE = 8
"""A pick looks at one candidate in so many as proposals, before it looks at all of them."""


@option(frozen=True, config=SETTINGS, kw_only=True)
class Badge(StrategyOption, GreedyStrategy):
    """BADGE: k-means++ seeding on the gradients of the last layer [Ash2020], algorithm 1.

    The gradient at an instance, if the predicted label were its true one, is the outer product of
    r = p - e_predicted (C numbers) and phi (D numbers). It is long where the model is unsure. Outer
    products need not be built: with |g|^2 = |r|^2 |phi|^2,

        |g - g'|^2 = |g|^2 + |g'|^2 - 2 (r . r') (phi . phi')

    so that P (C + D) numbers are in memory instead of P C D, and a pick costs O(P (C + D)).

    Where the residuals of all candidates would be more than ``KEPT_RESIDUALS`` numbers (1,300,000
    candidates of 1,000 classes), the draws are by rejection [CohenAddad2020]: a candidate proposed
    in proportion to an upper bound of its squared distance is accepted with the quotient of the two
    (``_Proposals``). Picks then have the same distribution, from other random numbers, and the
    residuals are computed for proposals alone: O(P D C) for the lengths, and O(P) per pick.

    The first pick is the longest gradient, as in the authors' code; every other is drawn with a
    probability in proportion to the squared distance to the nearest one picked before
    (scikit-activeml counts the origin among those, the authors do not). Picks of a sequential batch
    whose labels are known already count with the gradient they have now.

    Example:
        >>> from alupdate.laplace.updates import fit
        >>> features = torch.tensor([[0.3, 0.0], [0.2, 0.0], [0.0, 0.1]])
        >>> posterior = fit(torch.eye(2), features[:1], "gaussian", 1.0)
        >>> Badge().select(Query.of(posterior, features), 1)
        array([0])
    """

    name: Literal["badge"] = "badge"

    @override
    def picks(self, query: Query) -> Iterator[int | Tensor]:
        if len(query.features) * query.n_classes > KEPT_RESIDUALS:
            yield from _Proposals(query).picks()
            return
        residuals = query.map_logits(_residuals)
        lengths = residuals.square().sum(dim=1) * query.features.square().sum(dim=1)
        nearest = _nearest(query, residuals, lengths)
        taken, first = query.taken.clone(), not len(query.picked)
        longest = first and bool((nearest.masked_fill(taken, 0) > 0).any())
        for _ in range(len(taken) - len(query.picked)):
            pick = _pick(nearest, taken, query.rng, longest)
            yield pick[0]
            taken.index_fill_(0, pick, True)
            products = query.features @ query.features[pick][0]
            overlap = (residuals @ residuals[pick][0]).mul_(products)
            distances = (lengths + lengths[pick]).sub_(overlap, alpha=2)
            nearest = distances if first else torch.minimum(nearest, distances)
            first = longest = False


def _residuals(logits: Tensor) -> Tensor:
    """Return p - e_predicted, (P, C)."""
    probabilities = torch.softmax(logits, dim=1)
    predicted = probabilities.argmax(dim=1, keepdim=True)
    return probabilities.scatter_add(1, predicted, -torch.ones_like(probabilities[:, :1]))


def _nearest(query: Query, residuals: Tensor, lengths: Tensor) -> Tensor:
    """Return the squared distances (P,) to the nearest pick, or to zero before the first."""
    if not len(query.picked):
        return lengths
    overlap = (residuals @ residuals[query.picked].T).mul_(query.products)
    return (lengths[:, None] + lengths[query.picked]).sub_(overlap, alpha=2).amin(dim=1)


def _pick(distances: Tensor, taken: Tensor, rng: np.random.Generator, longest: bool) -> Tensor:
    """Return the position (1,) of the longest, or of one drawn by squared distance, among the free.

    Drawn as by NumPy's ``choice``, from one random number; of all that are free where no distance
    is above zero.
    """
    weights = distances.masked_fill(taken, 0).clamp_(min=0).double()
    if longest:
        return weights.argmax(dim=0, keepdim=True)
    total = weights.sum()
    edges = torch.where(total > 0, weights / total, ~taken).cumsum(dim=0)
    edges /= edges[-1].clone()
    drawn = torch.searchsorted(edges, edges.new_full((1,), rng.random()), right=True)
    return drawn.clamp_(max=len(edges) - 1)


@dataclass
class _Proposals:
    """k-means++ by rejection: exact draws without the distances of all candidates.

    With the length |g| of each gradient and those of the picks g_j, |g - g_j|^2 is at most
    (|g| + min_j |g_j|)^2. A candidate is drawn in proportion to its bound and accepted with
    probability distance / bound. The bound of one that was looked at becomes its distance, which
    only falls as picks are added.

    Attributes:
        query: about the candidates.
        lengths: (P,), |g|.
        bounds: (P,), of the squared distance to the nearest pick; 0 for those in the batch.
        centres: positions of the picks.
    """

    query: Query
    lengths: NDArray[np.float64] = field(init=False)
    bounds: NDArray[np.float64] = field(init=False)
    centres: list[int] = field(init=False)

    def __post_init__(self) -> None:
        residuals = self.query.map_logits(lambda logits: _residuals(logits).norm(dim=1))
        lengths = residuals.mul_(self.query.features.norm(dim=1))
        self.lengths = lengths.double().numpy(force=True)
        self.bounds = np.full(len(self.lengths), np.inf)
        self.centres = []
        for position in self.query.picked.tolist():
            self._add(position)

    def picks(self) -> Iterator[int]:
        """Yield free positions, each once."""
        for count in range(len(self.query.free())):
            longest = not count and not self.centres and self.lengths.any()
            pick = int(self.lengths.argmax()) if longest else self._draw()
            yield pick
            self._add(pick)

    def _add(self, position: int) -> None:
        self.centres.append(position)
        np.minimum(self.bounds, (self.lengths + self.lengths[position]) ** 2, out=self.bounds)
        self.bounds[self.centres] = 0

    def _draw(self) -> int:
        """Return a position, drawn in proportion to the squared distance to the nearest pick."""
        if not self.centres:
            self.bounds[:] = 0
        looked_at, size, rng = 0, _FEWEST, self.query.rng
        while self.bounds.any():
            if looked_at * _PATIENCE > len(self.bounds):
                self._look_at_all()
                looked_at = 0
                continue
            edges = self.bounds.cumsum()
            last = int(np.searchsorted(edges, edges[-1]))
            drawn = np.searchsorted(edges, rng.random(size) * edges[-1], side="right").clip(
                max=last
            )
            distances = self._distances(drawn)
            accepted = np.flatnonzero(rng.random(size) * self.bounds[drawn] < distances)
            self.bounds[drawn] = np.minimum(self.bounds[drawn], distances)
            if len(accepted):
                return int(drawn[accepted[0]])
            looked_at, size = looked_at + size, min(2 * size, _MOST)
        free = np.ones(len(self.bounds))
        free[self.centres] = 0
        return int(rng.choice(len(free), p=free / free.sum()))

    def _look_at_all(self) -> None:
        """Make every bound the distance itself: O(P C (D + t)) for t picks."""
        for start in range(0, len(self.bounds), _MOST):
            part = np.arange(start, min(start + _MOST, len(self.bounds)))
            self.bounds[part] = np.minimum(self.bounds[part], self._distances(part))

    def _distances(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the squared distances (R,) of candidates at positions (R,) to the nearest pick."""
        rows, residuals = self._factors(positions)
        centres, others = self._factors(np.array(self.centres))
        overlap = (residuals @ others.T).mul_(rows @ centres.T).numpy(force=True)
        squares = self.lengths**2
        distances = squares[positions, None] + squares[self.centres] - 2 * overlap
        nearest: NDArray[np.float64] = distances.min(axis=1).clip(min=0)
        return nearest

    def _factors(self, positions: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return the features (R, D) and the residuals (R, C) of candidates."""
        places = torch.from_numpy(positions).to(self.query.features.device)
        return self.query.features[places], _residuals(self.query.logits_at(places))
