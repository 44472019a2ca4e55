"""Strategies that prefer instances of which the model is unsure."""

import torch
from torch import Tensor

from alupdate.strategies.query import Positions, Query, best


def margin_uncertainty(logits: Tensor) -> Tensor:
    """Return 1 - (p_first - p_second), in [0, 1], of logits (P, C)."""
    top = torch.softmax(logits, dim=1).topk(2, dim=1).values
    return 1 - (top[:, 0] - top[:, 1])


class Margin:
    """The smallest gap between the two most probable classes (Scheffer et al. 2001)."""

    needs_oracle = False

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        return best(margin_uncertainty(query.logits), query, size)


class Entropy:
    """The highest entropy of the predictive distribution (Shannon)."""

    needs_oracle = False

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        log_probabilities = torch.log_softmax(query.logits, dim=1)
        entropy = -(log_probabilities.exp() * log_probabilities).sum(dim=1)
        return best(entropy, query, size)


class LeastConfidence:
    """The lowest probability of the predicted class (Lewis and Gale 1994)."""

    needs_oracle = False

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        return best(-torch.softmax(query.logits, dim=1).amax(dim=1), query, size)
