"""Test metrics of predicted class probabilities: one table, from which all else derives.

A metric is one row of ``METRICS``. The columns of curve.csv and updates.csv, what trackers keep,
the figures, the tables and the report follow from it. So a metric is added here and nowhere else: a
function of ``Predictions``, and a row at the end of the table.

This module imports no PyTorch, so that a command which only reads results starts at once; the
metrics use the methods of the tensors that they are given.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alupdate.utils.errors import InputError, suggestion

if TYPE_CHECKING:
    from torch import Tensor

BINS = 15
"""Bins of the calibration errors."""
SORTED = 2**24
"""How many probabilities are sorted at a time."""


@dataclass(frozen=True)
class Predictions:
    """Predicted class distributions of T test instances, beside their true classes.

    Attributes:
        logits: (T, C), as predicted.
        log_probabilities, probabilities: (T, C), in float64.
        labels: (T,), class indices.
        one_hot: (T, C), the labels in float64.
    """

    logits: "Tensor"
    log_probabilities: "Tensor"
    probabilities: "Tensor"
    labels: "Tensor"
    one_hot: "Tensor"

    @classmethod
    def of(cls, logits: "Tensor", labels: "Tensor") -> "Predictions":
        """Return the predictions of logits (T, C) for class indices (T,)."""
        log_probabilities = logits.double().log_softmax(dim=1)
        one_hot = log_probabilities.new_zeros(logits.shape).scatter_(1, labels[:, None], 1.0)
        return cls(logits, log_probabilities, log_probabilities.exp(), labels, one_hot)


def accuracy(predictions: Predictions) -> float:
    """Return the share of instances whose most probable class is the true one."""
    hits = predictions.logits.argmax(dim=1) == predictions.labels
    return hits.double().mean().item()


def negative_log_likelihood(predictions: Predictions) -> float:
    """Return the mean negative log-likelihood of the true class (cross-entropy), in nats."""
    return -(predictions.log_probabilities * predictions.one_hot).sum(dim=1).mean().item()


def brier_score(predictions: Predictions) -> float:
    """Return the Brier score [Brier1950]: mean squared distance to the one-hot label, 0 to 2."""
    gaps = predictions.probabilities - predictions.one_hot
    return gaps.square().sum(dim=1).mean().item()


def expected_calibration_error(predictions: Predictions) -> float:
    """Return the ECE [Guo2017]: sum over bins of mass |accuracy - confidence|.

    ``BINS`` bins of equal width on the confidence. The same number as torchmetrics gives (a test
    holds them together); that library is not used here since its import takes several seconds.
    """
    confidence, predicted = predictions.probabilities.max(dim=1)
    bins = (confidence * BINS).long().clamp(0, BINS - 1)  # NaN has no bin of its own
    gaps = (predicted == predictions.labels).to(confidence.dtype) - confidence
    per_bin = gaps.new_zeros(BINS).index_add_(0, bins, gaps)
    return (per_bin.abs().sum() / len(predictions.labels)).item()


def adaptive_calibration_error(predictions: Predictions) -> float:
    """Return the ACE [Nixon2019], equation 4.

    For every class, the instances are sorted by that class's probability and cut into ``BINS``
    ranges of (nearly) equal size; the mean of |frequency - mean probability| over all of them.
    """
    instances, classes = predictions.probabilities.shape
    errors = predictions.one_hot.new_empty(min(BINS, instances), classes)
    size = 64 * max(1, SORTED // (64 * instances))  # sums in whole blocks: they round as one
    for first in range(0, classes, size):
        some = slice(first, first + size)
        columns = predictions.probabilities[:, some].T.contiguous()  # to sort is faster along rows
        confidence, order = (found.T.contiguous() for found in columns.sort(dim=1, stable=True))
        gaps = predictions.one_hot[:, some].gather(0, order) - confidence
        for row, part in zip(errors, gaps.tensor_split(len(errors), dim=0), strict=True):
            row[some] = part.mean(dim=0).abs()
    return errors.mean().item()


@dataclass(frozen=True)
class Metric:
    """One row of the table of metrics.

    Attributes:
        name: its column in curve.csv and updates.csv.
        label: in words, as on the axis of a figure.
        higher_is_better: whether a larger value is the better one.
        function: its value for given predictions.
    """

    name: str
    label: str
    higher_is_better: bool
    function: Callable[[Predictions], float]


ACCURACY = "accuracy"
METRICS = (
    Metric(ACCURACY, "accuracy", True, accuracy),
    Metric("nll", "negative log-likelihood", False, negative_log_likelihood),
    Metric("brier", "Brier score", False, brier_score),
    Metric("ece", "expected calibration error", False, expected_calibration_error),
    Metric("ace", "adaptive calibration error", False, adaptive_calibration_error),
)
"""All metrics, in the order of their columns; new ones go to the end."""
METRIC_NAMES = tuple(metric.name for metric in METRICS)
PRIMARY = ACCURACY
"""The metric by which runs are compared unless another one is asked for."""
SUMMARY = (PRIMARY, "nll", "ece")
"""The metrics that a run prints when it ends."""
N_INNER = 5
"""The first metrics stand in the middle of a table of results; later ones are its last columns."""


def score(logits: "Tensor", labels: "Tensor") -> dict[str, float]:
    """Return the value of every metric on a test set.

    Args:
        logits: (T, C), predicted.
        labels: (T,), true class indices.

    Example:
        >>> import torch
        >>> scores = score(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0]))
        >>> print(f"{scores['accuracy']:.2f} {scores['nll']:.2f}")
        0.50 0.72
    """
    predictions = Predictions.of(logits, labels)
    return {metric.name: metric.function(predictions) for metric in METRICS}


def find_metric(name: str) -> Metric:
    """Return a row of the table.

    Raises:
        InputError: there is no metric of this name.
    """
    for metric in METRICS:
        if metric.name == name:
            return metric
    hint = suggestion(name, METRIC_NAMES)
    raise InputError(f"metric {name}: is not known; {hint}available: {', '.join(METRIC_NAMES)}")


def higher_is_better(name: str) -> bool:
    """Return whether a larger value of a metric is the better one.

    Raises:
        InputError: there is no metric of this name.
    """
    return find_metric(name).higher_is_better


def with_metrics(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of a table of results that has every metric.

    Args:
        before: columns that stand before the metrics.
        after: columns that stand after the first ``N_INNER`` metrics.
    """
    return (*before, *METRIC_NAMES[:N_INNER], *after, *METRIC_NAMES[N_INNER:])


def metric_values(scores: Mapping[str, float]) -> dict[str, float]:
    """Return a value for every metric, in the order of the table; NaN for one that was not taken.

    A run that was begun before a metric was added has cycles without it.
    """
    return {name: scores.get(name, float("nan")) for name in METRIC_NAMES}
