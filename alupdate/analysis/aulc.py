"""How good is a strategy over the whole run? AULC, the area under the learning curve."""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from alupdate.analysis.question import (
    INTERVAL_LINES,
    TESTS,
    AnalysisInput,
    ResultFigure,
    ResultTable,
)
from alupdate.analysis.seeds import difference_of, mean_of, note
from alupdate.analysis.styles import VariantStyles
from alupdate.analysis.theme import SCREEN, Theme, dot_panels
from alupdate.analysis.variants import (
    RANDOM,
    SETTING,
    VARIANT,
    finished,
    matching,
    named,
    refuse_doubles,
    whole,
)
from alupdate.utils.metrics import PRIMARY, higher_is_better

DIFFERENCE = ["difference", "standard_error", "low", "high", "t_p", "wilcoxon_p", "seeds", "note"]
"""The columns of a difference that is paired by seed."""


def aulc_per_run(curves: pd.DataFrame, metric: str = PRIMARY) -> pd.DataFrame:
    """Return one row per run: its variant, its seed and ``area``, its AULC.

    The area under the learning curve by the trapezoidal rule, over the range of labels: the mean
    height of the curve. The height itself where the curve is a single point.

    Args:
        curves: rows in the form of curve.csv.
        metric: a column of it. Runs that lack it at one of their cycles are left out.

    Raises:
        InputError: two runs differ only in settings that the table does not show.
    """
    refuse_doubles(curves)
    rows = []
    ordered = whole(curves, metric).sort_values("n_labelled")
    for key, run in ordered.groupby([*VARIANT, "seed"], sort=True):
        rows.append([*key, mean_height(run["n_labelled"].to_numpy(), run[metric].to_numpy())])
    return pd.DataFrame(rows, columns=[*VARIANT, "seed", "area"])


def mean_height(labels: NDArray[np.number], heights: NDArray[np.float64]) -> float:
    """Return the area under a curve (N,) by the trapezoidal rule, divided by its width.

    Example:
        >>> mean_height(np.array([10, 20, 40]), np.array([0.0, 1.0, 1.0]))
        0.8333333333333334
    """
    if len(labels) == 1:
        return float(heights[0])
    return float(np.trapezoid(heights, labels) / (labels[-1] - labels[0]))


def aulc_with_seconds(curves: pd.DataFrame, timings: pd.DataFrame) -> pd.DataFrame:
    """Return ``aulc_per_run`` of accuracy, with the last number of labels and seconds per query.

    Runs with fewer cycles than others of their setting are left out; ``query_seconds`` is the
    median.

    Args:
        curves: rows in the form of curve.csv.
        timings: rows in the form of timings.csv, of the same runs.

    Raises:
        InputError: two runs differ only in settings that the table does not show.
    """
    done = finished(curves)
    queries = timings[timings["phase"] == "select"].groupby("run")["seconds"].median()
    names = done.drop_duplicates("run").set_index("run")[[*VARIANT, "seed"]]
    seconds = names.join(queries.rename("query_seconds")).reset_index(drop=True)
    last = done.groupby([*VARIANT, "seed"])["n_labelled"].max().rename("labels").reset_index()
    return aulc_per_run(done).merge(last).merge(seconds)


def summarise_aulc(aulc: pd.DataFrame, better_if_higher: bool = True) -> pd.DataFrame:
    """Return one row per variant, best first: mean, standard error, interval, number of seeds.

    Args:
        aulc: from ``aulc_per_run``.
        better_if_higher: whether a larger area is the better one.
    """
    rows = []
    for key, group in aulc.groupby(VARIANT):
        mean = mean_of(group["area"].to_numpy())
        rows.append([*key, mean.value, mean.standard_error, mean.low, mean.high, mean.seeds])
    columns = [*VARIANT, "mean", "standard_error", "low", "high", "seeds"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        [*SETTING, "mean"], ascending=[True, True, not better_if_higher], ignore_index=True
    )


def compare(aulc: pd.DataFrame, reference: Mapping[str, str]) -> pd.DataFrame:
    """Return each variant's difference to a reference variant, paired by seed.

    Args:
        aulc: from ``aulc_per_run``, of one data set and backbone.
        reference: column values that name the reference, such as {"strategy": "random"}.

    Returns:
        One row per other variant: mean difference over the common seeds, its standard error and
        bootstrap interval, p-values of a paired t-test and of the Wilcoxon signed-rank test,
        number of common seeds, and a note where they are too few. Variants without a common
        seed have NaN.

    Raises:
        ValueError: the reference names no variant, or more than one.
    """
    found = matching(aulc, reference)
    if len(found) != 1:
        raise ValueError(f"{dict(reference)} names {len(found)} variants, not one")
    wide = aulc.pivot_table(index="seed", columns=VARIANT, values="area")
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


def differences_as(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return setting, variant and the columns ``DIFFERENCE``, the difference called ``name``."""
    renamed = _renamed(table, name)
    values = [name, *_renamed(pd.DataFrame(columns=DIFFERENCE), name).columns[1:]]
    return renamed[[*SETTING, "variant", *values]]


def _renamed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table.rename(
        columns={"difference": name, "standard_error": f"{name}_error", "low": f"{name}_low",
                 "high": f"{name}_high"}
    )  # fmt: skip


def aulc_frame(
    aulc: pd.DataFrame, reference: Mapping[str, str], better_if_higher: bool = True
) -> pd.DataFrame:
    """Return mean AULCs and differences to the reference, where a setting has exactly one."""
    compared = [
        compare(group, reference)
        for _, group in aulc.groupby(SETTING)
        if len(matching(group, reference)) == 1
    ]
    table = summarise_aulc(aulc, better_if_higher).rename(
        columns={"mean": "area", "standard_error": "area_error", "low": "area_low",
                 "high": "area_high"}
    )  # fmt: skip
    table["note"] = table["seeds"].map(note)
    if compared:
        right = _renamed(pd.concat(compared), "minus_random").drop(columns="note")
        table = table.merge(right.rename(columns={"seeds": "pairs"}), on=VARIANT, how="left")
        table["pairs"] = table["pairs"].astype("Int64")
    last = ["seeds", "note"]
    columns = [c for c in table.columns if c not in (*VARIANT, *last)]
    return named(table)[[*SETTING, "variant", *columns, *last]]


def draw_aulc(
    summary: pd.DataFrame, metric: str, styles: VariantStyles, theme: Theme = SCREEN
) -> Figure:
    """Draw the mean AULC and its interval of every variant; random selection is dotted.

    Args:
        summary: from ``summarise_aulc``.
        metric: whose curve it is, in words.
        styles: of the variants.
        theme: sizes and fonts.
    """
    table = named(summary).rename(columns={"mean": "value"})
    label = f"AULC, area under the learning curve, of {metric}, with 95 % interval"
    return dot_panels(table, styles, theme, label, level="random")


def aulc_tables(given: AnalysisInput) -> Iterator[ResultTable]:
    """Yield mean AULCs, and what they are above random selection."""
    if given.aulc is None:
        return
    yield ResultTable(
        f"areas-{given.metric}",
        f"AULC, area under the learning curve, of {given.label}",
        f"Column area: the AULC over the range of labels, which is the mean {given.label}; mean "
        "over seeds ± standard error [95 % interval]. minus_random pairs by seed. "
        f"{TESTS}.",
        aulc_frame(given.aulc, RANDOM, higher_is_better(given.metric)),
    )


def aulc_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield mean AULCs where there is more than one."""
    if given.aulc is None:
        return
    summary = summarise_aulc(given.aulc, higher_is_better(given.metric))
    if len(summary) > 1:
        yield ResultFigure(
            f"{given.prefix}-areas".replace("-areas-areas", "-areas"),
            f"AULC, area under the learning curve, of {given.label}",
            f"Mean AULC of {given.label}; {INTERVAL_LINES}. The dotted line is random "
            "selection; batches that are not picked at once have hollow markers.",
            summary,
            partial(draw_aulc, given.drawn(summary), given.label, given.variants, theme),
        )
