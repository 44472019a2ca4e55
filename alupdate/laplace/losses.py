"""The mean loss on many points after each of many hypothetical updates.

Losses are the negative log-likelihood (``nll``), the share of errors (``error``) and the Brier
score (``brier``), on true labels or as the model itself expects them [Roy2001].

Derivation of the loss to expect after an update with one instance, for each of its labels. Where
the update is one step along the residual, the change of the logits of a point t by an instance
with prediction p is a_t (e_y - p), a_t = step * k_t. The label y touches one class: with
g = f_t - a_t p, m = max g, E_c = exp(g_c - m) and the sums over classes S = sum E,
N = sum E (g - m) and Q = sum E^2, which no label enters, the prediction after label y has

    normaliser   Z_y = (S - E_y) + E_y e^a
    entropy      log Z_y - (N - E_y (g_y - m) + E_y e^a (g_y - m + a)) / Z_y
    1 - |p|^2    1 - ((Q - E_y^2) + E_y^2 e^2a) / Z_y^2
    1 - max p    1 - max(E_y e^a, max_{c != y} E_c) / Z_y

so that all labels of a candidate cost O(T C), where the updates one by one cost O(T C) each. With
y the most probable class, E_y = 1, the differences in brackets would cancel; so the sums run over
the classes with E < 1, to which n - E_y is added, n being the number of classes with E = 1.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from alupdate.laplace.names import BRIER, ERROR, NLL, Loss

TILE_NUMBERS = 2**21
"""How many numbers of the kernel are worked on together; a tile has ``MIN_POINTS`` at least."""

MIN_POINTS = 256

GROUP_NUMBERS = 2**18
"""How many logits are worked on together: few enough to stay in the processor's cache."""

LossSum = Callable[[Tensor, slice], Tensor]
"""Logits (G, C, t) of the points in a slice, which may be overwritten -> sums of their losses (G,).

All logits of a point may be shifted by the same number.
"""


def true_loss(labels: Tensor, loss: Loss) -> LossSum:
    """Return the summed loss on points with labels (T,).

    ``nll`` (cross entropy), ``error`` (share of wrong predictions) or ``brier``.
    """
    return partial(_true_loss, labels, loss)


def expected_loss(loss: Loss) -> LossSum:
    """Return the summed loss to expect on points without labels, if the prediction is right.

    The expectation of each loss over the predicted distribution p itself: the entropy for ``nll``,
    1 - max p for ``error``, 1 - |p|^2 for ``brier``.
    """
    return partial(_expected_loss, loss)


def losses_after_updates(
    kernel: Callable[[slice], Tensor],
    n_candidates: int,
    logits: Tensor,
    batches: Tensor,
    coefficients: Tensor,
    loss_sum: LossSum,
) -> Tensor:
    """Return the mean loss (M,) on T points after the update on each of M batches.

    The new logits are ``logits + kernel[batch].T @ coefficients`` (the dual form, see
    ``alupdate.laplace.second_order``). A tile of few points at a time, and a few batches on it, so
    that kernel and logits are used while they are in the processor's cache, and memory depends on
    neither M nor T.

    Args:
        kernel: of the points in a slice, Phi_P Sigma Phi_t^T (P, t): candidates by points.
        n_candidates: P.
        logits: (T, C), of the evaluation points before the update.
        batches: (M, b), rows of the kernel.
        coefficients: (M, b, C), from ``rules.UpdateRule.coefficients``.
        loss_sum: from ``true_loss`` or ``expected_loss``.
    """
    weights = coefficients.mT

    def moved(base: Tensor, part: slice) -> Iterator[tuple[slice, Tensor]]:
        tile = kernel(part)
        for group in _groups(len(batches), base):
            chosen = batches[group]
            rows = tile.index_select(0, chosen.flatten()).view(*chosen.shape, -1)
            yield group, torch.baddbmm(base, weights[group], rows)

    return _means(logits, len(batches), n_candidates, moved, loss_sum)


def losses_after_changes(
    changes: Tensor, features: Tensor, logits: Tensor, loss_sum: LossSum
) -> Tensor:
    """Return the mean loss (M,) on T points after each of M changes of the weights.

    For updates that move every class along directions of its own, where a kernel would have to be
    kept for each class.

    Args:
        changes: (M, C, D), from ``rules.mean_changes``.
        features: (T, D), of the evaluation points.
        logits: (T, C), before the change.
        loss_sum: as above.
    """

    def moved(base: Tensor, part: slice) -> Iterator[tuple[slice, Tensor]]:
        columns = features[part].T
        for group in _groups(len(changes), base):
            change = changes[group].flatten(0, 1) @ columns
            yield group, change.view(-1, *base.shape).add_(base)

    return _means(logits, len(changes), features.shape[1], moved, loss_sum)


Moved = Callable[[Tensor, slice], Iterator[tuple[slice, Tensor]]]
"""Logits (C, t) of the points in a slice -> for some updates at a time, those after them."""


def _means(logits: Tensor, count: int, rows: int, moved: Moved, loss_sum: LossSum) -> Tensor:
    """Return the mean losses (M,) on all points, a tile of them after the other.

    The logits are taken relative to each point's largest before the updates.

    Args:
        logits: (T, C), before the updates.
        count: M, the number of updates.
        rows: how many numbers a tile has for each of its points.
        moved: the logits after the updates.
        loss_sum: as above.
    """
    total = logits.new_zeros(count, dtype=torch.float64)
    size = max(MIN_POINTS, TILE_NUMBERS // rows)
    for start in range(0, len(logits), size):
        part = slice(start, min(start + size, len(logits)))
        base = logits[part].T
        for group, after in moved(base - base.amax(dim=0), part):
            total[group] += loss_sum(after, part)
    return (total / len(logits)).to(logits.dtype)


def _groups(count: int, base: Tensor) -> Iterator[slice]:
    """Yield slices of 0..count-1 of as many updates as are worked on together."""
    size = max(1, GROUP_NUMBERS // max(1, base.numel()))
    for start in range(0, count, size):
        yield slice(start, start + size)


def _true_loss(labels: Tensor, loss: Loss, logits: Tensor, part: slice) -> Tensor:
    """Return the summed losses.

    ``nll`` takes the exponentials of the logits as they come, which are relative to the largest
    before the update (``_means``), and looks for the new largest only if these leave the range of
    the numbers.
    """
    true = labels[part]
    if loss == ERROR:
        return (logits.argmax(dim=1) != true).sum(dim=1)
    places = true.expand(len(logits), 1, -1)
    if loss == NLL:
        own = logits.gather(1, places)[:, 0]
        sums = (logits.exp().sum(dim=1).log_() - own).sum(dim=1)
        if math.isfinite(float(sums.sum())):
            return sums
        return (torch.logsumexp(logits, dim=1) - own).sum(dim=1)
    logits -= logits.amax(dim=1, keepdim=True)
    probabilities = logits.exp_()
    probabilities /= probabilities.sum(dim=1, keepdim=True)
    own = probabilities.gather(1, places)[:, 0]
    return (probabilities.square_().sum(dim=1) - 2 * own + 1).sum(dim=1)


def _expected_loss(loss: Loss, logits: Tensor, _: slice) -> Tensor:
    if loss == NLL:
        logits -= logits.amax(dim=1, keepdim=True)
        powers = logits.exp()
        total = powers.sum(dim=1)
        return (total.log() - powers.mul_(logits).sum(dim=1) / total).sum(dim=1)
    probabilities = torch.softmax(logits, dim=1)
    if loss == ERROR:
        return (1 - probabilities.amax(dim=1)).sum(dim=1)
    return (1 - probabilities.square_().sum(dim=1)).sum(dim=1)


LARGEST_STEP = 40.0
"""Of a logit: beyond, the squared exponentials of a step leave the range of 32-bit floats."""


@dataclass(frozen=True)
class _Group:
    """The terms above for G candidates and L labels, over T points.

    Attributes:
        shifted: (G, C, T), g - m.
        steps: (G, 1, T), a.
        labels: (G, L, T), the labels, the same for every point.
        own: (G, L, T), E_y.
        below: (G, C, T), E where it is below 1, otherwise 0.
        ties: (G, 1, T), n.
    """

    shifted: Tensor
    steps: Tensor
    labels: Tensor
    own: Tensor
    below: Tensor
    ties: Tensor

    def others(self, below: Tensor, own: Tensor) -> Tensor:
        """Return sums (G, L, T) over the classes c != y of a power of E: (G, C, T), (G, L, T)."""
        return below.sum(dim=1, keepdim=True) + (self.ties - own)


def losses_for_labels(
    steps: Tensor, logits: Tensor, predictions: Tensor, labels: Tensor, loss: Loss
) -> Tensor:
    """Return the mean loss (R, L) to expect on T points after each of L labels of R candidates.

    Args:
        steps: (R, T), a_t of every candidate; none above ``LARGEST_STEP``.
        logits: (T, C), of the points before the update.
        predictions: (R, C), p of the candidates.
        labels: (R, L), class indices.
        loss: as in ``losses.expected_loss``.
    """
    transposed = logits.T.contiguous()
    size = max(1, GROUP_NUMBERS // max(1, logits.numel()))
    starts = range(0, len(steps), size)
    return torch.cat(
        [
            _losses(
                _group(
                    transposed,
                    steps[start : start + size, None],
                    predictions[start : start + size, :, None],
                    labels[start : start + size, :, None],
                ),
                loss,
            )
            for start in starts
        ]
    )


def _group(logits: Tensor, steps: Tensor, predictions: Tensor, labels: Tensor) -> _Group:
    """Return the terms; logits (C, T), steps (G, 1, T), predictions (G, C, 1), labels (G, L, 1)."""
    shifted = torch.baddbmm(logits, predictions, steps, alpha=-1)
    shifted -= shifted.amax(dim=1, keepdim=True)
    powers = shifted.exp()
    places = labels.expand(-1, -1, steps.shape[2])
    own, everything = powers.gather(1, places), powers.sum(dim=1, keepdim=True)
    below = powers.masked_fill_(powers == 1, 0)
    ties = (everything - below.sum(dim=1, keepdim=True)).round_()
    return _Group(shifted, steps, places, own, below, ties)


def _losses(group: _Group, loss: Loss) -> Tensor:
    growth = group.steps.exp()
    grown = group.own * growth
    total = group.others(group.below, group.own) + grown
    if loss == NLL:
        height = group.shifted.gather(1, group.labels)
        weighted = (group.below * group.shifted).sum(dim=1, keepdim=True) - group.own * height
        values = total.log() - (weighted + grown * (height + group.steps)) / total
    elif loss == BRIER:
        squares = group.others(group.below.square(), group.own.square())
        values = 1 - (squares + grown.square()) / total.square()
    else:
        alone = (group.own == 1) & (group.ties == 1)
        rival = torch.where(alone, group.below.amax(dim=1, keepdim=True), 1.0)
        values = 1 - torch.maximum(grown, rival) / total
    return values.mean(dim=2)
