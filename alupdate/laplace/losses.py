"""The loss on many points after each of many hypothetical updates."""

from typing import Literal

import torch
from torch import Tensor

Loss = Literal["nll", "error", "brier"]


def losses_after_updates(
    kernel: Tensor,
    logits: Tensor,
    labels: Tensor,
    batches: Tensor,
    coefficients: Tensor,
    loss: Loss,
) -> Tensor:
    """Return the mean loss (M,) on T points after the update on each of M batches.

    The new logits are ``logits + kernel[batch].T @ coefficients`` (the dual form, see
    ``alupdate.laplace.dual``). One batch at a time, so that the working memory is one (C, T)
    array which stays in the processor's cache, whatever M is.

    Args:
        kernel: (P, T), Phi_P Sigma Phi_T^T: candidates by evaluation points.
        logits: (T, C), of the evaluation points before the update.
        labels: (T,), their class indices.
        batches: (M, b), rows of the kernel.
        coefficients: (M, b, C), from ``updates.Rule.coefficients``.
        loss: ``nll`` (cross entropy), ``error`` (share of wrong predictions) or ``brier``.
    """
    transposed = logits.T.contiguous()
    means = [
        _mean_loss(torch.addmm(transposed, weights.T, kernel[batch]), labels[None], loss)
        for batch, weights in zip(batches, coefficients, strict=True)
    ]
    return torch.stack(means)


def losses_after_changes(
    changes: Tensor, features: Tensor, logits: Tensor, labels: Tensor, loss: Loss
) -> Tensor:
    """Return the mean loss (M,) on T points after each of M changes of the weights.

    For updates that move every class along directions of its own, where a kernel would have to be
    kept for each class.

    Args:
        changes: (M, C, D), from ``updates.mean_changes``.
        features: (T, D), of the evaluation points.
        logits: (T, C), before the change.
        labels: (T,), their class indices.
        loss: as above.
    """
    transposed = logits.T.contiguous()
    means = [
        _mean_loss(torch.addmm(transposed, change, features.T), labels[None], loss)
        for change in changes
    ]
    return torch.stack(means)


def _mean_loss(logits: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """Return the mean loss of logits (C, T), which are overwritten, and labels (1, T)."""
    if loss == "error":
        return (logits.argmax(dim=0) != labels[0]).to(logits.dtype).mean()
    logits -= logits.amax(dim=0)
    if loss == "nll":
        true = logits.gather(0, labels)
        return (logits.exp_().sum(dim=0).log_() - true[0]).mean()
    probabilities = logits.exp_()
    probabilities /= probabilities.sum(dim=0)
    true = probabilities.gather(0, labels)
    return (probabilities.square_().sum(dim=0) - 2 * true[0] + 1).mean()
