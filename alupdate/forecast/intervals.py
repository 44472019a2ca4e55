"""Estimates of accuracies, and their intervals."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from alupdate.results.forecasts import Interval

LEAST_SIZE = 2.0
"""Instances that an estimate is worth at least: a Beta distribution of fewer has two peaks."""


@dataclass(frozen=True)
class Estimate:
    """An estimate of an accuracy.

    Attributes:
        mean: of it.
        error: its standard error.
        count: how many labels it rests on.
    """

    mean: float
    error: float
    count: int

    def interval(self, level: float) -> Interval:
        """Return the interval of a Beta distribution with this mean and standard error.

        Half an instance is added to the right ones and half to the wrong ones, so that an estimate
        of 1 is not certain; the distribution is worth no more instances than there are labels.

        Args:
            level: the probability of the interval; both sides have the same of the rest.

        Example:
            >>> found = Estimate(mean=0.8, error=0.05, count=100).interval(0.9)
            >>> round(found.lower, 2), round(found.upper, 2)
            (0.71, 0.87)
        """
        mean = (self.mean * self.count + 0.5) / (self.count + 1)
        worth = mean * (1 - mean) / max(self.error, 1e-9) ** 2
        size = float(np.clip(worth, LEAST_SIZE, max(self.count, LEAST_SIZE)))
        sides = [(1 - level) / 2, (1 + level) / 2]
        lower, upper = np.asarray(stats.beta.ppf(sides, size * mean, size * (1 - mean)))
        return Interval(self.mean, min(float(lower), self.mean), max(float(upper), self.mean))


def binomial_interval(right: int, count: int, level: float) -> Interval:
    """Return the share of right predictions among random instances, and its exact interval.

    The interval is that of Clopper and Pearson [Clopper1934]: it contains the accuracy with
    probability ``level`` or more, whatever the accuracy is.

    Args:
        right: of the predictions.
        count: of the instances, at least 1.
        level: the probability of the interval.

    Example:
        >>> found = binomial_interval(45, 50, 0.9)
        >>> round(found.value, 2), round(found.lower, 3), round(found.upper, 3)
        (0.9, 0.801, 0.96)
    """
    limits = stats.binomtest(right, count).proportion_ci(level, "exact")
    return Interval(right / count, float(limits.low), float(limits.high))


def binomial_estimate(right: int, count: int) -> Estimate:
    """Return the share of right predictions among random instances, with its standard error.

    The error is that of half an instance more on either side, so that it is never 0.

    Args:
        right: of the predictions.
        count: of the instances, at least 1.
    """
    share = (right + 0.5) / (count + 1)
    return Estimate(right / count, float(np.sqrt(share * (1 - share) / count)), count)
