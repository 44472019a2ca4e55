"""Strategies that prefer instances of which the model is unsure."""

import torch
from torch import Tensor

from alupdate.strategies.query import Positions, Query, best


def margin_uncertainty(logits: Tensor) -> Tensor:
    """Return 1 - (p_first - p_second), in [0, 1], of logits (P, C).

    With E_c = exp(f_c - max f), which is 1 for the first class, this is the sum over the others of
    E_c, plus the largest of them, over the sum of all: nothing cancels where the model is sure.
    """
    powers, first = _powers(logits)
    others = powers.scatter_(0, first[None], 0)
    rest = others.sum(dim=0)
    return (rest + others.amax(dim=0)) / (1 + rest)


def _powers(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return exp(f - max f) of logits (P, C), as (C, P), and the predicted classes (P,).

    With the classes as rows, every operation runs along the instances. Along a few classes, the
    same operations are up to twenty times slower on a processor.
    """
    columns = logits.T.contiguous()
    largest = columns.max(dim=0)
    return (columns - largest.values).exp_(), largest.indices


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
        log_probabilities = torch.log_softmax(query.logits.T.contiguous(), dim=0)
        entropy = -(log_probabilities.exp() * log_probabilities).sum(dim=0)
        return best(entropy, query, size)


class LeastConfidence:
    """The lowest probability of the predicted class (Lewis and Gale 1994)."""

    needs_oracle = False

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        return best(-1 / _powers(query.logits)[0].sum(dim=0), query, size)
