"""Areas under the learning curves: per run, per variant, and against a reference."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from alupdate.analysis.seeds import difference_of, mean_of, note
from alupdate.analysis.theme import SCREEN, Look, dot_panels
from alupdate.analysis.variants import METHOD, SETTING, VARIANT, named, refuse_doubles
from alupdate.utils.metrics import PRIMARY

RANDOM = {"strategy": "random", "batch": "top_b"}
DIFFERENCE = ["difference", "standard_error", "low", "high", "t_p", "wilcoxon_p", "seeds", "note"]


def normalised_area(curves: pd.DataFrame, metric: str = PRIMARY) -> pd.DataFrame:
    """Return one row per run: its variant, seed and ``area``, the mean height of its curve.

    The area under the curve by the trapezoidal rule, over the range of labels; the height itself
    where the curve is a single point.

    Raises:
        InputError: two runs differ only in settings that the table does not show.
    """
    refuse_doubles(curves)
    rows = []
    ordered = curves.sort_values("n_labelled")
    for key, run in ordered.groupby([*VARIANT, "seed"], sort=True):
        rows.append([*key, _height(run["n_labelled"].to_numpy(), run[metric].to_numpy())])
    return pd.DataFrame(rows, columns=[*VARIANT, "seed", "area"])


def _height(labels: NDArray[np.int64], heights: NDArray[np.float64]) -> float:
    if len(labels) == 1:
        return float(heights[0])
    return float(np.trapezoid(heights, labels) / (labels[-1] - labels[0]))


def summarise(areas: pd.DataFrame, higher_is_better: bool = True) -> pd.DataFrame:
    """Return one row per variant, best first: mean, standard error, interval, number of seeds."""
    rows = []
    for key, group in areas.groupby(VARIANT):
        mean = mean_of(group["area"].to_numpy())
        rows.append([*key, mean.value, mean.standard_error, mean.low, mean.high, mean.seeds])
    columns = [*VARIANT, "mean", "standard_error", "low", "high", "seeds"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        [*SETTING, "mean"], ascending=[True, True, not higher_is_better], ignore_index=True
    )


def references(areas: pd.DataFrame, reference: Mapping[str, str]) -> pd.DataFrame:
    """Return the variants of one setting whose columns have the values of ``reference``."""
    variants = areas[VARIANT].drop_duplicates()
    for column, value in reference.items():
        variants = variants[variants[column] == value]
    return variants


def compare(areas: pd.DataFrame, reference: Mapping[str, str]) -> pd.DataFrame:
    """Return each variant's difference to a reference variant, paired by seed.

    Args:
        areas: from ``normalised_area``, of one data set and backbone.
        reference: column values that name the reference, such as {"strategy": "random"}.

    Returns:
        One row per other variant: mean difference over the common seeds, its standard error and
        bootstrap interval, p-values of a paired t-test and of the Wilcoxon signed-rank test,
        number of common seeds, and a note where they are too few. Variants without a common
        seed have NaN.

    Raises:
        ValueError: the reference names no variant, or more than one.
    """
    found = references(areas, reference)
    if len(found) != 1:
        raise ValueError(f"{dict(reference)} names {len(found)} variants, not one")
    wide = areas.pivot_table(index="seed", columns=VARIANT, values="area")
    place = [tuple(key) for key in wide.columns].index(tuple(found.iloc[0]))
    rows = [
        [*key, *difference_row(wide.iloc[:, [i, place]].dropna().to_numpy())]
        for i, key in enumerate(wide.columns)
        if i != place
    ]
    return pd.DataFrame(rows, columns=[*VARIANT, *DIFFERENCE])


def difference_row(pairs: NDArray[np.floating]) -> list[object]:
    """Return the values of the columns ``DIFFERENCE`` for pairs (N, 2)."""
    if not len(pairs):
        return [np.nan] * 6 + [0, note(0)]
    answer = difference_of(pairs)
    mean = answer.mean
    return [
        mean.value, mean.standard_error, mean.low, mean.high, answer.t_p, answer.wilcoxon_p,
        mean.seeds, note(mean.seeds),
    ]  # fmt: skip


def sequential_gains(areas: pd.DataFrame) -> pd.DataFrame:
    """Return sequential minus top-b of every strategy that has both, paired by seed."""
    others = [column for column in VARIANT if column != "batch"]
    wide = areas.pivot_table(index=[*others, "seed"], columns="batch", values="area")
    if not {"sequential", "top_b"} <= set(wide.columns):
        return pd.DataFrame(columns=[*others, *DIFFERENCE])
    pairs = wide[["sequential", "top_b"]].dropna()
    rows = [[*key, *difference_row(group.to_numpy())] for key, group in pairs.groupby(others)]
    return pd.DataFrame(rows, columns=[*others, *DIFFERENCE])


def oracle_comparisons(areas: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return, for each oracle, its name and every variant's difference to it, paired by seed.

    The tables are those of ``compare``, over all settings that have the oracle, with a column
    ``reference``: its name.
    """
    tables: dict[str, list[pd.DataFrame]] = {}
    for _, group in areas.groupby(SETTING):
        for key in group.loc[group["oracle"], METHOD].drop_duplicates().itertuples(index=False):
            chosen = dict(zip(METHOD[:3], key[:3], strict=True))
            name = "-".join(part for part in key[:3] if part not in ("top_b", "retrain"))
            tables.setdefault(name, []).append(compare(group, chosen).assign(reference=name))
    return [
        (name, pd.concat(parts, ignore_index=True))
        for name, parts in tables.items()
        if sum(map(len, parts))
    ]


def oracle_gaps(areas: pd.DataFrame, higher_is_better: bool = True) -> pd.DataFrame:
    """Return each oracle minus the best variant without oracle of its setting, paired by seed.

    The best one is chosen on the same runs, which flatters it: the difference is conservative.
    """
    names = [f"other_{column}" for column in METHOD[:3]]
    rows = []
    for setting, group in areas.groupby(SETTING):
        means = group[~group["oracle"]].groupby(METHOD)["area"].mean()
        if means.empty or not group["oracle"].any():
            continue
        place = means.argmax() if higher_is_better else means.argmin()
        best = list(means.index)[place]
        wide = group.pivot_table(index="seed", columns=METHOD, values="area")
        for key in wide.columns:
            if key[-1]:
                pairs = wide[[key, best]].dropna().to_numpy()
                rows.append([*setting, *key, *best[:3], *difference_row(pairs)])
    return pd.DataFrame(rows, columns=[*VARIANT, *names, *DIFFERENCE])


def strategy_areas(summary: pd.DataFrame, metric: str, look: Look = SCREEN) -> Figure:
    """Draw the mean area and its interval of every variant; random selection is dotted.

    Args:
        summary: from ``alupdate.analysis.areas.summarise``.
        metric: whose curve it is.
        look: sizes and fonts.
    """
    table = named(summary).rename(columns={"mean": "value"})
    return dot_panels(table, look, f"area under the {metric} curve, 95 % interval", level="random")


def batch_construction(gains: pd.DataFrame, metric: str, look: Look = SCREEN) -> Figure:
    """Draw what each strategy gains by building its batches sequentially; right of zero is better.

    Args:
        gains: from ``alupdate.analysis.areas.sequential_gains``.
        metric: whose curve it is.
        look: sizes and fonts.
    """
    table = named(gains.assign(batch="top_b")).rename(columns={"difference": "value"})
    label = f"area under the {metric} curve, sequential minus top-b, 95 % interval"
    return dot_panels(table, look, label)


def against_oracle(gaps: pd.DataFrame, metric: str, look: Look = SCREEN) -> Figure:
    """Draw every variant minus one oracle, paired by seed; left of zero the oracle is better.

    Args:
        gaps: from ``alupdate.analysis.areas.compare``, of one or more settings.
        metric: whose curve it is.
        look: sizes and fonts.
    """
    table = named(gaps).rename(columns={"difference": "value"})
    oracle = gaps["reference"].iloc[0]
    return dot_panels(table, look, f"area under the {metric} curve minus {oracle}'s, 95 % interval")
