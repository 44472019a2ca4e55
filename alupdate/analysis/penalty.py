"""Which strategy beats which, and how often? The pairwise penalty matrix [Ash2020]."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from alupdate.analysis.question import AnalysisInput, ResultFigure, ResultTable
from alupdate.analysis.seeds import note
from alupdate.analysis.theme import SCREEN, Theme, in_lines
from alupdate.analysis.variants import SETTING, named
from alupdate.utils.metrics import PRIMARY, higher_is_better

PENALTY_CONFIDENCE = 0.95
"""Of the t-tests: [Ash2020] tests at the .05 level."""
DARK = 0.6
"""Share of the largest entry above which the cell is so dark that its number is white."""


def penalty_matrix(
    curves: pd.DataFrame, metric: str = PRIMARY, confidence: float = PENALTY_CONFIDENCE
) -> pd.DataFrame:
    """Return P (V, V) over variants: how often the row's variant beats the column's.

    For every setting s (data set and backbone) with n_s checkpoints L (labelled sizes after the
    initial one, where variants still share their model) at which the metric is known, and for
    every L,

        P[i, j] += 1 / n_s    if variant i beats variant j at L,

    that is if the mean of the differences d over the common seeds favours i and a two-sided
    paired t-test, t = sqrt(n) mean(d) / std(d) with n - 1 degrees of freedom, rejects equality at
    ``confidence``. Equal nonzero differences count as t = infinity. So entries go from 0 to the
    number of settings, and a low mean of a column says that the variant is rarely beaten.
    Pairs with fewer than two common seeds never beat each other. Source: [Ash2020],
    section 4.

    Args:
        curves: rows in the form of curve.csv.
        metric: a column of it.
        confidence: of the t-test.
    """
    table = named(curves)
    names = sorted(table["variant"].unique())
    total = pd.DataFrame(0.0, index=names, columns=names)
    for _, group in table.groupby(SETTING):
        later = group[(group["cycle"] > 0) & group[metric].notna()]
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


def penalty_map(
    matrix: pd.DataFrame, settings: int, theme: Theme = SCREEN, drawn: set[str] | None = None
) -> Figure:
    """Draw how often the row beats the column, and the mean of each column below.

    Args:
        matrix: from ``penalty_matrix``; the rarely beaten come first.
        settings: largest possible entry, the number of data sets and backbones.
        theme: sizes and fonts.
        drawn: variants to show; None: all. The means are over all in any case.
    """
    order = matrix.mean().sort_values(kind="stable").index
    values = matrix.loc[order, order].to_numpy()
    means = values.mean(axis=0, keepdims=True)
    if drawn is not None:
        kept = order.isin(drawn)
        order, values, means = order[kept], values[kept][:, kept], means[:, kept]
    count = len(order)
    is_screen = theme.name == "screen"
    side = max(theme.single, theme.line * (2.1 * count + 12)) if is_screen else theme.width
    letters = min(1.0, 14.0 / count) * (9.0 if is_screen else 6.5)
    figure = Figure(figsize=(side, side * 0.92), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(count, 1), sharex=True)
    for panel, shown in ((upper, values), (lower, means)):
        image = panel.imshow(shown, cmap="Blues", vmin=0, vmax=settings, aspect="auto")
        panel.grid(visible=False)
        for (row, column), value in np.ndenumerate(shown):
            colour = "white" if value > DARK * settings else "black"
            panel.text(
                column, row, f"{value:.2f}".removeprefix("0") if value else "0", ha="center",
                va="center", size=max(letters, 4.0), color=colour,
            )  # fmt: skip
    names = list(map(in_lines, order))
    upper.set_yticks(range(count), names, size="small")
    lower.set_yticks([0], ["mean"], size="small")
    upper.tick_params(labelbottom=False, bottom=False)
    lower.set_xticks(range(count), names, size="small", rotation=90)
    upper.set_title("how often the row beats the column (low columns are good)")
    figure.colorbar(image, ax=[upper, lower], shrink=0.5, label="penalty")
    return figure


def penalty_frame(curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the penalty matrix, the rarely beaten first, with the means of the columns below."""
    matrix = penalty_matrix(curves, metric)
    order = matrix.mean().sort_values(kind="stable").index
    matrix = matrix.loc[order, order]
    matrix.loc["mean"] = matrix.mean()
    return matrix.reset_index(names="variant")


def penalty_tables(given: AnalysisInput) -> Iterator[ResultTable]:
    """Yield the matrix where every setting has later checkpoints, and some two variants."""
    curves = given.curves
    if curves is None or curves.groupby(SETTING)["cycle"].max().min() == 0:
        return
    if named(curves)["variant"].nunique() > 1:
        yield ResultTable(
            f"penalty-{given.metric}",
            "Pairwise penalty matrix",
            "How often the row beats the column (paired t-test over seeds at "
            f"{PENALTY_CONFIDENCE:g} confidence, {given.label}; every checkpoint after the "
            "initial labels counts, in all 1 per data set and backbone). Last row: mean of the "
            f"column, lower is better. After Ash et al. (2020). {_few(curves)}".strip(),
            penalty_frame(curves, given.metric),
        )


def penalty_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield the matrix where there are later checkpoints and two variants."""
    curves = given.curves
    if curves is None or curves["cycle"].max() == 0:
        return
    if named(curves)["variant"].nunique() > 1:
        matrix = penalty_matrix(curves, given.metric)
        count = len(curves[SETTING].drop_duplicates())
        yield ResultFigure(
            f"{given.prefix}-penalty",
            "Pairwise penalty matrix",
            f"How often the row beats the column in {given.label}, over checkpoints, summed over "
            f"{count} data sets and backbones (Ash et al. 2020); below, the mean of each column.",
            matrix.reset_index(names="variant"),
            partial(penalty_map, matrix, count, theme, given.drawn_names(curves)),
        )


def _few(curves: pd.DataFrame) -> str:
    remark = note(int(curves.groupby(SETTING)["seed"].nunique().min()))
    return f"{remark[0].upper()}{remark[1:]}." if remark else ""
