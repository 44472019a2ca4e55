"""The expected accuracy of a model, from the labels that it was trained on and the unlabelled pool.

Every label is left out in closed form (``alupdate.laplace.temperature``), which says what the model
would make of a labelled instance without its label. Instances that a strategy chose are harder than
others, so that the share of these that it predicts is too low an estimate. What they do tell is how
far its confidence is to be trusted: the temperature [Guo2017] that makes left-out labels most
likely. The estimate is the mean over the pool of the largest probability under that temperature,
the average confidence. Where the labels follow the tempered probabilities, whichever instances were
chosen, it is right on average.

Its standard error is that of a bootstrap over labelled instances, and of what no resampling sees:
one temperature does not make every confidence right (``MODEL_ERROR``), and an instance whose class
has no other label is predicted wrongly in any case (``SINGLE_ERROR``). These two numbers are not
derived: they were chosen on some of the runs of docs/findings/forecast.md.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from alupdate.forecast.intervals import Estimate

Reals = NDArray[np.float64]

N_BOOTSTRAP = 200
MODEL_ERROR = 0.04
"""Standard deviation of what is wrong with an estimate whatever the number of labels."""
SINGLE_ERROR = 0.25
"""The same, for each unit of the share of labels that are the only one of their class."""
_TEMPERATURES = np.geomspace(0.05, 20, 61)


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


def expected_accuracy(known: LeftOut, rng: np.random.Generator) -> Estimate | None:
    """Return the expected accuracy on instances like those of the pool.

    None where nothing is known: without a pool, or with labels of fewer than two classes.

    Args:
        known: left-out logits and those of the pool.
        rng: draws the resamples.

    Cost: O((N + P) C) for each of 61 temperatures, and O(N) for each of 200 resamples.

    Example:
        >>> import numpy as np
        >>> from alupdate.forecast.accuracy import LeftOut, expected_accuracy
        >>> logits = np.repeat([[2.0, 0.0], [0.0, 2.0], [0.5, 0.0]], 20, axis=0)
        >>> labels = np.repeat([0, 1, 1], 20)
        >>> known = LeftOut(logits, labels, logits)
        >>> found = expected_accuracy(known, np.random.default_rng(0))
        >>> round(found.mean, 2), round(found.error, 2)
        (0.83, 0.04)
    """
    count = len(known.labels)
    _, sizes = np.unique(known.labels, return_counts=True)
    if len(sizes) < 2 or len(known.pool) == 0:
        return None
    draws = rng.multinomial(count, np.full(count, 1 / count), size=N_BOOTSTRAP)
    found = average_confidence(known, np.vstack([np.ones(count), draws]) / count)
    single = SINGLE_ERROR * float((sizes == 1).sum()) / count
    error = np.sqrt(found[1:].var() + MODEL_ERROR**2 + single**2)
    return Estimate(float(found[0]), float(error), count)


def average_confidence(known: LeftOut, weights: Reals) -> Reals:
    """Return the mean calibrated confidence of the pool (R,) for R weightings of the labels.

    Args:
        known: left-out logits and those of the pool.
        weights: (R, N), of the labelled instances; each row sums to 1.
    """
    places = np.arange(len(known.labels)), known.labels
    losses = [-log_softmax(known.logits / t, axis=1)[places] for t in _TEMPERATURES]
    means = [softmax(known.pool / t, axis=1).max(axis=1).mean() for t in _TEMPERATURES]
    best = (weights @ np.stack(losses, axis=1)).argmin(axis=1)
    averages: Reals = np.array(means)[best]
    return averages
