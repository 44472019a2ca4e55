"""The pairwise penalty matrix as a heat map."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from alupdate.plots.look import SCREEN, Look

DARK = 0.6
"""Share of the largest entry above which the cell is so dark that its number is white."""


def penalty_map(matrix: pd.DataFrame, settings: int, look: Look = SCREEN) -> Figure:
    """Draw how often the row beats the column, and the mean of each column below.

    Args:
        matrix: from ``alupdate.statistics.penalty.penalty_matrix``; the rarely beaten come first.
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
