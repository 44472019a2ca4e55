"""How many times faster is each operation than what the benchmark compares it with?"""

from collections.abc import Iterator
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from alupdate.analysis.question import AnalysisInput, ResultFigure
from alupdate.analysis.styles import BLUE, GREY, VERMILLION
from alupdate.analysis.theme import SCREEN, Theme

LIMITS = (
    "the products and exponentials alone",
    "the arithmetic of its steps alone",
    "python -c pass",
)
"""What nothing can be faster than: no alternative."""
OPERATION_HEIGHT = 2.6
"""In lines of text: its name, what it is compared with, a gap."""


def benchmark_ratios(benchmark: pd.DataFrame) -> pd.DataFrame:
    """Return one line per pair: section, operation, against, ratio, and the two medians.

    The operation is ``what`` without the sizes, which begin with a number or with a name and "=".
    Limits of the machine are left out.

    Args:
        benchmark: rows of scripts/benchmark.py.
    """
    pairs = benchmark.dropna(subset=["ratio", "against"])
    pairs = pairs[~pairs["against"].isin(LIMITS)]
    operations = pairs["what"].str.replace(r", (\d|\w=).*", "", regex=True)
    pairs = pairs.assign(operation=operations)
    columns = ["section", "operation", "against", "what", "seconds", "other_seconds", "ratio"]
    return pairs[columns].reset_index(drop=True)


def draw_ratios(table: pd.DataFrame, theme: Theme = SCREEN) -> Figure:
    """Draw a line per operation, with a dot per size; left of 1 it is slower.

    The axis is logarithmic. The number on the right is the median of the dots.

    Args:
        table: from ``benchmark_ratios``.
        theme: sizes and fonts.
    """
    sections = list(table.groupby("section", sort=False))
    pairs = [list(rows.groupby(["operation", "against"], sort=False)) for _, rows in sections]
    heights = [OPERATION_HEIGHT * len(group) for group in pairs]
    height = theme.line * (0.76 * sum(heights) + 2 * len(sections) + 2)
    figure = Figure((theme.width, height), layout="constrained")
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


def ratio_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield all ratios of the benchmark, by section."""
    table = pd.DataFrame() if given.benchmark is None else benchmark_ratios(given.benchmark)
    if len(table):
        yield ResultFigure(
            f"{given.name}-speedups",
            "Times faster than the alternative",
            "Ratios of median seconds, measured in turn in one process; a dot per size, their "
            "median on the right. Vermillion: slower.",
            table,
            partial(draw_ratios, table, theme),
        )
