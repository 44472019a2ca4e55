"""Numbers that summarise learning curves: area under the curve, standard errors, paired tests."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import ttest_rel

from alupdate.errors import InputError

VARIANT = ["dataset", "backbone", "strategy", "batch", "update", "oracle"]
"""The columns that say what was run; runs of one variant differ in the seed."""


def normalised_area(curves: pd.DataFrame, metric: str = "accuracy") -> pd.DataFrame:
    """Return one row per run: its variant, seed and ``area``, the mean height of its curve.

    The area under the curve by the trapezoidal rule, over the range of labels.

    Raises:
        InputError: two runs differ only in settings that the table does not show.
    """
    runs = curves.groupby([*VARIANT, "seed"])["run"].unique()
    for names in runs[runs.map(len) > 1]:
        raise InputError(
            f"runs {names[0]} and {names[1]} differ only in settings that the table does not "
            "show: put them into experiments of their own, or give them labels"
        )
    rows = []
    ordered = curves.sort_values("n_labelled")
    for key, run in ordered.groupby([*VARIANT, "seed"], sort=True):
        labels, heights = run["n_labelled"].to_numpy(), run[metric].to_numpy()
        area = np.trapezoid(heights, labels) / (labels[-1] - labels[0])
        rows.append([*key, area])
    return pd.DataFrame(rows, columns=[*VARIANT, "seed", "area"])


def summarise(areas: pd.DataFrame) -> pd.DataFrame:
    """Return mean, standard error and number of seeds of each variant, best first."""
    grouped = areas.groupby(VARIANT)["area"]
    table = grouped.agg(["mean", "sem", "count"]).reset_index()
    return table.rename(columns={"sem": "standard_error", "count": "seeds"}).sort_values(
        ["dataset", "mean"], ascending=[True, False], ignore_index=True
    )


def paired_difference(pairs: NDArray[np.floating]) -> tuple[float, float, int, float]:
    """Return the mean difference of pairs (N, 2), its standard error, N, and a paired t-test's p.

    Error and p-value are NaN for a single pair.
    """
    gaps = pairs[:, 0] - pairs[:, 1]
    count = len(gaps)
    if count < 2:
        return float(gaps.mean()), np.nan, count, np.nan
    p_value = float(ttest_rel(pairs[:, 0], pairs[:, 1]).pvalue)
    return float(gaps.mean()), float(gaps.std(ddof=1) / np.sqrt(count)), count, p_value


def compare(areas: pd.DataFrame, reference: dict[str, str]) -> pd.DataFrame:
    """Return each variant's difference to a reference variant, paired by seed.

    Args:
        areas: from ``normalised_area``, of one data set and backbone.
        reference: column values that name the reference, such as {"strategy": "random"}.

    Returns:
        One row per other variant: mean difference, its standard error, the number of common
        seeds, and the p-value of a paired t-test (NaN below two seeds).
    """
    wide = areas.pivot_table(index="seed", columns=VARIANT, values="area")
    names = [dict(zip(VARIANT, map(str, key), strict=True)) for key in wide.columns]
    matches = [i for i, name in enumerate(names) if reference.items() <= name.items()]
    if len(matches) != 1:
        raise ValueError(f"{reference} names {len(matches)} variants, not one")
    base = wide.iloc[:, matches[0]]
    rows = []
    for i, key in enumerate(wide.columns):
        pairs = pd.concat([wide.iloc[:, i], base], axis=1).dropna().to_numpy()
        if i == matches[0] or not len(pairs):
            continue
        rows.append([*key, *paired_difference(pairs)])
    return pd.DataFrame(
        rows, columns=[*VARIANT, "difference", "standard_error", "seeds", "p_value"]
    )
