"""What stopping rules look at: agreement, change and uncertainty of predictions."""

import math

import torch
from torch import Tensor


def cohens_kappa(first: Tensor, second: Tensor) -> float:
    """Return Cohen's kappa of two predictions (N,) [Cohen1960].

    kappa = (p_o - p_e) / (1 - p_e), with p_o the share of instances on which they agree and p_e
    the share that is expected of two independent predictions with the same frequencies of classes.
    NaN where that is 1, as where both predict one class everywhere, and where there is no instance.

    Example:
        >>> cohens_kappa(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 0]))
        0.5
    """
    count = len(first)
    if not count:
        return math.nan
    classes = int(torch.maximum(first.max(), second.max())) + 1
    frequencies = [torch.bincount(labels, minlength=classes) for labels in (first, second)]
    chance = int((frequencies[0] * frequencies[1]).sum())  # of count squared: no rounding
    if chance == count * count:
        return math.nan
    agreed = int((first == second).sum())
    return (agreed * count - chance) / (count * count - chance)


def share_changed(first: Tensor, second: Tensor) -> float:
    """Return the share of two predictions (N,) that differ; NaN where there is no instance."""
    return (first != second).double().mean().item()


def mean_normalised_entropy(logits: Tensor) -> float:
    """Return the mean entropy of softmax(logits), (N, C), over log C, the largest one possible.

    NaN where there is no instance, or one class only.

    Example:
        >>> mean_normalised_entropy(torch.zeros(3, 4))
        1.0
    """
    if logits.shape[1] < 2:
        return math.nan
    logs = torch.log_softmax(logits.double(), dim=1)
    entropies = -(logs.exp() * logs).sum(dim=1)
    return (entropies.mean() / math.log(logits.shape[1])).item()
