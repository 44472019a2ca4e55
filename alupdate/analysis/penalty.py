"""Who beats whom: the pairwise penalty matrix of Ash et al. (2020)."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from alupdate.statistics.variants import SETTING, higher_is_better, named

CONFIDENCE = 0.95
"""Ash et al. test at the .05 level."""


def penalty_matrix(
    curves: pd.DataFrame, metric: str = "accuracy", confidence: float = CONFIDENCE
) -> pd.DataFrame:
    """Return P (V, V) over variants: how often the row's variant beats the column's.

    For every setting s (data set and backbone) with n_s checkpoints L (labelled sizes after the
    initial one, where variants still share their model), and for every L,

        P[i, j] += 1 / n_s    if variant i beats variant j at L,

    that is if the mean of the differences d over the common seeds favours i and a two-sided
    paired t-test, t = sqrt(n) mean(d) / std(d) with n - 1 degrees of freedom, rejects equality at
    ``confidence``. Equal nonzero differences count as t = infinity. So entries go from 0 to the
    number of settings, and a low mean of a column says that the variant is rarely beaten.
    Pairs with fewer than two common seeds never beat each other. Source: Ash, Zhang,
    Krishnamurthy, Langford and Agarwal, "Deep batch active learning by diverse, uncertain
    gradient lower bounds", ICLR 2020, section 4.

    Args:
        curves: rows in the form of curve.csv.
        metric: a column of it.
        confidence: of the t-test.
    """
    table = named(curves)
    names = sorted(table["variant"].unique())
    total = pd.DataFrame(0.0, index=names, columns=names)
    for _, group in table.groupby(SETTING):
        later = group[group["cycle"] > 0]
        sizes = later["n_labelled"].unique()
        for _, checkpoint in later.groupby("n_labelled"):
            wide = checkpoint.pivot_table(index="seed", columns="variant", values=metric)
            values = wide.to_numpy() if higher_is_better(metric) else -wide.to_numpy()
            beats = _beats(values, confidence) / len(sizes)
            total.loc[wide.columns, wide.columns] += beats
    return total


def _beats(values: NDArray[np.float64], confidence: float) -> NDArray[np.bool_]:
    """Return (V, V): whether the first variant beats the second, from values (seeds, V)."""
    gaps = values[:, :, None] - values[:, None, :]
    counts = (~np.isnan(gaps)).sum(axis=0)
    degrees = np.maximum(counts - 1, 1)
    means = np.nansum(gaps, axis=0) / np.maximum(counts, 1)
    spread = np.sqrt(np.nansum((gaps - means) ** 2, axis=0) / degrees)
    critical = stats.t.ppf(0.5 + confidence / 2, degrees)
    beats: NDArray[np.bool_] = np.sqrt(counts) * means > critical * spread
    beats &= counts >= 2
    return beats
