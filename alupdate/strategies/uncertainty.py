"""Strategies that prefer instances of which the model is unsure."""

import numpy as np
import torch
from torch import Tensor

from alupdate.config import BaldStrategy
from alupdate.strategies.base import Positions, Query, best


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


def minus_plogp(probabilities: Tensor) -> Tensor:
    """Return -p log p of probabilities of any shape, 0 at 0.

    As ``torch.special.entr``, which works number by number and takes several times as long.
    """
    tiny = torch.finfo(probabilities.dtype).tiny
    return probabilities.clamp(min=tiny).log_().mul_(probabilities).neg_()


class RandomSampling:
    """Draws instances at random, without replacement."""

    needs_oracle = False

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        return query.rng.choice(query.free(), size=size, replace=False)


class Variance:
    """The largest variance of the logits under the posterior, averaged over classes.

    phi^T Sigma phi depends on the features alone where all classes share a gaussian covariance: it
    is then the D-optimal choice of linear regression, blind to the predictions.
    """

    needs_oracle = False

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        return best(query.variances.mean(dim=1), query, size)


CHUNK_NUMBERS = 2**18
"""How many sampled probabilities are worked on together: few enough for the processor's cache."""


class Bald:
    """The largest mutual information of label and weights (Houlsby et al. 2011).

    H(mean_s p_s) - mean_s H(p_s) over samples p_s of the posterior. One instance's logits are all
    it needs of the weights, and they are independent Gaussians with mean f_c and variance v_c; so
    they are sampled directly, S C numbers that all candidates share. That costs O(P S C) with
    nothing of size D, and the variances are refreshed by rank-one terms within a sequential batch.
    """

    needs_oracle = False

    def __init__(self, settings: BaldStrategy) -> None:
        self._settings = settings

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        classes = query.logits.shape[1]
        drawn = query.rng.standard_normal((self._settings.n_samples, classes), dtype=np.float32)
        noise = torch.from_numpy(drawn).to(query.logits)
        return best(mutual_information(query.logits, query.variances, noise), query, size)


def mutual_information(logits: Tensor, variances: Tensor, noise: Tensor) -> Tensor:
    """Return the mutual information (P,) of each label and the weights, in nats.

    The instances come last (S, C, P): operations then run along them, several times faster than
    along a few classes.

    Args:
        logits: (P, C), means.
        variances: (P, K), K = 1 or C.
        noise: (S, C), standard normal numbers.
    """
    deviations = variances.clamp(min=0).sqrt().T.contiguous()
    size = max(1, CHUNK_NUMBERS // noise.numel())
    parts = []
    for means, spread in zip(
        torch.split(logits.T.contiguous(), size, dim=1),
        torch.split(deviations, size, dim=1),
        strict=True,
    ):
        log_p = torch.log_softmax(means + noise[:, :, None] * spread, dim=1)
        p = log_p.exp()
        single = -log_p.mul_(p).sum(dim=1).mean(dim=0)
        parts.append(minus_plogp(p.mean(dim=0)).sum(dim=0) - single)
    return torch.cat(parts)
