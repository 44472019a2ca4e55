"""BatchBALD: batches whose labels together would say most about the weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass as option
from torch import Tensor
from typing_extensions import override

from alupdate.config.values import SETTINGS, Count
from alupdate.laplace.predictive import sample_weights
from alupdate.laplace.tiles import Assumptions, at_once
from alupdate.strategies.base import Query, StrategyOption, scattered
from alupdate.strategies.unasked import UnaskedGreedy
from alupdate.strategies.uncertainty import minus_plogp

_CHUNK_NUMBERS = 2**24
"""How many numbers a temporary array may have."""

_CACHED_NUMBERS = 2**18
"""How many numbers are worked on together: few enough to stay in the processor's cache."""

_GROUP = 128
"""Candidates that are scored together on a CPU; a GPU scores as many as it takes at once."""


@option(frozen=True, config=SETTINGS, kw_only=True)
class BatchBald(StrategyOption, UnaskedGreedy):
    """BatchBALD: greedy mutual information of the batch's labels and the weights [Kirsch2019].

    With the batch's labels y so far, a candidate x adds

        E_y H(y_x | y) - mean_s H(y_x | w_s),      p(y_x | y) = sum_s p(w_s | y) p(y_x | w_s)

    over samples w_s of the posterior: their difference of joint entropies, written with what the
    joint labels say about the samples, so that no likelihood of a hundred labels underflows. The
    expectation runs over all joint labels while there are at most ``n_configurations``, and over as
    many drawn from the model beyond (their section 3.2).

    What a candidate adds can only shrink as the batch grows (the mutual information is submodular),
    so the value it last had is an upper bound. Candidates are scored in the order of these bounds,
    until the best value exceeds the bound of all that are left. That picks what scoring all of them
    would; with drawn joint labels up to their sampling error. A pick costs O(P S C G) at most,
    for S samples and G joint labels.

    Attributes:
        n_samples: S, of the posterior.
        n_configurations: G, joint labels: exact up to here, sampled beyond.
    """

    name: Literal["batch_bald"] = "batch_bald"
    n_samples: Count = 100
    n_configurations: Count = 1000

    def utilities(self, query: Query) -> Tensor:
        """Return what each candidate adds to the batch (P,), in nats; NaN for those in it.

        It is BALD's mutual information by samples of the weights instead of the logits.
        """
        free, probabilities, single = self._sampled(query)
        labels = _JointLabels.none(probabilities)
        groups = torch.split(probabilities, _GROUP)
        added = torch.cat([labels.entropies(group) for group in groups]) - single
        return scattered(query, free, added)

    @override
    def picks(self, query: Query, assumed: Assumptions | None = None) -> Iterator[Tensor]:
        free, probabilities, single = self._sampled(query)
        bounds = torch.full_like(single, torch.inf)
        labels = _JointLabels.none(probabilities)
        for count in range(len(free)):
            if assumed is None:
                pick = _best(probabilities, single, labels, bounds)
            else:
                few = _together(probabilities) if count else len(free)
                pick = _best_of(few, probabilities, single, labels, bounds, assumed)
            yield free[pick][0]
            bounds.index_fill_(0, pick, -torch.inf)
            labels = labels.extended(probabilities[pick][0], self.n_configurations, query.rng)

    def _sampled(self, query: Query) -> tuple[Tensor, Tensor, Tensor]:
        """Return the free positions (F,), their probabilities and their mean entropies (F,)."""
        free = torch.from_numpy(query.free()).to(query.features.device)
        probabilities = _sampled(query, free, self.n_samples)
        return free, probabilities, _mean_entropies(probabilities)


@dataclass(frozen=True)
class _JointLabels:
    """Labels that the batch so far may get, and what they say about the samples.

    Attributes:
        chances: (G,), of each; they sum to 1.
        beliefs: (G, S), p(w_s | joint labels); rows sum to 1.
    """

    chances: Tensor
    beliefs: Tensor

    @classmethod
    def none(cls, probabilities: Tensor) -> "_JointLabels":
        """Return the one possibility of an empty batch, for probabilities (F, S, C)."""
        samples = probabilities.shape[1]
        return cls(probabilities.new_ones(1), probabilities.new_full((1, samples), 1 / samples))

    def extended(self, row: Tensor, most: int, rng: np.random.Generator) -> "_JointLabels":
        """Return the joint labels with one more instance of probabilities (S, C).

        All of them, or ``most`` that are drawn by their chances if there are more.
        """
        predicted = self.beliefs @ row
        chances = (self.chances[:, None] * predicted).flatten()
        kept = torch.arange(len(chances), device=chances.device)
        if len(chances) > most:
            kept = _drawn(chances, most, rng)
            chances = chances.new_full((len(chances),), 1 / most)
        earlier, label = kept // row.shape[1], kept % row.shape[1]
        beliefs = self.beliefs[earlier] * row.T[label]
        total = beliefs.sum(dim=1, keepdim=True).clamp(min=torch.finfo(beliefs.dtype).tiny)
        return _JointLabels(chances[kept], flush_denormals(beliefs.div_(total)))

    def entropies(self, probabilities: Tensor) -> Tensor:
        """Return E_y H(y_x | y), (R,), of R candidates with probabilities (R, S, C)."""
        count, samples, classes = probabilities.shape
        flat = probabilities.transpose(0, 1).reshape(samples, count * classes)
        size = max(1, at_once(flat, _CACHED_NUMBERS) // flat.shape[1])
        total = flat.new_zeros(count * classes)
        for beliefs, chances in zip(
            torch.split(self.beliefs, size), torch.split(self.chances, size), strict=True
        ):
            total += chances @ minus_plogp(beliefs @ flat)
        return total.view(count, classes).sum(dim=1)


def _drawn(chances: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """Return indices (count,) drawn in proportion to ``chances`` by systematic sampling."""
    edges = chances.double().cumsum(0)
    points = torch.arange(count, dtype=edges.dtype, device=edges.device).add_(rng.random())
    points = points.div_(count).mul_(edges[-1])
    return torch.searchsorted(edges, points, right=True).clamp_(max=len(edges) - 1)


def _sampled(query: Query, free: Tensor, count: int) -> Tensor:
    """Return probabilities (F, S, C) of the free candidates under weights from the posterior."""
    weights = sample_weights(query.posterior, count, query.rng)
    sampled = query.features.new_empty(len(free), *weights.shape[:2])
    size = chunk_size(weights)
    for start in range(0, len(free), size):
        part = slice(start, start + size)
        sampled[part] = sampled_probabilities(weights, query.features[free[part]])
    return sampled


def chunk_size(weights: Tensor) -> int:
    """Return how many instances get their probabilities under weights (S, C, D) at once."""
    return max(1, at_once(weights, _CHUNK_NUMBERS) // weights[:, :, 0].numel())


def sampled_probabilities(weights: Tensor, features: Tensor) -> Tensor:
    """Return the probabilities (N, S, C) of instances (N, D) under each of weights (S, C, D)."""
    logits = (features @ weights.flatten(0, 1).T).view(len(features), *weights.shape[:2])
    return flush_denormals(torch.softmax(logits, dim=2))


def flush_denormals(probabilities: Tensor) -> Tensor:
    """Set probabilities whose products would be denormal to zero, in place.

    They are below the precision of any sum of probabilities, and processors multiply denormal
    numbers many times more slowly: a confident model's matrix products took ten times as long.
    """
    smallest = torch.finfo(probabilities.dtype).tiny ** 0.5
    return probabilities.masked_fill_(probabilities < smallest, 0)


def _mean_entropies(probabilities: Tensor) -> Tensor:
    """Return mean_s H(p_s) (F,) of probabilities (F, S, C)."""
    size = max(1, at_once(probabilities, _CHUNK_NUMBERS) // probabilities[0].numel())
    parts = torch.split(probabilities, size)
    return torch.cat([minus_plogp(part).sum(dim=2).mean(dim=1) for part in parts])


def _together(probabilities: Tensor) -> int:
    """Return how many candidates with probabilities (F, S, C) are scored together."""
    return max(_GROUP, at_once(probabilities, 0) // probabilities[0].numel())


def _best(probabilities: Tensor, single: Tensor, labels: _JointLabels, bounds: Tensor) -> Tensor:
    """Return the candidate (1,) that adds most, and lower the upper bounds (F,) of those scored.

    A bound of minus infinity says that the candidate is in the batch.
    """
    most, order = -torch.inf, torch.argsort(bounds, descending=True, stable=True)
    best = order[:1]
    order = order[: int((~torch.isneginf(bounds)).sum())]
    for group in torch.split(order, _together(probabilities)):
        if float(bounds[group[0]]) <= most:
            break
        bounds[group] = labels.entropies(probabilities[group]) - single[group]
        place = bounds[group].argmax(dim=0, keepdim=True)
        if float(bounds[group[place]]) > most:
            best, most = group[place], float(bounds[group[place]])
    return best


def _best_of(
    few: int,
    probabilities: Tensor,
    single: Tensor,
    labels: _JointLabels,
    bounds: Tensor,
    assumed: Assumptions,
) -> Tensor:
    """Return what ``_best`` does, without asking: it is among the ``few`` of the largest bounds."""
    order = torch.argsort(bounds, descending=True, stable=True)
    front, rest = order[:few], bounds[order[few:][:1]]
    parts = torch.split(front, _together(probabilities))
    added = torch.cat([labels.entropies(probabilities[part]) - single[part] for part in parts])
    values = added.masked_fill_(torch.isneginf(bounds[front]), -torch.inf)
    bounds.index_copy_(0, front, values)
    assumed.add((rest <= values.max()).all())
    return front[values.argmax(dim=0, keepdim=True)]
