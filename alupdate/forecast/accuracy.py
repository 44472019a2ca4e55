"""The expected accuracy of a model, from the labels that it was trained on and the unlabelled pool.

Every label is left out in closed form (``alupdate.laplace.temperature``), which says of each
labelled instance whether the model without it is right. Instances that a strategy chose are harder
than others, so that the mean of these answers is too low. Two estimates carry them over to the
pool, whose confidences are known and whose labels are not:

- *Average confidence*: the mean over the pool of the largest probability, under the temperature
  [Guo2017] that makes left-out labels most likely.
- *Average thresholded confidence* [Garg2022]: the share of the pool whose margin between the two
  largest probabilities is at least t, where as many left-out instances have that margin as are
  right.

The estimate is their mean, which in docs/findings/forecast.md was nearer to the truth than either
and than importance weights. Its standard error is that of a bootstrap over labelled instances, and
of what no resampling sees: left-out instances are not like those of the pool even at equal
confidence (``MODEL_ERROR``), and one whose class has no other label is wrong in any case
(``SINGLE_ERROR``). These two numbers are not derived: they were chosen on the runs of that page.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from alupdate.forecast.intervals import Estimate

Reals = NDArray[np.float64]

N_RESAMPLES = 200
MODEL_ERROR = 0.04
"""Standard deviation of an estimate's error that comes from the choice of instances."""
SINGLE_ERROR = 0.25
"""The same, for each unit of the share of labels that are the only one of their class."""
_TEMPERATURES = np.geomspace(0.05, 20, 61)
_ROUNDING = 1e-9
_SMALLEST = 1e-300


@dataclass(frozen=True)
class LeftOut:
    """What is known of labelled instances and of the pool.

    Attributes:
        logits: (N, C), of labelled instances under models without their labels.
        labels: (N,), their class indices.
        pool: (P, C), logits of unlabelled instances under the model with all labels.
    """

    logits: Reals
    labels: NDArray[np.int64]
    pool: Reals

    @property
    def right(self) -> Reals:
        """(N,): 1 where the model without the label predicts it, else 0."""
        right: Reals = (self.logits.argmax(axis=1) == self.labels).astype(np.float64)
        return right


def expected_accuracy(known: LeftOut, rng: np.random.Generator) -> Estimate | None:
    """Return the expected accuracy on instances like those of the pool.

    None where nothing is known: without labels, without a pool, or with labels of one class.

    Args:
        known: left-out logits and those of the pool.
        rng: draws the resamples.

    Cost: O((N + P) C) for each of 61 temperatures, and O(N) for each of 200 resamples.

    Example:
        >>> logits = np.repeat([[2.0, 0.0], [0.0, 2.0], [0.5, 0.0]], 20, axis=0)
        >>> labels = np.repeat([0, 1, 1], 20)
        >>> found = expected_accuracy(LeftOut(logits, labels, logits), np.random.default_rng(0))
        >>> round(found.mean, 2), round(found.error, 2)
        (0.69, 0.06)
    """
    count = len(known.labels)
    _, sizes = np.unique(known.labels, return_counts=True)
    if len(sizes) < 2 or len(known.pool) == 0:
        return None
    draws = rng.multinomial(count, np.full(count, 1 / count), size=N_RESAMPLES)
    weights = np.vstack([np.ones(count), draws]) / count
    found = (average_confidence(known, weights) + thresholded_confidence(known, weights)) / 2
    single = SINGLE_ERROR * float((sizes == 1).sum()) / count
    error = np.sqrt(found[1:].var() + MODEL_ERROR**2 + single**2)
    return Estimate(float(found[0]), float(error), count)


def average_confidence(known: LeftOut, weights: Reals) -> Reals:
    """Return the mean calibrated confidence of the pool (R,).

    Args:
        known: left-out logits and those of the pool.
        weights: (R, N), of the labelled instances; each row sums to 1.
    """
    places = np.arange(len(known.labels)), known.labels
    losses, means = [], []
    for temperature in _TEMPERATURES:
        of_labels = softmax(known.logits / temperature, axis=1)[places]
        losses.append(-np.log(np.maximum(of_labels, _SMALLEST)))
        means.append(softmax(known.pool / temperature, axis=1).max(axis=1).mean())
    best = (weights @ np.stack(losses, axis=1)).argmin(axis=1)
    averages: Reals = np.array(means)[best]
    return averages


def thresholded_confidence(known: LeftOut, weights: Reals) -> Reals:
    """Return the share of the pool with the confidence that right left-out instances have (R,).

    Args:
        known: left-out logits and those of the pool.
        weights: (R, N), of the labelled instances; each row sums to 1.
    """
    right, confidence = weights @ known.right, _margins(known.logits)
    order = np.argsort(-confidence, kind="stable")
    reached = weights[:, order].cumsum(axis=1) >= right[:, None] - _ROUNDING
    thresholds = confidence[order][reached.argmax(axis=1)]
    below = np.searchsorted(np.sort(_margins(known.pool)), thresholds, side="left")
    shares: Reals = np.where(right > 0, 1 - below / len(known.pool), 0.0)
    return shares


def _margins(logits: Reals) -> Reals:
    top = np.partition(softmax(logits, axis=1), -2, axis=1)[:, -2:]
    margins: Reals = top[:, 1] - top[:, 0]
    return margins
