"""How good a predictive distribution is on a test set."""

from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 15


@dataclass(frozen=True)
class Scores:
    """Measures of one model on one test set.

    Attributes:
        accuracy: share of correct predictions.
        nll: mean negative log-likelihood, in nats.
        brier: mean squared distance between probabilities and the one-hot label (0 to 2).
        ece: expected calibration error of the predicted class, in equal-width bins.
        ace: adaptive calibration error: all classes, in bins of equal mass.
    """

    accuracy: float
    nll: float
    brier: float
    ece: float
    ace: float


def score(logits: Tensor, labels: Tensor) -> Scores:
    """Return the scores of logits (T, C) against class indices (T,)."""
    log_probabilities = torch.log_softmax(logits.double(), dim=1)
    probabilities = log_probabilities.exp()
    true = torch.nn.functional.one_hot(labels, logits.shape[1]).double()
    return Scores(
        accuracy=(logits.argmax(dim=1) == labels).double().mean().item(),
        nll=-(log_probabilities * true).sum(dim=1).mean().item(),
        brier=(probabilities - true).square().sum(dim=1).mean().item(),
        ece=expected_calibration_error(probabilities, labels),
        ace=adaptive_calibration_error(probabilities, labels),
    )


def expected_calibration_error(probabilities: Tensor, labels: Tensor) -> float:
    """Return the ECE (Guo et al. 2017): sum over bins of mass |accuracy - confidence|.

    ``BINS`` bins of equal width on the confidence. The same number as torchmetrics gives (a test
    holds them together); that library is not used here since its import takes several seconds.
    """
    confidence, predicted = probabilities.max(dim=1)
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    gaps = (predicted == labels).to(confidence.dtype) - confidence
    per_bin = torch.zeros(BINS, dtype=gaps.dtype, device=gaps.device).index_add_(0, bins, gaps)
    return (per_bin.abs().sum() / len(labels)).item()


def adaptive_calibration_error(probabilities: Tensor, labels: Tensor) -> float:
    """Return the ACE (Nixon et al. 2019, equation 4).

    For every class, the instances are sorted by that class's probability and cut into ``BINS``
    ranges of (nearly) equal size; the mean of |frequency - mean probability| over all of them.
    """
    confidence, order = probabilities.sort(dim=0, stable=True)
    hits = torch.nn.functional.one_hot(labels, probabilities.shape[1]).gather(0, order)
    gaps = hits.to(confidence.dtype) - confidence
    ranges = gaps.tensor_split(min(BINS, len(labels)), dim=0)
    return torch.stack([part.mean(dim=0).abs() for part in ranges]).mean().item()
