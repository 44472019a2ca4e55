"""The accuracy after further labels, by a power law that is fitted to the estimates so far.

Most learning curves are well described by a power law [Viering2023]. Here it is error(n) = b n^-c
with b >= 0 and c in ``EXPONENTS``, which cannot fall and stays below 1. A constant error that no
labels remove cannot be told from the few and noisy estimates of a run: with it the gains came out
too small (docs/findings/forecast.md). For each exponent b follows from weighted least squares in
closed form, and an exponent counts by its likelihood.

The estimates of successive cycles come from nearly the same labels: what is wrong with one is wrong
with the next. A forecast is therefore the latest estimate plus the gain of the fitted curves. The
error of the former and that of the gain add up in the interval. The error of the gain is the spread
of fits to perturbed estimates (a parametric bootstrap) and over exponents, and ``GAIN_ERROR`` of
the gain for the form of the curve.
"""

from collections.abc import Sequence

import numpy as np

from alupdate.forecast.accuracy import Reals
from alupdate.forecast.intervals import Estimate

LEAST_CYCLES = 4
"""With fewer estimates nothing is said about further labels."""
EXPONENTS = np.geomspace(0.3, 1, 12)
N_PERTURBED = 100
OWN_ERROR = 0.5
"""The share of an estimate's standard error that differs from one cycle to the next."""
GAIN_ERROR = 0.4
"""The standard error of a gain for the form of the curve, as a share of it."""


def later_accuracies(
    estimates: Sequence[tuple[int, Estimate]], ahead: Sequence[int], rng: np.random.Generator
) -> list[Estimate]:
    """Return the accuracies after further labels, in the order of ``ahead``.

    None at all where there are fewer than ``LEAST_CYCLES`` estimates.

    Args:
        estimates: numbers of labels, ascending, and the accuracies that were expected then.
        ahead: numbers of further labels.
        rng: draws the perturbations.
    """
    if len(estimates) < LEAST_CYCLES:
        return []
    latest = estimates[-1][1]
    mean, error = _gains(estimates, np.array(ahead, dtype=np.float64), rng)
    room = 1 - latest.mean
    return [
        Estimate(latest.mean + min(gain, room), float(np.hypot(latest.error, spread)), latest.count)
        for gain, spread in zip(mean.tolist(), error.tolist(), strict=True)
    ]


def _gains(
    estimates: Sequence[tuple[int, Estimate]], ahead: Reals, rng: np.random.Generator
) -> tuple[Reals, Reals]:
    """Return the gains (A,) in accuracy after further labels and their standard errors (A,)."""
    counts = np.array([count for count, _ in estimates], dtype=np.float64)
    means = np.array([estimate.mean for _, estimate in estimates])
    errors = OWN_ERROR * np.array([estimate.error for _, estimate in estimates])
    noise = errors * rng.standard_normal((N_PERTURBED, len(means)))
    wrong = 1 - np.vstack([means, means + noise])
    last = counts[-1]
    bases = (counts / last) ** -EXPONENTS[:, None]
    scaled = bases / errors**2
    slopes = (scaled @ wrong.T) / (scaled * bases).sum(axis=1)[:, None]
    slopes = np.maximum(slopes, 0)
    residuals = wrong - slopes[:, :, None] * bases[:, None]
    losses = (residuals**2 / errors**2).sum(axis=2)
    chances = np.exp((losses.min(axis=0) - losses) / 2)
    chances /= chances.sum(axis=0)
    falls = 1 - ((last + ahead) / last) ** -EXPONENTS[:, None]
    gains = slopes[:, :, None] * falls[:, None]
    mean = (chances[:, :, None] * gains).sum(axis=0)
    of_exponents = (chances[:, :1] * (gains[:, 0] - mean[0]) ** 2).sum(axis=0)
    variance = of_exponents + mean[1:].var(axis=0) + (GAIN_ERROR * mean[0]) ** 2
    return mean[0], np.sqrt(variance)
