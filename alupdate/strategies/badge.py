"""BADGE: batches of instances that are uncertain and different from each other."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from typing_extensions import override

from alupdate.config.values import SETTINGS
from alupdate.strategies.base import GreedyStrategy, Query, StrategyOption


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Badge(StrategyOption, GreedyStrategy):
    """BADGE: k-means++ seeding on the gradients of the last layer [Ash2020], algorithm 1.

    The gradient at an instance, if the predicted label were its true one, is the outer product of
    r = p - e_predicted (C numbers) and phi (D numbers). It is long where the model is unsure. Outer
    products need not be built: with |g|^2 = |r|^2 |phi|^2,

        |g - g'|^2 = |g|^2 + |g'|^2 - 2 (r . r') (phi . phi')

    so that P (C + D) numbers are in memory instead of P C D, and a pick costs O(P (C + D)).

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
    def picks(self, query: Query) -> Iterator[int]:
        residuals = _residuals(query.logits)
        lengths = residuals.square().sum(dim=1) * query.features.square().sum(dim=1)
        nearest = _nearest(query, residuals, lengths)
        free = ~query.taken.numpy(force=True)
        first = not len(query.picked)
        while free.any():
            pick = _pick(nearest.numpy(force=True), free, query.rng, first)
            yield pick
            free[pick] = False
            products = query.features @ query.features[pick]
            overlap = (residuals @ residuals[pick]).mul_(products)
            distances = (lengths + lengths[pick]).sub_(overlap, alpha=2)
            nearest = distances if first else torch.minimum(nearest, distances)
            first = False


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


def _pick(distances: np.ndarray, free: np.ndarray, rng: np.random.Generator, longest: bool) -> int:
    """Return the position of the longest, or of one drawn by squared distance, among the free."""
    weights = np.where(free, distances, 0).clip(min=0).astype(np.float64)
    if longest and weights.any():
        return int(weights.argmax())
    if not weights.any():
        weights = free.astype(np.float64)
    return int(rng.choice(len(weights), p=weights / weights.sum()))
