"""How much of the way from the base model to the retrained one does each update go?"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from alupdate.analysis.question import AnalysisInput, ResultFigure, ResultTable
from alupdate.analysis.seeds import CONFIDENCE, N_RESAMPLES, note, paired_t
from alupdate.analysis.styles import MethodStyles
from alupdate.analysis.theme import SCREEN, Theme, grid, interval_lines
from alupdate.analysis.updates import BASE, BEST, has_updates, in_series, with_references
from alupdate.analysis.variants import SETTING

UPDATE = [*SETTING, "method", "likelihood", "prior_precision", "gamma", "step_size"]
"""The columns that tell updates apart."""
GAP = [
    "gap", "standard_error", "low", "high", "retrain_p", "worst", "seeds", "speedup",
    "lbfgs_speedup", "note",
]  # fmt: skip
LEAST = -0.5
"""Gaps closed below this are arrows at the edge."""


def gap_closed(updates: pd.DataFrame) -> pd.DataFrame:
    """Return one row per data set and update: the share of the gap to retraining that it closes.

    ``gap`` is sum(update - base) / sum(retrain - base) of the accuracies over all seeds and
    cells (initial size, new size); ``standard_error`` is that of the same ratio seed by seed, and
    ``low`` and ``high`` the 95 % percentile bootstrap interval of the ratio over seeds; all
    three are NaN where retraining gained nothing with some seed.
    ``retrain_p`` is the p-value of a paired t-test, over seeds, that the update is as accurate as
    retraining. ``worst`` is the lowest mean over seeds of update - base in any cell; ``speedup``
    the median over seeds and cells of the seconds of retraining, by the configured solver and by
    L-BFGS, over those of the update. A gamma that was chosen
    automatically (step_size: auto) is NaN.

    Args:
        updates: rows in the form of updates.csv.

    Raises:
        InputError: there are two studies of one data set, backbone and seed.
    """
    joined = with_references(updates)
    rows = []
    for key, group in joined.groupby(UPDATE, sort=False, dropna=False):
        sums = group.groupby("seed")[["gain", "possible"]].sum().to_numpy()
        faster = group[["speedup", "lbfgs_speedup"]].median()
        p_value = paired_t(sums[:, 0] - sums[:, 1])
        seeds = len(sums)
        ratio = [*_ratio(sums), *_ratio_interval(sums)]
        rows.append([*key, *ratio, p_value, _worst(group), seeds, *faster, note(seeds)])
    return pd.DataFrame(rows, columns=[*UPDATE, *GAP])


def _ratio(sums: NDArray[np.float64]) -> tuple[float, float]:
    """Return the pooled ratio of sums (seeds, 2) and the standard error of the seeds' ratios."""
    gained, possible = sums[:, 0].sum(), sums[:, 1].sum()
    pooled = gained / possible if possible else np.nan  # retraining gained nothing
    if (sums[:, 1] <= 0).any():
        return float(pooled), np.nan
    ratios = sums[:, 0] / sums[:, 1]
    error = ratios.std(ddof=1) / np.sqrt(len(ratios)) if len(ratios) > 1 else np.nan
    return float(pooled), float(error)


def _ratio_interval(sums: NDArray[np.float64]) -> tuple[float, float]:
    if len(sums) < 2 or (sums[:, 1] <= 0).any():  # no ratio of some resample
        return np.nan, np.nan
    answer = stats.bootstrap(
        (sums[:, 0], sums[:, 1]),
        lambda gain, possible, axis: gain.sum(axis=axis) / possible.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=N_RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(answer.confidence_interval.low), float(answer.confidence_interval.high)


def _worst(group: pd.DataFrame) -> float:
    return float(group.groupby(["n_initial", "n_new"])["gain"].mean().min())


def best_gaps(updates: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ``gap_closed`` at the best gamma of each update and data set.

    With a column ``name``: the method, with its posterior where there are several.
    """
    gaps = gap_closed(updates)
    table = gaps.assign(name=in_series(gaps)["series"])
    known = table.dropna(subset="gap")  # without the cells in which retraining gained nothing
    best = known.groupby([*SETTING, "name"])["gap"].idxmax()
    return table.loc[best].reset_index(drop=True)


def gap_dots(gaps: pd.DataFrame, styles: MethodStyles, theme: Theme = SCREEN) -> Figure:
    """Draw the share of the gap to retraining that each update closes, by data set.

    Args:
        gaps: from ``best_gaps``: one row per data set and ``name``. Values below -0.5 are shown
            as arrows at the edge.
        styles: of the methods.
        theme: sizes and fonts.
    """
    settings = list(gaps.groupby(SETTING))
    names = list(gaps.groupby("name")["gap"].max().sort_values().index)
    columns = 4 if theme.name == "screen" else 2
    figure, panels = grid(len(settings), theme, columns, height=theme.line * (1.6 * len(names) + 4))
    for panel, ((dataset, backbone), here) in zip(panels, settings, strict=True):
        for _, row in here.iterrows():
            _gap_dot(panel, names.index(row["name"]), row, styles)
        shown = panel in panels[::columns]
        panel.set_yticks(range(len(names)), names if shown else [""] * len(names))
        panel.set_ylim(-0.6, len(names) - 0.3)
        panel.axvline(0, color=styles.style(BASE).colour, ls=":", lw=1.0)
        panel.axvline(1, color="black", ls="--", lw=1.0)
        panel.set_xlim(LEAST, max(1.15, here["high"].max() + 0.05))
        panel.set_title(f"{dataset}\n{backbone}")
        panel.set_xlabel("gap closed")
        panel.grid(axis="y", visible=False)
    return figure


def _gap_dot(panel: Axes, place: int, row: "pd.Series[Any]", styles: MethodStyles) -> None:
    """Draw one value with its interval and gamma, or an arrow where it is out of sight."""
    style = styles.style(row["method"])
    text = "" if np.isnan(row["gamma"]) else f"gamma {row['gamma']:g}"
    if row["gap"] < LEAST:
        panel.plot(LEAST, place, marker="<", color=style.colour, clip_on=False)
        panel.text(LEAST + 0.08, place, f"{row['gap']:.1f}, {text}", va="center", size="x-small")
        return
    errors = interval_lines(row["gap"], row["low"], row["high"])
    panel.errorbar(
        row["gap"], place, xerr=errors, marker=style.marker, linestyle="", color=style.colour
    )
    panel.annotate(
        text, (row["gap"] - errors[0, 0], place), xytext=(-7, 0),
        textcoords="offset points", ha="right", va="center", size="x-small",
    )  # fmt: skip


def gap_tables(given: AnalysisInput) -> Iterator[ResultTable]:
    """Yield the gap that each update closes in each data set."""
    if given.updates is None or not has_updates(given.updates):
        return
    gaps = gap_closed(given.updates).rename(
        columns={"standard_error": "gap_error", "low": "gap_low", "high": "gap_high"}
    )
    yield ResultTable(
        "gap-closed",
        "Gap to retraining closed by each update",
        "gap: sum(update - base) / sum(retrain - base) of test accuracy over all sizes and seeds "
        "± standard error over seeds [95 % percentile bootstrap interval]; 0 the base model, 1 "
        "retraining. retrain_p: paired t-test over seeds that the update is as accurate as "
        "retraining. worst: lowest mean of update - base in any cell of sizes. speedup: median "
        "ratio of seconds, against retraining as configured and against L-BFGS.",
        _shown(gaps),
    )


def _shown(gaps: pd.DataFrame) -> pd.DataFrame:
    gamma = gaps["gamma"].map("{:g}".format).where(gaps["step_size"] != "auto", "auto")
    table = gaps.assign(gamma=gamma).drop(columns="step_size")
    return table.sort_values(SETTING, kind="stable", ignore_index=True)


def gap_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield the gap that each update closes at its best step size."""
    if given.updates is None or not has_updates(given.updates):
        return
    gaps = best_gaps(given.updates)
    if gaps.empty:  # retraining gained nothing anywhere: there is no gap to close
        return
    yield ResultFigure(
        f"{given.name}-gap",
        "Gap to retraining closed",
        f"Share of the gap to retraining that each update closes, {BEST} for the data set; lines "
        "are 95 % bootstrap intervals over seeds. Arrows: further to the left.",
        gaps,
        partial(gap_dots, gaps, given.methods, theme),
    )
