"""Dots with intervals: one panel per setting, one row per strategy."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alupdate.plots.look import Look, grid
from alupdate.plots.style import style_of


def dot_panels(table: pd.DataFrame, look: Look, label: str, level: str = "") -> Figure:
    """Draw values with intervals, the largest on top of each panel.

    Args:
        table: dataset, backbone, variant, strategy, batch, update, oracle, value, low, high (NaN
            where there is no interval), seeds.
        look: sizes and fonts.
        label: of the horizontal axis.
        level: a variant whose value gets a vertical line; empty: zero gets it.
    """
    settings = list(table.groupby(["dataset", "backbone"], sort=True))
    rows = max(len(group) for _, group in settings)
    columns = 3 if look.name == "screen" else 2
    figure, panels = grid(len(settings), look, columns, height=look.line * (1.05 * rows + 3.2))
    if len(settings) > 2 and look.name == "screen":
        figure.set_figwidth(1.3 * look.width)  # the names need their room
    for panel, ((dataset, backbone), group) in zip(panels, settings, strict=True):
        _rows(panel, group.sort_values("value", kind="stable"))
        panel.set_ylim(len(group) - rows - 0.6, len(group) - 0.4)
        if not level:
            panel.axvline(0, color="black", lw=0.8)
        for value in group.loc[group["variant"] == level, "value"]:
            panel.axvline(value, color="#666666", lw=0.8, ls=":")
        panel.set_title(f"{dataset}, {backbone}\n{_seeds(group['seeds'])}")
    figure.supxlabel(label, size="medium")
    return figure


def _rows(panel: Axes, group: pd.DataFrame) -> None:
    for place, (_, row) in enumerate(group.iterrows()):
        style = style_of(row)
        low, high = row["value"] - row["low"], row["high"] - row["value"]
        panel.errorbar(
            row["value"],
            place,
            xerr=None if np.isnan(low) else [[low], [high]],
            marker=style.marker,
            color=style.colour,
            markerfacecolor="white" if style.hollow else style.colour,
            elinewidth=1.0,
        )
    panel.set_yticks(range(len(group)), group["variant"].tolist(), size="small")
    panel.grid(axis="y", visible=False)
    panel.locator_params(axis="x", nbins=4)


def _seeds(counts: "pd.Series[int]") -> str:
    least, most = counts.min(), counts.max()
    return f"{most} seeds" if least == most else f"{least} to {most} seeds"
