"""How many times faster than retraining is each update?"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alupdate.analysis.question import AnalysisInput, ResultFigure, ResultTable
from alupdate.analysis.styles import MethodStyles
from alupdate.analysis.theme import SCREEN, Theme, grid, legend_below
from alupdate.analysis.updates import (
    SIZES,
    drawn_series,
    has_updates,
    in_series,
    with_references,
)

AGAINST = {"speedup": "against retraining as configured", "lbfgs_speedup": "against L-BFGS"}
"""Columns of speed-ups, in words."""


def update_speedups(updates: pd.DataFrame, size: str) -> pd.DataFrame:
    """Return median speed-ups of each update, for every initial size or every number of new labels.

    Args:
        updates: rows in the form of updates.csv.
        size: n_initial | n_new.

    Returns:
        One row per method, posterior and size: medians over data sets, seeds, step sizes and the
        other size of ``speedup`` and ``lbfgs_speedup``, and the number of measurements.
    """
    joined = in_series(with_references(updates))
    keys = ["series", "method", "likelihood", "prior_precision", size]
    groups = joined.groupby(keys, sort=False)
    table = groups[["speedup", "lbfgs_speedup"]].median()
    return table.assign(measurements=groups.size()).reset_index()


def speedup_bars(
    tables: dict[str, pd.DataFrame], styles: MethodStyles, theme: Theme = SCREEN
) -> Figure:
    """Draw how many times faster each update is than retraining, and than L-BFGS.

    Bars are medians over seeds and data sets, on a logarithmic axis, from 1 (as fast) upwards or
    downwards: one row of panels for each kind of size of which there are several.

    Args:
        tables: n_initial and n_new, each to the table of ``update_speedups``.
        styles: of the methods.
        theme: sizes and fonts.
    """
    shown = [c for c in AGAINST if tables["n_new"][c].notna().any()]
    several = [size for size, table in tables.items() if table[size].nunique() > 1] or ["n_new"]
    figure, panels = grid(len(several) * len(shown), theme, columns=len(shown))
    values = pd.concat([tables[size][shown] for size in several]).to_numpy()
    for place, panel in enumerate(panels):
        size, column = several[place // len(shown)], shown[place % len(shown)]
        _bars(panel, tables[size], size, column, styles)
        panel.set(title=AGAINST[column], xlabel=SIZES[size])
        if place % len(shown) == 0:
            panel.set_ylabel("times faster (median)")
        panel.set_ylim(min(1.0, np.nanmin(values)) / 1.3, max(1.0, np.nanmax(values)) * 1.3)
    legend_below(figure, panels, theme)
    return figure


def _bars(panel: Axes, table: pd.DataFrame, size: str, column: str, styles: MethodStyles) -> None:
    sizes = sorted(table[size].unique())
    series = drawn_series(table, styles)
    width = 0.8 / len(series)
    for offset, (name, rows) in enumerate(series):
        places = np.arange(len(sizes)) + (offset - (len(series) - 1) / 2) * width
        heights = rows.set_index(size)[column].reindex(sizes)
        colour = styles.style(rows["method"].iloc[0]).colour
        hatch = ("", "///", "...", "xxx")[offset % 4]
        panel.bar(
            places, heights - 1, width, bottom=1, color=colour, label=name, hatch=hatch,
            ec="white", lw=0.3,
        )  # fmt: skip
    panel.axhline(1, color="black", lw=0.8)
    panel.set_yscale("log")
    panel.set_xticks(range(len(sizes)), [str(value) for value in sizes])
    panel.grid(axis="x", visible=False)


def speedup_tables(given: AnalysisInput) -> Iterator[ResultTable]:
    """Yield speed-ups by each size."""
    if given.updates is None or not has_updates(given.updates):
        return
    for size, words in SIZES.items():
        yield ResultTable(
            f"speedup-{size.replace('_', '-')}",
            f"Speed-up of each update by number of {words}",
            "Median ratio of the seconds of retraining, as configured and by L-BFGS, to those of "
            "the update, over data sets, seeds and the other size.",
            update_speedups(given.updates, size),
        )


def speedup_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield speed-ups by the sizes of which there are several."""
    if given.updates is None or not has_updates(given.updates):
        return
    tables = {size: update_speedups(given.updates, size) for size in SIZES}
    yield ResultFigure(
        f"{given.name}-speedup",
        "Speed-up of each update",
        "Median ratio of the seconds of retraining to those of the update, over data sets and "
        "seeds.",
        pd.concat(tables.values(), ignore_index=True),
        partial(speedup_bars, tables, given.methods, theme),
    )
