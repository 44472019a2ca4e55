"""Uncertainty sampling: scores of the predictive distribution and of the posterior."""

from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from typing_extensions import override

from alupdate.config.values import SETTINGS, Count
from alupdate.laplace.tiles import at_once
from alupdate.strategies.base import Positions, Query, ScoringStrategy, StrategyOption


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


def _entropies(logits: Tensor) -> Tensor:
    log_probabilities = torch.log_softmax(logits.T.contiguous(), dim=0)
    return -(log_probabilities.exp() * log_probabilities).sum(dim=0)


def minus_plogp(probabilities: Tensor) -> Tensor:
    """Return -p log p of probabilities of any shape, 0 at 0.

    As ``torch.special.entr``, which works number by number and takes several times as long.
    """
    tiny = torch.finfo(probabilities.dtype).tiny
    return probabilities.clamp(min=tiny).log_().mul_(probabilities).neg_()


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class RandomSampling(StrategyOption):
    """Random sampling without replacement: every candidate is equally likely. O(P)."""

    name: Literal["random"] = "random"

    @override
    def select(self, query: Query, size: int) -> Positions:
        return query.rng.choice(query.free(), size=size, replace=False)


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Margin(StrategyOption, ScoringStrategy):
    """Margin sampling: the smallest gap between the two largest probabilities [Scheffer2001].

    The utility is 1 - (p_first - p_second), in [0, 1]. O(P C).

    Example:
        >>> from alupdate.laplace.updates import fit
        >>> features = torch.tensor([[3.0], [-0.1], [1.0]])
        >>> posterior = fit(torch.tensor([[1.0], [-1.0]]), features[:1], "gaussian", 1.0)
        >>> Margin().select(Query.of(posterior, features), 2)
        array([1, 2])
    """

    name: Literal["margin"] = "margin"

    @override
    def utilities(self, query: Query) -> Tensor:
        return query.map_logits(margin_uncertainty)


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Entropy(StrategyOption, ScoringStrategy):
    """Entropy sampling: the largest entropy of the predictive distribution [Settles2009].

    The utility is -sum_c p_c log p_c in nats, in [0, log C]. O(P C).
    """

    name: Literal["entropy"] = "entropy"

    @override
    def utilities(self, query: Query) -> Tensor:
        return query.map_logits(_entropies)


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class LeastConfidence(StrategyOption, ScoringStrategy):
    """Least-confidence sampling: the lowest probability of the predicted class [Lewis1994].

    The utility is -max_c p_c. O(P C).
    """

    name: Literal["least_confidence"] = "least_confidence"
    signed: ClassVar[bool | None] = True

    @override
    def utilities(self, query: Query) -> Tensor:
        return query.map_logits(lambda logits: -1 / _powers(logits)[0].sum(dim=0))


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Variance(StrategyOption, ScoringStrategy):
    """Variance sampling: the largest posterior variance of the logits [MacKay1992b].

    The utility is the mean over classes of phi^T Sigma_k phi. It depends on the features alone
    where all classes share a gaussian covariance: it is then the D-optimal choice of linear
    regression, and the predictions do not matter. O(P K D^2), in a sequential batch O(P K D) per
    label after the first.
    """

    name: Literal["variance"] = "variance"

    @override
    def utilities(self, query: Query) -> Tensor:
        return query.variances.mean(dim=1)


_CHUNK_NUMBERS = 2**18
"""How many sampled probabilities are worked on together: few enough for the processor's cache."""

_FEWEST_TOGETHER = 16
"""How many instances are, at least: as many numbers as a processor takes at once."""


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Bald(StrategyOption, ScoringStrategy):
    """BALD: the largest mutual information of label and weights [Houlsby2011].

    The utility is H(mean_s p_s) - mean_s H(p_s) in nats over ``n_samples`` samples p_s of the
    posterior. One instance's logits are all it needs of the weights, and they are independent
    Gaussians with mean f_c and variance v_c; so they are sampled directly, S C numbers that all
    candidates share. That costs O(P S C) with nothing of size D, and the variances are refreshed by
    rank-one terms within a sequential batch.
    """

    name: Literal["bald"] = "bald"
    n_samples: Count = 100

    @override
    def utilities(self, query: Query) -> Tensor:
        drawn = query.rng.standard_normal((self.n_samples, query.n_classes), dtype=np.float32)
        noise = torch.from_numpy(drawn).to(query.features)
        utilities, start = query.features.new_empty(len(query.features)), 0
        for rows, logits in query.chunks():
            part = slice(start, start + len(rows))
            utilities[part] = mutual_information(logits, query.variances[part], noise)
            start += len(rows)
        return utilities


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
    size = max(_FEWEST_TOGETHER, at_once(noise, _CHUNK_NUMBERS) // noise.numel())
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
