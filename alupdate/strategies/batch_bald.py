"""BatchBALD: batches whose labels together would say most about the weights."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from alupdate.config import BatchBaldStrategy
from alupdate.laplace.predictive import sample_weights
from alupdate.strategies.base import Positions, Query
from alupdate.strategies.uncertainty import minus_plogp

CHUNK_NUMBERS = 2**24
"""How many numbers a temporary array may have."""

CACHED_NUMBERS = 2**18
"""How many numbers are worked on together: few enough to stay in the processor's cache."""

GROUP = 128
"""Candidates that are scored together."""


class BatchBald:
    """Greedy mutual information of the batch's labels and the weights (Kirsch et al. 2019).

    With the batch's labels y so far, a candidate x adds

        E_y H(y_x | y) - mean_s H(y_x | w_s),      p(y_x | y) = sum_s p(w_s | y) p(y_x | w_s)

    over samples w_s of the posterior: their difference of joint entropies, written with what the
    joint labels say about the samples, so that no likelihood of a hundred labels underflows. The
    expectation runs over all joint labels while there are at most ``n_configurations``, and over as
    many drawn from the model beyond (their section 3.2).

    What a candidate adds can only shrink as the batch grows (the mutual information is submodular),
    so the value it last had is an upper bound. Candidates are scored in the order of these bounds,
    until the best value exceeds the bound of all that are left. That picks what scoring all of them
    would; with drawn joint labels up to their sampling error.
    """

    needs_oracle = False

    def __init__(self, settings: BatchBaldStrategy) -> None:
        self._settings = settings

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        free = torch.from_numpy(query.free()).to(query.features.device)
        probabilities = _sampled(query, free, self._settings.n_samples)
        single = _mean_entropies(probabilities)
        bounds = torch.full_like(single, torch.inf)
        labels = _JointLabels.none(probabilities)
        picked: list[int] = []
        while True:
            best, bounds = _best(probabilities, single, labels, bounds)
            picked.append(best)
            bounds[best] = -torch.inf
            if len(picked) == size:
                return free[picked].numpy(force=True).astype(np.int64)
            most = self._settings.n_configurations
            labels = labels.extended(probabilities[best], most, query.rng)


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
        return _JointLabels(chances[kept], _without_specks(beliefs.div_(total)))

    def entropies(self, probabilities: Tensor) -> Tensor:
        """Return E_y H(y_x | y), (R,), of R candidates with probabilities (R, S, C)."""
        count, samples, classes = probabilities.shape
        flat = probabilities.transpose(0, 1).reshape(samples, count * classes)
        size = max(1, CACHED_NUMBERS // flat.shape[1])
        total = flat.new_zeros(count * classes)
        for beliefs, chances in zip(
            torch.split(self.beliefs, size), torch.split(self.chances, size), strict=True
        ):
            total += chances @ minus_plogp(beliefs @ flat)
        return total.view(count, classes).sum(dim=1)


def _drawn(chances: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """Return indices (count,) drawn in proportion to ``chances`` by systematic sampling."""
    edges = chances.double().cumsum(0).numpy(force=True)
    points = (rng.random() + np.arange(count)) / count * edges[-1]
    drawn = np.searchsorted(edges, points, side="right").clip(max=len(edges) - 1)
    return torch.from_numpy(drawn).to(chances.device)


def _sampled(query: Query, free: Tensor, count: int) -> Tensor:
    """Return probabilities (F, S, C) of the free candidates under weights from the posterior."""
    weights = sample_weights(query.posterior, count, query.rng)
    classes = weights.shape[1]
    sampled = query.features.new_empty(len(free), count, classes)
    flat = weights.flatten(0, 1).T
    size = max(1, CHUNK_NUMBERS // len(flat.T))
    for start in range(0, len(free), size):
        rows = query.features[free[start : start + size]]
        logits = (rows @ flat).view(len(rows), count, classes)
        torch.softmax(logits, dim=2, out=sampled[start : start + size])
    return _without_specks(sampled)


def _without_specks(probabilities: Tensor) -> Tensor:
    """Set probabilities that no sum would notice to zero, in place.

    A product of two of them is denormal, and processors multiply denormal numbers many times more
    slowly: a confident model's matrix products took ten times as long.
    """
    speck = torch.finfo(probabilities.dtype).tiny ** 0.5
    return probabilities.masked_fill_(probabilities < speck, 0)


def _mean_entropies(probabilities: Tensor) -> Tensor:
    """Return mean_s H(p_s) (F,) of probabilities (F, S, C)."""
    size = max(1, CHUNK_NUMBERS // probabilities[0].numel())
    parts = torch.split(probabilities, size)
    return torch.cat([minus_plogp(part).sum(dim=2).mean(dim=1) for part in parts])


def _best(
    probabilities: Tensor, single: Tensor, labels: _JointLabels, bounds: Tensor
) -> tuple[int, Tensor]:
    """Return the candidate that adds most, and the new upper bounds (F,) of all.

    A bound of minus infinity says that the candidate is in the batch.
    """
    bounds = bounds.clone()
    best, most = -1, -torch.inf
    order = torch.argsort(bounds, descending=True, stable=True)
    for group in torch.split(order[: int((~torch.isneginf(bounds)).sum())], GROUP):
        if float(bounds[group[0]]) <= most:
            break
        bounds[group] = labels.entropies(probabilities[group]) - single[group]
        place = int(bounds[group].argmax())
        if float(bounds[group[place]]) > most:
            best, most = int(group[place]), float(bounds[group[place]])
    return best, bounds
