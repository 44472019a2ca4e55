"""The loss on many points after each of many hypothetical updates."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

Loss = Literal["nll", "error", "brier"]

GROUP_NUMBERS = 2**17
"""How many logits are worked on together: few enough to stay in the processor's cache."""

MeanLoss = Callable[[Tensor], Tensor]
"""Logits (G, C, T), which may be overwritten, -> the mean loss (G,) on T points."""


def true_loss(labels: Tensor, loss: Loss) -> MeanLoss:
    """Return the mean loss on points with labels (T,).

    ``nll`` (cross entropy), ``error`` (share of wrong predictions) or ``brier``.
    """
    return partial(_true_loss, labels, loss)


def expected_loss(loss: Loss) -> MeanLoss:
    """Return the mean loss to expect on points without labels, if the prediction is right.

    The expectation of each loss over the predicted distribution p itself: the entropy for ``nll``,
    1 - max p for ``error``, 1 - |p|^2 for ``brier``.
    """
    return partial(_expected_loss, loss)


def losses_after_updates(
    kernel: Tensor, logits: Tensor, batches: Tensor, coefficients: Tensor, mean_loss: MeanLoss
) -> Tensor:
    """Return the mean loss (M,) on T points after the update on each of M batches.

    The new logits are ``logits + kernel[batch].T @ coefficients`` (the dual form, see
    ``alupdate.laplace.dual``). A few batches at a time, so that the working memory stays in the
    processor's cache, whatever M is.

    Args:
        kernel: (P, T), Phi_P Sigma Phi_T^T: candidates by evaluation points.
        logits: (T, C), of the evaluation points before the update.
        batches: (M, b), rows of the kernel.
        coefficients: (M, b, C), from ``updates.Rule.coefficients``.
        mean_loss: from ``true_loss`` or ``expected_loss``.
    """
    transposed = logits.T.contiguous()
    group = max(1, GROUP_NUMBERS // max(1, logits.numel()))
    if group == 1:
        means = [
            mean_loss(torch.addmm(transposed, weights.T, kernel[batch])[None])
            for batch, weights in zip(batches, coefficients, strict=True)
        ]
        return torch.cat(means)
    groups = zip(torch.split(batches, group), torch.split(coefficients, group), strict=True)
    return torch.cat(
        [
            mean_loss(torch.baddbmm(transposed, weights.mT, kernel[chosen]))
            for chosen, weights in groups
        ]
    )


def losses_after_changes(
    changes: Tensor, features: Tensor, logits: Tensor, mean_loss: MeanLoss
) -> Tensor:
    """Return the mean loss (M,) on T points after each of M changes of the weights.

    For updates that move every class along directions of its own, where a kernel would have to be
    kept for each class.

    Args:
        changes: (M, C, D), from ``updates.mean_changes``.
        features: (T, D), of the evaluation points.
        logits: (T, C), before the change.
        mean_loss: as above.
    """
    transposed = logits.T.contiguous()
    means = [mean_loss(torch.addmm(transposed, change, features.T)[None]) for change in changes]
    return torch.cat(means)


def _true_loss(labels: Tensor, loss: Loss, logits: Tensor) -> Tensor:
    if loss == "error":
        return (logits.argmax(dim=1) != labels).to(logits.dtype).mean(dim=1)
    places = labels.expand(len(logits), 1, -1)
    logits -= logits.amax(dim=1, keepdim=True)
    if loss == "nll":
        true = logits.gather(1, places)[:, 0]
        return (logits.exp_().sum(dim=1).log_() - true).mean(dim=1)
    probabilities = logits.exp_()
    probabilities /= probabilities.sum(dim=1, keepdim=True)
    true = probabilities.gather(1, places)[:, 0]
    return (probabilities.square_().sum(dim=1) - 2 * true + 1).mean(dim=1)


def _expected_loss(loss: Loss, logits: Tensor) -> Tensor:
    if loss == "nll":
        logits -= logits.amax(dim=1, keepdim=True)
        powers = logits.exp()
        total = powers.sum(dim=1)
        return (total.log() - powers.mul_(logits).sum(dim=1) / total).mean(dim=1)
    probabilities = torch.softmax(logits, dim=1)
    if loss == "error":
        return 1 - probabilities.amax(dim=1).mean(dim=1)
    return 1 - probabilities.square_().sum(dim=1).mean(dim=1)
