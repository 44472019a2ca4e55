"""Who beats whom: the pairwise penalty matrix of Ash et al. (2020)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from alupdate.analysis.theme import SCREEN, Look
from alupdate.analysis.variants import SETTING, named
from alupdate.utils.metrics import PRIMARY, higher_is_better

CONFIDENCE = 0.95
"""Ash et al. test at the .05 level."""


def penalty_matrix(
    curves: pd.DataFrame, metric: str = PRIMARY, confidence: float = CONFIDENCE
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


DARK = 0.6
"""Share of the largest entry above which the cell is so dark that its number is white."""


def penalty_map(matrix: pd.DataFrame, settings: int, look: Look = SCREEN) -> Figure:
    """Draw how often the row beats the column, and the mean of each column below.

    Args:
        matrix: from ``alupdate.analysis.penalty.penalty_matrix``; the rarely beaten come first.
        settings: largest possible entry, the number of data sets and backbones.
        look: sizes and fonts.
    """
    order = matrix.mean().sort_values(kind="stable").index
    values = matrix.loc[order, order].to_numpy()
    count = len(order)
    side = max(look.single, look.line * (2.1 * count + 12)) if look.name == "screen" else look.width
    letters = min(1.0, 14.0 / count) * (9.0 if look.name == "screen" else 6.5)
    figure = Figure(figsize=(side, side * 0.92), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(count, 1), sharex=True)
    for panel, shown in ((upper, values), (lower, values.mean(axis=0, keepdims=True))):
        image = panel.imshow(shown, cmap="Blues", vmin=0, vmax=settings, aspect="auto")
        panel.grid(visible=False)
        for (row, column), value in np.ndenumerate(shown):
            colour = "white" if value > DARK * settings else "black"
            panel.text(
                column, row, f"{value:.2f}".removeprefix("0") if value else "0", ha="center",
                va="center", size=max(letters, 4.0), color=colour,
            )  # fmt: skip
    upper.set_yticks(range(count), order.tolist(), size="small")
    lower.set_yticks([0], ["mean"], size="small")
    upper.tick_params(labelbottom=False, bottom=False)
    lower.set_xticks(range(count), order.tolist(), size="small", rotation=90)
    upper.set_title("how often the row beats the column (low columns are good)")
    figure.colorbar(image, ax=[upper, lower], shrink=0.5, label="penalty")
    return figure
