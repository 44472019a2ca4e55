"""Means over seeds with bootstrap intervals, and differences that pair by seed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
N_RESAMPLES = 4999
MIN_PAIRS = 6
"""With fewer pairs the two-sided Wilcoxon signed-rank test, p >= 2 / 2^n, never falls below .05."""
EQUAL_WITHIN = 1e-12
"""Of means of metrics and their differences, which a change of one prediction exceeds by far."""
MOST_ENUMERATED = 13
"""Differences with ties whose assignments of signs are all tried; scipy takes the same number."""


@dataclass(frozen=True)
class Mean:
    """A mean over seeds.

    Attributes:
        value: the mean.
        standard_error: NaN for a single seed.
        low, high: 95 % bootstrap interval of the mean; NaN for a single seed.
        seeds: how many.
    """

    value: float
    standard_error: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Difference:
    """A mean difference of pairs.

    Attributes:
        mean: of the differences, with its error and interval.
        t_p: two-sided p-value of the paired t-test; NaN for a single pair and where all
            differences are equal, which leaves the test undefined.
        wilcoxon_p: two-sided p-value of the Wilcoxon signed-rank test, exact for small samples;
            NaN for a single pair and where no difference is other than zero.
    """

    mean: Mean
    t_p: float
    wilcoxon_p: float


def mean_of(values: NDArray[np.floating]) -> Mean:
    """Return mean, standard error and bootstrap interval of values (N,).

    Example:
        >>> mean = mean_of(np.array([0.1, 0.2, 0.3]))
        >>> print(f"{mean.value:.2f} ± {mean.standard_error:.2f}, {mean.seeds} seeds")
        0.20 ± 0.06, 3 seeds
    """
    count = len(values)
    if count < 2:
        return Mean(float(values.mean()), np.nan, np.nan, np.nan, count)
    error = float(values.std(ddof=1) / np.sqrt(count))
    return Mean(float(values.mean()), error, *bootstrap_interval(values), count)


def bootstrap_interval(values: NDArray[np.floating]) -> tuple[float, float]:
    """Return the bias-corrected and accelerated (BCa) bootstrap interval of the mean of (N,).

    After [Efron1987]. The resamples are the same in every call, so that tables do not change. Equal
    values give an interval without width. Like every bootstrap it is too narrow for few seeds.
    """
    if are_equal(values):
        return float(values.mean()), float(values.mean())
    answer = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=N_RESAMPLES,
        confidence_level=CONFIDENCE,
        method="BCa",
        rng=np.random.default_rng(0),
    )
    return float(answer.confidence_interval.low), float(answer.confidence_interval.high)


def are_equal(values: NDArray[np.floating]) -> bool:
    """Return whether values (N,) differ by no more than the rounding of means and differences.

    Example:
        >>> are_equal(np.array([0.3 - 0.1, 0.2])), are_equal(np.array([0.2, 0.2001]))
        (True, False)
    """
    return bool(np.ptp(values) <= EQUAL_WITHIN)


def difference_of(pairs: NDArray[np.floating]) -> Difference:
    """Return the first minus the second column of pairs (N, 2), with interval and tests."""
    gaps = pairs[:, 0] - pairs[:, 1]
    return Difference(mean_of(gaps), paired_t(gaps), wilcoxon(gaps))


def paired_t(gaps: NDArray[np.floating]) -> float:
    """Return the p-value of the paired t-test of differences (N,); NaN where it is undefined."""
    if len(gaps) < 2 or are_equal(gaps):
        return np.nan
    return float(stats.ttest_1samp(gaps, 0.0).pvalue)


def wilcoxon(gaps: NDArray[np.floating]) -> float:
    """Return the p-value of the signed-rank test of differences (N,); zeros are left out.

    The two-sided test of [Wilcoxon1945], as ``wilcoxon_tests`` makes many.

    Example:
        >>> wilcoxon(np.array([0.1, 0.2, 0.3]))  # as small as it can be with three pairs
        0.25
    """
    return float(wilcoxon_tests(gaps[None])[0])


def wilcoxon_tests(gaps: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the p-values (M,) of the signed-rank tests of differences (M, N).

    NaN where no difference is other than zero, and for a single difference. Exact for few
    differences: without ties by scipy, with ties by all assignments of signs, which scipy would
    do, too, but slowly. Tests with equally many differences are made in one call.
    """
    found = np.full(len(gaps), np.nan)
    if gaps.shape[1] < 2:
        return found
    sizes = np.sort(np.abs(gaps), axis=1)
    ties = ((np.diff(sizes, axis=1) == 0) & (sizes[:, 1:] != 0)).any(axis=1)
    counts = np.count_nonzero(gaps, axis=1)
    for count, tied in sorted({*zip(counts.tolist(), ties.tolist(), strict=True)}):
        if not count:
            continue
        chosen = (counts == count) & (ties == tied)
        rows = gaps[chosen]
        nonzero = rows[rows != 0].reshape(-1, count)
        exact = tied and count <= MOST_ENUMERATED
        found[chosen] = _enumerated(nonzero) if exact else stats.wilcoxon(nonzero, axis=1).pvalue
    return found


def _enumerated(gaps: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the p-values (M,) of differences (M, N), none of them zero, by all signs.

    Tests with the same ranks and the same rank sum, of which there are few, are one.
    """
    ranks = stats.rankdata(np.abs(gaps), axis=1)
    middle = ranks[:1].sum() / 2
    observed = np.abs((ranks * (gaps > 0)).sum(axis=1) - middle)
    keys = np.column_stack([np.sort(ranks, axis=1), observed])
    tests, places = np.unique(keys, axis=0, return_inverse=True)
    signs = np.arange(2 ** gaps.shape[1])[:, None] >> np.arange(gaps.shape[1]) & 1
    return np.array(
        [np.mean(np.abs(signs @ test[:-1] - middle) >= test[-1] - 1e-9) for test in tests]
    )[places.ravel()]


def note(seeds: int) -> str:
    """Return what a table must say about the number of pairs; empty if there are enough."""
    if seeds < 2:
        return "one seed: no error, no claim" if seeds else "no common seed"
    if seeds < MIN_PAIRS:
        return f"{seeds} seeds: too few for a claim (Wilcoxon p >= {2.0 ** (1 - seeds):.3g})"
    return ""
