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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from alupdate.laplace.names import BRIER, ERROR, NLL, Loss
from alupdate.laplace.tiles import Assumptions, at_once

TILE_NUMBERS = 2**21
"""How many numbers of the kernel are worked on together; a tile has ``MIN_POINTS`` at least."""

MIN_POINTS = 256

GROUP_NUMBERS = 2**18
"""How many logits are worked on together: few enough to stay in the processor's cache."""

GATHERED_NUMBERS = 2**24
"""How many numbers of the kernel's rows, which the batches of a group gather, are in memory."""


class LossSum(Protocol):
    """The summed loss on points."""

    def __call__(self, logits: Tensor, part: slice, exact: bool = False) -> Tensor:
        """Return the sums of the losses (G,).

        They may come out infinite or NaN, though they are not, unless ``exact``.

        Args:
            logits: (G, C, t), of the points in the slice, which may be overwritten. All of a point
                may be shifted by the same number.
            part: of the points.
            exact: whether logits may be so large that their exponentials leave the range of the
                numbers.
        """
        ...


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
    assumed: Assumptions | None = None,
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
        assumed: is told that the losses are finite as they come; None to ask.
    """
    weights = coefficients.mT

    def tile_of(base: Tensor, part: slice) -> Moved:
        tile = kernel(part)

        def moved(group: Tensor | slice) -> Tensor:
            chosen = batches[group]
            rows = tile.index_select(0, chosen.flatten()).view(*chosen.shape, -1)
            return torch.baddbmm(base, weights[group], rows)

        return moved

    return _means(logits, batches.shape, n_candidates, tile_of, loss_sum, assumed)


def losses_after_changes(
    changes: Tensor,
    features: Tensor,
    logits: Tensor,
    loss_sum: LossSum,
    assumed: Assumptions | None = None,
) -> Tensor:
    """Return the mean loss (M,) on T points after each of M changes of the weights.

    For updates that move every class along directions of its own, where a kernel would have to be
    kept for each class.

    Args:
        changes: (M, C, D), from ``rules.mean_changes``.
        features: (T, D), of the evaluation points.
        logits: (T, C), before the change.
        loss_sum, assumed: as above.
    """

    def tile_of(base: Tensor, part: slice) -> Moved:
        columns = features[part].T

        def moved(group: Tensor | slice) -> Tensor:
            change = changes[group].flatten(0, 1) @ columns
            return change.view(-1, *base.shape).add_(base)

        return moved

    return _means(logits, (len(changes), 0), features.shape[1], tile_of, loss_sum, assumed)


def losses_of_logits(logits: Tensor, loss_sum: LossSum) -> Tensor:
    """Return the mean loss (M,) on T points of M logits (M, C, T)."""
    sums = loss_sum(logits.clone(), slice(None))
    wrong = (~torch.isfinite(sums)).nonzero()[:, 0]
    if len(wrong):
        sums[wrong] = loss_sum(logits[wrong], slice(None), exact=True)
    return sums / logits.shape[2]


Moved = Callable[[Tensor | slice], Tensor]
"""Places of G updates among all -> the logits (G, C, t) of a tile's points after them."""


def _means(
    logits: Tensor,
    shape: Sequence[int],
    rows: int,
    tile_of: Callable[[Tensor, slice], Moved],
    loss_sum: LossSum,
    assumed: Assumptions | None,
) -> Tensor:
    """Return the mean losses (M,) on all points, a tile of them after the other.

    The logits are taken relative to each point's largest before the updates. Where their sums over
    a tile are not finite, those updates alone are looked at again: one question for each tile.

    Args:
        logits: (T, C), before the updates.
        shape: M, the number of updates, and b, how many rows of the tile each takes.
        rows: how many numbers a tile has for each of its points.
        tile_of: from a tile's logits (C, t), and its points, to those after updates.
        loss_sum, assumed: as above.

    Raises:
        RuntimeError: a loss is not a number, since an update could not be computed.
    """
    count, size = shape
    total = logits.new_zeros(count, dtype=torch.float64)
    points = max(MIN_POINTS, at_once(logits, TILE_NUMBERS) // rows)
    for start in range(0, len(logits), points):
        part = slice(start, min(start + points, len(logits)))
        base = logits[part].T
        base = base - base.amax(dim=0)
        moved, sums, together = tile_of(base, part), torch.zeros_like(total), _together(base, size)
        for first in range(0, count, together):
            group = slice(first, first + together)
            sums[group] = loss_sum(moved(group), part)
        if assumed is None:
            wrong = (~torch.isfinite(sums)).nonzero()[:, 0]
            for some in torch.split(wrong, together) if len(wrong) else ():
                sums[some] = loss_sum(moved(some), part, exact=True).to(sums)
            if len(wrong) and bool(sums.isnan().any()):
                raise RuntimeError("the loss after a hypothetical update is not a number")
        total += sums
    if assumed is not None:
        assumed.add(torch.isfinite(total).all())
    return (total / len(logits)).to(logits.dtype)


def _together(base: Tensor, size: int) -> int:
    """Return how many updates are worked on together, each of (C, t) logits and b rows."""
    gathered = at_once(base, GATHERED_NUMBERS) // max(1, size * base.shape[1])
    return max(1, min(at_once(base, GROUP_NUMBERS) // max(1, base.numel()), gathered))


def _true_loss(
    labels: Tensor, loss: Loss, logits: Tensor, part: slice, exact: bool = False
) -> Tensor:
    """Return the summed losses.

    ``nll`` takes the exponentials of the logits as they come, which are relative to the largest
    before the update (``_means``), and looks for the new largest only if it must be ``exact``.
    """
    true = labels[part]
    if loss == ERROR:
        return (logits.argmax(dim=1) != true).sum(dim=1)
    places = true.expand(len(logits), 1, -1)
    if loss == NLL:
        own = logits.gather(1, places)[:, 0]
        if exact:
            return (torch.logsumexp(logits, dim=1) - own).sum(dim=1)
        return (logits.exp().sum(dim=1).log_() - own).sum(dim=1)
    logits -= logits.amax(dim=1, keepdim=True)
    probabilities = logits.exp_()
    probabilities /= probabilities.sum(dim=1, keepdim=True)
    own = probabilities.gather(1, places)[:, 0]
    return (probabilities.square_().sum(dim=1) - 2 * own + 1).sum(dim=1)


def _expected_loss(loss: Loss, logits: Tensor, _: slice, exact: bool = False) -> Tensor:
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

    A few points at a time, and a few candidates on them, so that what is worked on stays in the
    processor's cache, however many classes there are.

    Args:
        steps: (R, T), a_t of every candidate; none above ``LARGEST_STEP``.
        logits: (T, C), of the points before the update.
        predictions: (R, C), p of the candidates.
        labels: (R, L), class indices.
        loss: as in ``losses.expected_loss``.
    """
    count, classes = logits.shape
    numbers = at_once(logits, GROUP_NUMBERS)
    points = max(1, min(count, numbers // classes))
    size = max(1, numbers // (points * classes))
    # Written into one tensor: small ones between large ones that come and go leave holes in memory.
    sums = steps.new_zeros(labels.shape)
    for first in range(0, count, points):
        tile = slice(first, first + points)
        transposed = logits[tile].T.contiguous()
        for start in range(0, len(steps), size):
            part = slice(start, start + size)
            some = steps[part, None, tile], predictions[part, :, None], labels[part, :, None]
            sums[part] += _losses(_group(transposed, *some), loss)
    return sums / count


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
    return values.sum(dim=2)
