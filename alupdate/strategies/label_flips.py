"""Candidates whose predicted label flips when their features change: DropQuery and ALFA-Mix.

And representatives of k-means clusters, by which they choose, as first labels.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from typing_extensions import override

from alupdate.config.values import SETTINGS, Count, Positive, Share
from alupdate.strategies.base import (
    LOGITS_AT_ONCE,
    Positions,
    Query,
    Strategy,
    StrategyOption,
)
from alupdate.strategies.diversity import distance_chunks, in_parts, rows_at_once, unit_length
from alupdate.strategies.kmeans import kmeans

_CHUNK_NUMBERS = 2**22
"""How many features are masked at a time."""


def without_bias(features: Tensor) -> Tensor:
    """Return features (N, D) less their last column, which is the bias."""
    return features[:, :-1]


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class DropQuery(StrategyOption):
    """DropQuery: representatives of candidates whose label flips under dropout [Gupte2024].

    In each of ``n_passes`` passes every feature is set to zero with probability ``dropout``, and
    the others are divided by 1 - ``dropout``, as in training; the bias stays. Candidates whose
    predicted label differs from that of their whole features in more than half of the passes are
    clustered into b k-means clusters, on features of unit length, and the one nearest to each
    centre is picked.

    While fewer than ``oversample`` b candidates are left, one pass less is asked for, down to a
    single one, as in the authors of REFINE's code [Huseljic2026]. If fewer than b flip in any pass,
    all of them are picked, and others at random. O(M P D C) and k-means, M passes.

    Attributes:
        n_passes: with a mask of their own per candidate.
        dropout: the probability with which a feature is set to zero.
        oversample: how many times b candidates are clustered at least, if so many flip.
    """

    name: Literal["dropquery"] = "dropquery"
    n_passes: Count = 3
    dropout: Share = 0.75
    oversample: Count = 25

    @override
    def select(self, query: Query, size: int) -> Positions:
        return representatives(query, self.flipping(query, size), size)

    def flipping(self, query: Query, size: int) -> Positions:
        """Return the free candidates (R,) whose label flips often enough for a batch of a size."""
        flips = self._flips(query)[query.free()]
        wanted = self.n_passes // 2 + 1
        while wanted > 1 and np.count_nonzero(flips >= wanted) < self.oversample * size:
            wanted -= 1
        return query.free()[flips >= wanted]

    def _flips(self, query: Query) -> np.ndarray:
        """Return in how many passes (P,) the predicted label differs."""
        predicted = query.map_logits(lambda logits: logits.argmax(dim=1))
        count = torch.zeros_like(predicted)
        for _ in range(self.n_passes):
            dropped = (query.posterior.logits(part) for part in self._dropped(query))
            count += torch.cat([logits.argmax(dim=1) for logits in dropped]) != predicted
        return count.numpy(force=True)

    def _dropped(self, query: Query) -> Iterator[Tensor]:
        """Yield the features (p, D) of a few candidates after the other, with dropout."""
        width = query.features.shape[1]
        size = max(1, min(_CHUNK_NUMBERS // width, LOGITS_AT_ONCE // query.n_classes))
        for part in torch.split(query.features, size):
            drawn = query.rng.random(without_bias(part).shape, dtype=np.float32)
            kept = torch.from_numpy(drawn >= self.dropout).to(part)
            dropped = part.clone()
            without_bias(dropped).mul_(kept).div_(1 - self.dropout)
            yield dropped


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class AlfaMix(StrategyOption):
    """ALFA-Mix: representatives of candidates whose label flips near a class mean [Parvaneh2022].

    The mean z* of the labelled instances of each class is mixed into a candidate's features z, with
    a share alpha for each feature: z + alpha * (z* - z). The paper's alpha, which changes the loss
    most for its length, is epsilon / sqrt(D) |z* - z| g / |g| / (z* - z), feature by feature, where
    g is the gradient of the loss of the predicted label y at z. The differences cancel:

        z + epsilon / sqrt(D) |z* - z| g / |g|

    is a step along g, and only its length depends on the class mean. With a linear layer, class c
    overtakes y after a step of (f_y - f_c) / (h_c - h_y), h = W g / |g|, and stays ahead. So the
    label flips for some class mean if and only if it does for the farthest one, which is what is
    computed, in O(P C (D + C)). g need not be built: it is a positive multiple of W^T (q - e_y), q
    the softmax over the other classes, so that it has a direction however sure the model is.

    These candidates are clustered into b k-means clusters, on features of unit length, and the one
    nearest to each centre is picked. If fewer than b flip, all of them are picked, and others at
    random. The bias is no feature. Classes without labels have no mean. The authors' code has
    epsilon grow until b flip; it is fixed here, as in the paper's closed form.

    Attributes:
        epsilon: of the length of steps.
    """

    name: Literal["alfamix"] = "alfamix"
    uses_labels: ClassVar[bool] = True
    epsilon: Positive = 0.2

    @override
    def select(self, query: Query, size: int) -> Positions:
        reach = _farthest(query) * (self.epsilon / max(1, query.features.shape[1] - 1) ** 0.5)
        flips = (_flipping_steps(query) < reach).numpy(force=True)
        return representatives(query, query.free()[flips[query.free()]], size)


def _farthest(query: Query) -> Tensor:
    """Return the distance (P,) to the farthest class mean; 0 where nothing is labelled."""
    rows, labels = without_bias(query.labelled_features), query.labelled_labels
    if not len(labels):
        return torch.zeros_like(query.features[:, 0])
    means = torch.stack([rows[labels == c].mean(dim=0) for c in torch.unique(labels)])
    parts = distance_chunks(without_bias(query.features), means)
    return torch.cat([part.amax(dim=1) for part in parts]).sqrt()


def _flipping_steps(query: Query) -> Tensor:
    """Return the length (P,) of the step along the loss's gradient that flips the label, or inf.

    The classes' mean weights, which no prediction depends on, are taken off: less is lost to
    rounding.
    """
    weights = without_bias(query.posterior.mean)
    weights = weights - weights.mean(dim=0)
    gram = weights @ weights.T
    return query.map_logits(lambda logits: _steps(logits, gram))


def _steps(logits: Tensor, gram: Tensor) -> Tensor:
    """Return the lengths (R,) for logits (R, C), given the inner products (C, C) of the weights."""
    predicted = logits.argmax(dim=1, keepdim=True)
    pulls = torch.softmax(logits.scatter(1, predicted, -torch.inf), dim=1)
    pulls = pulls.scatter(1, predicted, -1)
    slopes = pulls @ gram
    squares = (slopes * pulls).sum(dim=1, keepdim=True)
    slopes /= torch.where(squares > 0, squares, torch.nan).sqrt()
    gains = slopes - slopes.gather(1, predicted)
    steps = (logits.gather(1, predicted) - logits) / gains
    return steps.masked_fill(~(gains > 0), torch.inf).amin(dim=1)


def representatives(query: Query, positions: Positions, size: int) -> Positions:
    """Return the nearest to each centre of ``size`` k-means clusters of candidates.

    Features are scaled to unit length. Where fewer candidates or fewer distinct ones are given, the
    batch is filled at random, from those given first.

    Args:
        query: whose generator is drawn from.
        positions: (R,), distinct and free.
        size: of the batch.
    """
    chosen = positions
    if len(positions) > size:
        places = torch.from_numpy(positions).to(query.picked.device)
        chosen = positions[_nearest_to_centres(query.features, places, size, query.rng)]
    for source in (positions, query.free()):
        missing, others = size - len(chosen), np.setdiff1d(source, chosen)
        if missing and len(others):
            drawn = query.rng.choice(others, size=min(missing, len(others)), replace=False)
            chosen = np.concatenate([chosen, drawn])
    return chosen


def _nearest_to_centres(
    features: Tensor, positions: Tensor, count: int, rng: np.random.Generator
) -> Positions:
    """Return the member nearest to the mean of each k-means cluster of features at positions (R,).

    Features less the bias, of unit length. They are copied once, for k-means.
    """

    def points(places: Tensor) -> Tensor:
        return unit_length(without_bias(features[positions[places]]))

    width, everyone = features.shape[1] - 1, torch.arange(len(positions), device=features.device)
    parts = torch.split(everyone, rows_at_once(width))
    clusters = np.zeros(len(positions), dtype=np.int64)
    if count > 1:
        copied = features.new_empty(len(positions), width)
        for part in parts:
            copied[part] = points(part)
        clusters = kmeans(copied, count, rng, overwrite=True)
        del copied
    groups = torch.from_numpy(clusters).to(features.device)
    sums = features.new_zeros(count, width)
    for part in parts:
        sums.index_add_(0, groups[part], points(part))
    means = sums / torch.bincount(groups, minlength=count)[:, None].clamp(min=1)

    def gaps(part: Tensor) -> Tensor:
        return (points(part) - means[groups[part]]).square().sum(dim=1)

    found = in_parts(gaps, everyone, rows_at_once(width)).numpy(force=True)
    order = np.lexsort((found, clusters))
    firsts = np.unique(clusters[order], return_index=True)[1]
    return order[firsts].astype(np.int64)


class KMeansCentres(Strategy):
    """Cluster-based selection of the first labels [Kang2004].

    The candidates are clustered by k-means into ``size`` clusters, and of each the instance that is
    nearest to its mean is taken. Features are scaled to unit length, as the other ways to choose
    first labels do. Where fewer candidates than ``size`` differ, some clusters are empty, and the
    batch is filled at random. Neither a prediction nor a labelled instance is looked at. O(P D b)
    per iteration of k-means, for P candidates and b clusters.

    The authors represent a text by the frequencies of its words, and add the centres themselves,
    with the labels of their clusters, to the training set; here only instances are labelled.

    Example:
        >>> import torch
        >>> from alupdate.laplace.posterior import fit_posterior
        >>> features = torch.tensor([[1.0, 0.0, 1], [1, 0.1, 1], [1, 0.2, 1], [0, 1, 1], [0, 2, 1]])
        >>> prior = fit_posterior(torch.zeros(2, 3), features[:0], "gaussian", 1.0)
        >>> sorted(KMeansCentres().select(Query.of(prior, features), 2).tolist())
        [1, 3]
    """

    @override
    def select(self, query: Query, size: int) -> Positions:
        return representatives(query, query.free(), size)
