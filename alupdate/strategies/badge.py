"""BADGE: batches of instances that are uncertain and different from each other."""

import numpy as np
import torch
from torch import Tensor

from alupdate.strategies.base import Positions, Query


class Badge:
    """k-means++ seeding on the gradients of the last layer (Ash et al. 2020, algorithm 1).

    The gradient at an instance, if the predicted label were its true one, is the outer product of
    r = p - e_predicted (C numbers) and phi (D numbers). It is long where the model is unsure. Outer
    products need not be built: with |g|^2 = |r|^2 |phi|^2,

        |g - g'|^2 = |g|^2 + |g'|^2 - 2 (r . r') (phi . phi')

    so that P (C + D) numbers are in memory instead of P C D, and a pick costs O(P (C + D)).

    The first pick is the longest gradient, as in the authors' code; every other is drawn with a
    probability in proportion to the squared distance to the nearest one picked before
    (scikit-activeml counts the origin among those, the authors do not). Picks of the batch whose
    labels are bought already count with the gradient they have now.
    """

    needs_oracle = False

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        residuals = _residuals(query.logits)
        lengths = residuals.square().sum(dim=1) * query.features.square().sum(dim=1)
        nearest = _nearest(query, residuals, lengths)
        free = ~query.taken.numpy(force=True)
        picked = np.empty(size, dtype=np.int64)
        for i in range(size):
            first = i == 0 and not len(query.chosen)
            picked[i] = pick = _pick(nearest.numpy(force=True), free, query.rng, first)
            free[pick] = False
            products = query.features @ query.features[pick]
            overlap = (residuals @ residuals[pick]).mul_(products)
            distances = (lengths + lengths[pick]).sub_(overlap, alpha=2)
            nearest = distances if first else torch.minimum(nearest, distances)
        return picked


def _residuals(logits: Tensor) -> Tensor:
    """Return p - e_predicted, (P, C)."""
    probabilities = torch.softmax(logits, dim=1)
    predicted = probabilities.argmax(dim=1, keepdim=True)
    return probabilities.scatter_add(1, predicted, -torch.ones_like(probabilities[:, :1]))


def _nearest(query: Query, residuals: Tensor, lengths: Tensor) -> Tensor:
    """Return the squared distances (P,) to the nearest pick, or to zero before the first."""
    if not len(query.chosen):
        return lengths
    overlap = (residuals @ residuals[query.chosen].T).mul_(query.products)
    return (lengths[:, None] + lengths[query.chosen]).sub_(overlap, alpha=2).amin(dim=1)


def _pick(distances: np.ndarray, free: np.ndarray, rng: np.random.Generator, longest: bool) -> int:
    """Return the position of the longest, or of one drawn by squared distance, among the free."""
    weights = np.where(free, distances, 0).clip(min=0).astype(np.float64)
    if longest and weights.any():
        return int(weights.argmax())
    if not weights.any():
        weights = free.astype(np.float64)
    return int(rng.choice(len(weights), p=weights / weights.sum()))
