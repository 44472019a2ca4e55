"""Test metrics of predicted class probabilities: one table, from which all else derives.

A metric is one row of ``METRICS``. The columns of curve.csv and updates.csv, what trackers keep,
the figures, the tables and the report follow from it. So a metric is added here and nowhere else: a
function of ``Predictions``, and a row at the end of the table.

This module imports no PyTorch, so that a command which only reads results starts at once; the
metrics use the methods of the tensors that they are given.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alupdate.utils.errors import InputError, suggestion

if TYPE_CHECKING:
    from torch import Tensor

NAN = float("nan")
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
        predicted: (T,), class indices of the largest logits.
        temperature: of the model, chosen without the labels of the test set; NaN where none is.
    """

    logits: "Tensor"
    log_probabilities: "Tensor"
    probabilities: "Tensor"
    labels: "Tensor"
    one_hot: "Tensor"
    predicted: "Tensor"
    temperature: float = NAN

    @classmethod
    def of(cls, logits: "Tensor", labels: "Tensor", temperature: float = NAN) -> "Predictions":
        """Return the predictions of logits (T, C) for class indices (T,)."""
        log_probabilities = logits.double().log_softmax(dim=1)
        one_hot = log_probabilities.new_zeros(logits.shape).scatter_(1, labels[:, None], 1.0)
        predicted = logits.argmax(dim=1)
        probabilities = log_probabilities.exp()
        return cls(
            logits, log_probabilities, probabilities, labels, one_hot, predicted, temperature
        )


def accuracy(predictions: Predictions) -> float:
    """Return the share of instances whose most probable class is the true one."""
    hits = predictions.predicted == predictions.labels
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
    return _calibration_error(predictions.probabilities, predictions.labels)


def tempered_calibration_error(predictions: Predictions) -> float:
    """Return the ECE of softmax(logits / T), with the temperature T of the model [Guo2017].

    NaN where there is none.
    """
    if math.isnan(predictions.temperature):
        return NAN
    tempered = predictions.logits.double() / predictions.temperature
    return _calibration_error(tempered.log_softmax(dim=1).exp(), predictions.labels)


def _calibration_error(probabilities: "Tensor", labels: "Tensor") -> float:
    """Return the expected calibration error of probabilities (T, C) for class indices (T,)."""
    confidence, predicted = probabilities.max(dim=1)
    bins = (confidence * BINS).long().clamp(0, BINS - 1)  # NaN has no bin of its own
    gaps = (predicted == labels).to(confidence.dtype) - confidence
    per_bin = gaps.new_zeros(BINS).index_add_(0, bins, gaps)
    return (per_bin.abs().sum() / len(labels)).item()


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


def balanced_accuracy(predictions: Predictions) -> float:
    """Return the mean recall of the classes that the test set has [Brodersen2010].

    The same number as scikit-learn gives for this and for ``macro_f1`` (tests hold them together);
    these few sums stay on the device of the predictions.
    """
    return _recalls(predictions).mean().item()


def worst_recall(predictions: Predictions) -> float:
    """Return the smallest recall of the classes that the test set has."""
    return _recalls(predictions).min().item()


def macro_f1(predictions: Predictions) -> float:
    """Return the mean of the classes' F1 scores [Opitz2019], the harmonic means of both rates.

    Of a class they are 2 hits / (instances + predictions). A class that the test set does not have
    and that is not predicted, either, does not count.
    """
    hits, instances, predicted = _counts(predictions)
    total = instances + predicted
    return (2 * hits / total)[total > 0].mean().item()


def _recalls(predictions: Predictions) -> "Tensor":
    """Return the share of hits among the instances of each class that has any."""
    hits, instances, _ = _counts(predictions)
    return (hits / instances)[instances > 0]


def _counts(predictions: Predictions) -> tuple["Tensor", "Tensor", "Tensor"]:
    """Return hits, instances and predictions of each class, (C,), in float64."""
    labels, predicted = predictions.labels, predictions.predicted
    classes = predictions.logits.shape[1]
    hits, instances, chosen = (
        some.bincount(minlength=classes).double()
        for some in (labels[predicted == labels], labels, predicted)
    )
    return hits, instances, chosen


def confidence_auroc(predictions: Predictions) -> float:
    """Return the area under the ROC curve of confidence against being right [Hendrycks2017].

    That is the probability that the model is more confident, by its largest probability, of a
    prediction that is right than of one that is wrong; equal confidences count half. NaN where no
    prediction is right, or none wrong, and where a probability is NaN. The same number as
    scikit-learn gives (a test holds them together), from counts, and so exact.
    """
    confidence, order = predictions.probabilities.amax(dim=1).sort()
    groups = (confidence.diff(prepend=confidence[:1]) != 0).cumsum(dim=0)  # of equal ones
    hits = (predictions.predicted == predictions.labels)[order]
    right, wrong = (groups[some].bincount(minlength=len(groups)) for some in (hits, ~hits))
    pairs = int(right.sum() * wrong.sum())
    if not pairs or confidence.isnan().any():
        return NAN
    below = 2 * wrong.cumsum(dim=0) - wrong  # twice the wrong ones below, and once those beside
    return int((right * below).sum()) / (2 * pairs)


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
    Metric("balanced_accuracy", "balanced accuracy", True, balanced_accuracy),
    Metric("macro_f1", "macro-averaged F1 score", True, macro_f1),
    Metric("worst_recall", "recall of the worst class", True, worst_recall),
    Metric("confidence_auroc", "AUROC of the confidence", True, confidence_auroc),
    Metric("tempered_ece", "temperature-scaled ECE", False, tempered_calibration_error),
)
"""All metrics, in the order of their columns; new ones go to the end."""
METRIC_NAMES = tuple(metric.name for metric in METRICS)
PRIMARY = ACCURACY
"""The metric by which runs are compared unless another one is asked for."""
SUMMARY = (PRIMARY, "nll", "ece")
"""The metrics that a run prints when it ends."""
N_INNER = 5
"""The first metrics stand in the middle of a table of results; later ones are its last columns."""
LATER_METRICS = METRIC_NAMES[N_INNER:]
"""Metrics that runs may lack which were made before the metric was added."""


def score(logits: "Tensor", labels: "Tensor", temperature: float = NAN) -> dict[str, float]:
    """Return the value of every metric on a test set.

    Args:
        logits: (T, C), predicted.
        labels: (T,), true class indices.
        temperature: of the model, chosen without these labels; NaN where none is.

    Example:
        >>> import torch
        >>> scores = score(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0]))
        >>> print(f"{scores['accuracy']:.2f} {scores['nll']:.2f}")
        0.50 0.72
    """
    predictions = Predictions.of(logits, labels, temperature)
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
    return (*before, *METRIC_NAMES[:N_INNER], *after, *LATER_METRICS)


def known_columns(columns: Sequence[str], scores: Iterable[Mapping[str, float]]) -> tuple[str, ...]:
    """Return the columns of a run's table: a later metric only if one of the scores has it.

    So the table of a run that was finished before a metric was added stays as it is.
    """
    taken = frozenset[str]().union(*scores)
    return tuple(name for name in columns if name in taken or name not in LATER_METRICS)


def metric_values(scores: Mapping[str, float]) -> dict[str, float]:
    """Return a value for every metric, in the order of the table; NaN for one that was not taken.

    A run that was begun before a metric was added has cycles without it.
    """
    return {name: scores.get(name, NAN) for name in METRIC_NAMES}
