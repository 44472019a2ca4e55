"""How do seconds and memory of an operation grow with one size at a time?"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator
from numpy.typing import ArrayLike

from alupdate.analysis.question import AnalysisInput, ResultFigure
from alupdate.analysis.styles import BLACK, BLUE, MARKERS, PALETTE, VERMILLION, Style
from alupdate.analysis.theme import SCREEN, Theme, legend_below

OPERATION_STYLES = {
    "update": Style(BLACK, "^", "-"),
    "look-ahead": Style(VERMILLION, "o", "-"),
    "sequential margin query": Style(BLUE, "s", "-", hollow=True),
}
"""By the start of an operation's name."""
ROOM = 0.11
"""Share of a panel's height that a line with a slope takes."""
FEW_LINES = 5
"""In a panel with more, slopes would hide lines; the legend has them."""
FEW = 2.0
"""Decades of an axis below which it also has ticks at 2 and 5."""
WHOLE_PROCESS = "own process"
"""In the names of operations whose memory is that of the whole process."""


def slope(sizes: ArrayLike, costs: ArrayLike) -> float:
    """Return the exponent a of costs ~ sizes^a over the upper half of the range of sizes.

    Least squares on logarithms, over the sizes above the range's geometric mean and at least the
    two largest: below, constant costs flatten the line. NaN for fewer than two sizes.

    Args:
        sizes: (n,), positive.
        costs: (n,), positive.

    Example:
        >>> round(slope([10, 100, 1000], [1.0, 100.0, 10000.0]), 6)
        2.0
    """
    x, y = np.log(np.asarray(sizes, dtype=float)), np.log(np.asarray(costs, dtype=float))
    distinct = np.unique(x)
    if len(distinct) < 2:
        return float("nan")
    start = min((distinct[0] + distinct[-1]) / 2, distinct[-2])
    upper = x >= start - 1e-9
    centred = x[upper] - x[upper].mean()
    return float(centred @ y[upper] / (centred @ centred))


def growth_table(benchmark: pd.DataFrame) -> pd.DataFrame:
    """Return one line per variable, operation and value, ascending; variables in their order.

    The operation is the part of ``what`` before the colon; ``slope`` is that of its seconds.

    Args:
        benchmark: rows of scripts/benchmark.py; only those of its sections "growth" and "scale"
            with a value of a variable count.
    """
    growth = benchmark[benchmark["section"].isin(("growth", "scale"))]
    rows = growth.dropna(subset=["variable", "value", "seconds"])
    operations = rows["what"].astype(str).str.split(":", n=1).str[0]
    columns = ["variable", "operation", "value", "seconds", "mib"]
    table = rows.assign(operation=operations)[columns]
    groups = [
        group.sort_values("value").assign(slope=slope(group["value"], group["seconds"]))
        for _, group in table.groupby(["variable", "operation"], sort=False)
    ]
    empty = table.assign(slope=np.nan)
    return pd.concat(groups, ignore_index=True) if groups else empty


def draw_growth(table: pd.DataFrame, theme: Theme = SCREEN) -> Figure:
    """Draw seconds above, MiB below, against each variable; both axes are logarithmic.

    Args:
        table: from ``growth_table``.
        theme: sizes and fonts.
    """
    variables = list(dict.fromkeys(table["variable"]))
    columns = min(len(variables), 5 if theme.name == "screen" else 3)
    blocks = -(-len(variables) // columns)
    width = 1.3 * theme.width if theme.name == "screen" and columns > 3 else theme.width
    figure = Figure((width, 2 * blocks * theme.panel * 0.85), layout="constrained")
    axes = figure.subplots(2 * blocks, columns, squeeze=False)
    for panel in axes.ravel():
        panel.set_axis_off()
    panels = []
    for place, variable in enumerate(variables):
        block, column = divmod(place, columns)
        here = table[table["variable"] == variable]
        for row, cost in enumerate(("seconds", "mib")):
            panel = axes[2 * block + row, column]
            _panel(panel, here, cost)
            panels.append(panel)
            if column == 0:
                panel.set_ylabel("seconds" if cost == "seconds" else "MiB")
        panel.set_xlabel(variable)
    legend_below(figure, panels, theme)
    return figure


def _panel(panel: Axes, here: pd.DataFrame, cost: str) -> None:
    """Draw a line per operation; the panel of seconds, or the legend, also says their slopes."""
    panel.set_axis_on()
    panel.set(xscale="log", yscale="log")
    lines = list(here.groupby("operation", sort=False))
    many = len(lines) > FEW_LINES
    for place, (operation, line) in enumerate(lines):
        style = style_of_operation(str(operation), place)
        values, exponent = line[cost].where(line[cost] > 0), f"slope {line['slope'].iloc[0]:.2f}"
        label = f"{operation}, {exponent}" if many else str(operation)
        panel.plot(line["value"], values, label=label, **style.keywords())
        if cost == "seconds" and not many:
            panel.text(
                0.04, 0.97 - ROOM * place, exponent, color=style.colour,
                transform=panel.transAxes, va="top", size="small",
            )  # fmt: skip
    low, high = (np.log10(limit) for limit in panel.get_ylim())
    if cost == "seconds" and not many:
        panel.set_ylim(10**low, 10 ** (high + (high - low) * ROOM * (len(lines) + 1)))
    elif cost == "mib":
        whole = here["operation"].str.contains(WHOLE_PROCESS).all()
        panel.set_title("of the whole process" if whole else "added at the peak", size="small")
    decades = np.ptp(np.log10(panel.get_ylim()))
    panel.yaxis.set_major_locator(LogLocator(subs=(1.0,) if decades > FEW else (1.0, 2.0, 5.0)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.minorticks_off()


def style_of_operation(operation: str, place: int) -> Style:
    """Return the style of an operation: fixed for well-known ones, by its place for others."""
    for start, style in OPERATION_STYLES.items():
        if operation.startswith(start):
            return Style(
                style.colour,
                style.marker,
                style.line,
                WHOLE_PROCESS not in operation and style.hollow,
            )
    return Style(PALETTE[place % len(PALETTE)], MARKERS[place % len(MARKERS)], "--")


def growth_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield seconds and memory against each size that the benchmark varied."""
    table = pd.DataFrame() if given.benchmark is None else growth_table(given.benchmark)
    if len(table):
        yield ResultFigure(
            f"{given.name}-growth",
            "How cost grows",
            "Median seconds and resident memory against one size at a time, the others held. "
            "Slopes are exponents, fitted over the upper half of the range.",
            table,
            partial(draw_growth, table, theme),
        )
