"""How many times faster each step is than what it is compared with."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from alupdate.plots.look import SCREEN, Look
from alupdate.plots.style import BLUE, GREY, VERMILLION

LINES = 2.6
"""Height of an operation, in lines of text: its name, what it is compared with, a gap."""


def speedups(table: pd.DataFrame, look: Look = SCREEN) -> Figure:
    """Draw a line per operation, with a dot per size; left of 1 we are slower.

    The axis is logarithmic. The number on the right is the median of the dots.

    Args:
        table: from ``alupdate.statistics.speedup_table``.
        look: sizes and fonts.
    """
    sections = list(table.groupby("section", sort=False))
    pairs = [list(rows.groupby(["operation", "against"], sort=False)) for _, rows in sections]
    heights = [LINES * len(group) for group in pairs]
    height = look.line * (0.76 * sum(heights) + 2 * len(sections) + 2)
    figure = Figure((look.width, height), layout="constrained")
    panels = figure.subplots(len(sections), 1, squeeze=False, sharex=True, height_ratios=heights)
    for panel, (name, _), group in zip(panels.ravel(), sections, pairs, strict=True):
        _panel(
            panel,
            [(f"{what}\nagainst {against}", rows["ratio"]) for (what, against), rows in group],
        )
        panel.set_title(str(name), loc="left", weight="bold", size="medium")
    low, high = min(table["ratio"].min(), 1.0), max(table["ratio"].max(), 1.0)
    panel.set_xlim(low / 1.6, high * 6)  # the numbers on the right need room
    panel.set_xlabel("times faster (ratio of median seconds)")
    return figure


def _panel(panel: Axes, lines: "list[tuple[str, pd.Series[float]]]") -> None:
    """Draw the lines of one section from the top: a label, and the ratios of all sizes."""
    for place, (_, ratios) in enumerate(lines):
        colours = [BLUE if ratio >= 1 else VERMILLION for ratio in ratios]
        panel.hlines(-place, min(ratios.min(), 1.0), max(ratios.max(), 1.0), colors=GREY, lw=1.2)
        panel.scatter(ratios, [-place] * len(ratios), c=colours, s=22, alpha=0.75, zorder=3)
        panel.annotate(
            f"{ratios.median():.3g}\u00d7", (max(ratios.max(), 1.0), -place), xytext=(7, 0),
            size="small", textcoords="offset points", va="center",
        )  # fmt: skip
    panel.axvline(1, color="black", lw=0.8)
    panel.set_yticks([-i for i in range(len(lines))], [label for label, _ in lines], size="x-small")
    panel.set_ylim(0.6 - len(lines), 0.6)
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(numticks=6))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    panel.minorticks_off()
    panel.grid(axis="y", visible=False)
