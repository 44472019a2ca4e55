"""How many times faster each step is than what it is compared with."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from alupdate.plots.look import SCREEN, Look
from alupdate.plots.style import BLUE, VERMILLION

GAP = 0.5
"""Between two rows, in lines of text."""


def speedups(table: pd.DataFrame, look: Look = SCREEN) -> Figure:
    """Draw a dot per pair on a logarithmic axis, a panel per section; left of 1 we are slower.

    Args:
        table: section, what, against, ratio; in the order in which to show them, from the top.
        look: sizes and fonts.
    """
    wrap = 84 if look.name == "screen" else 44
    sections = [(str(name), _labelled(group, wrap)) for name, group in _sections(table)]
    heights = [float((rows["lines"] + GAP).sum()) for _, rows in sections]
    height = look.line * (0.76 * sum(heights) + 2 * len(sections) + 2)
    figure = Figure((look.width, height), layout="constrained")
    panels = figure.subplots(len(sections), 1, squeeze=False, sharex=True, height_ratios=heights)
    for panel, (name, rows) in zip(panels.ravel(), sections, strict=True):
        _panel(panel, rows)
        panel.set_title(name, loc="left", weight="bold", size="medium")
    low, high = min(table["ratio"].min(), 1.0), max(table["ratio"].max(), 1.0)
    panel.set_xlim(low / 1.6, high * 4)  # the numbers on the right need room
    panel.set_xlabel("times faster (ratio of median seconds)")
    return figure


def _sections(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(str(name), group) for name, group in table.groupby("section", sort=False)]


def _labelled(rows: pd.DataFrame, wrap: int) -> pd.DataFrame:
    """Add each row's label, at most ``wrap`` letters wide, and how many lines it takes."""
    labels = [
        "\n".join([*textwrap.wrap(what, wrap), *textwrap.wrap(f"against {against}", wrap)])
        for what, against in zip(rows["what"], rows["against"], strict=True)
    ]
    return rows.assign(label=labels, lines=[label.count("\n") + 1 for label in labels])


def _panel(panel: Axes, rows: pd.DataFrame) -> None:
    """Draw the rows of one section from the top, each as high as its label."""
    heights = rows["lines"].to_numpy() + GAP
    places = -(np.cumsum(heights) - heights / 2)
    colours = [BLUE if ratio >= 1 else VERMILLION for ratio in rows["ratio"]]
    panel.hlines(places, 1, rows["ratio"], colors=colours, lw=2.0)
    panel.scatter(rows["ratio"], places, c=colours, s=28, zorder=3)
    for place, ratio in zip(places, rows["ratio"], strict=True):
        panel.annotate(
            f"{ratio:.3g}\u00d7", (max(ratio, 1.0), place), xytext=(7, 0), size="small",
            textcoords="offset points", va="center",
        )  # fmt: skip
    panel.axvline(1, color="black", lw=0.8)
    panel.set_yticks(places, rows["label"].tolist(), size="x-small")
    panel.set_ylim(-heights.sum() - 0.3, 0.3)
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(numticks=6))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    panel.minorticks_off()
    panel.grid(axis="y", visible=False)
