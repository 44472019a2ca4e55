"""How accurate is each update after more, or fewer, initial and new labels?"""

from collections.abc import Iterator
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alupdate.analysis.question import AnalysisInput, ResultFigure
from alupdate.analysis.styles import MethodStyles
from alupdate.analysis.theme import SCREEN, Theme, grid, legend_below
from alupdate.analysis.updates import (
    BASE,
    BEST,
    RETRAIN,
    SIZES,
    best_gamma,
    draw_means,
    drawn_series,
    in_series,
    mean_accuracies,
)
from alupdate.analysis.variants import SETTING

SPACING = 4
"""Ticks of a logarithmic axis in a narrow panel are at least this factor apart."""


def size_means(updates: pd.DataFrame) -> pd.DataFrame:
    """Return mean accuracies by series, initial and new size, each update at its best gamma.

    The gamma that is best on average over the table: the comparison that favours the updates
    that need tuning. The names of series say it.

    Args:
        updates: rows in the form of updates.csv, of one data set and backbone.

    Returns:
        The columns of ``alupdate.analysis.updates.mean_accuracies`` by n_initial and n_new.
    """
    parts = []
    for name, rows in in_series(updates).groupby("series", sort=False):
        if rows["gamma"].notna().any():
            best = best_gamma(rows)
            chosen = rows[rows["gamma"] == best]
            parts.append(chosen.assign(series=f"{name}, gamma {best:g}"))
        else:
            parts.append(rows)
    return mean_accuracies(pd.concat(parts), ["n_initial", "n_new"])


def accuracy_by_update(
    updates: pd.DataFrame, along: str = "n_new", theme: Theme = SCREEN
) -> Figure:
    """Draw accuracy against the number of new (or initial) labels.

    Each update is shown at the gamma that is best on average over the table: the comparison that
    favours the updates that need tuning. A line that leaves its panel is below the base model.

    Args:
        updates: rows in the form of updates.csv, of one data set and backbone.
        along: the horizontal axis: n_new | n_initial; one panel for each value of the other.
        theme: sizes and fonts.
    """
    return draw_sizes(size_means(updates), along, MethodStyles.of(updates), theme)


def draw_sizes(
    means: pd.DataFrame, along: str, styles: MethodStyles, theme: Theme = SCREEN
) -> Figure:
    """Draw the means of ``size_means`` as ``accuracy_by_update`` says."""
    other = "n_initial" if along == "n_new" else "n_new"
    sizes = sorted(means[other].unique())
    figure, panels = grid(len(sizes), theme, columns=5 if theme.name == "screen" else 3)
    for panel, size in zip(panels, sizes, strict=True):
        here = means[means[other] == size]
        for _, rows in drawn_series(here, styles):
            draw_means(panel, rows, along, styles)
        panel.set_title(f"{size} {SIZES[other]}", size="medium")
        panel.set_xscale("log")
        _plain_ticks(panel, sorted(means[along].unique()))
        _keep_in_view(panel, here, along)
        panel.set_xlabel(SIZES[along])
    figure.supylabel("test accuracy", size="medium")
    figure.suptitle(f"{means['dataset'].iloc[0]}, {means['backbone'].iloc[0]}", size="medium")
    legend_below(figure, panels, theme)
    return figure


def _keep_in_view(panel: Axes, rows: pd.DataFrame, along: str) -> None:
    """Let the axis span base model and retraining; what is far below them leaves the panel."""
    levels = rows.loc[rows["method"].isin((BASE, RETRAIN)), "mean"]
    room = max(levels.max() - levels.min(), 0.01)
    panel.set_ylim(levels.min() - 0.5 * room, levels.max() + 0.25 * room)


def _plain_ticks(panel: Axes, sizes: list[int]) -> None:
    chosen = sizes[:1]
    for size in sizes[1:]:
        if size >= SPACING * chosen[-1]:
            chosen.append(size)
    panel.set_xticks(chosen, [str(size) for size in chosen])
    panel.minorticks_off()


def size_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield accuracy by size for each setting, along each size of which there are several."""
    if given.updates is None:
        return
    for (dataset, backbone), group in given.updates.groupby(SETTING):
        for along, words in SIZES.items():
            if group[along].nunique() < 2:
                continue
            means = size_means(group)
            suffix = "" if along == "n_new" else "-initial"
            yield ResultFigure(
                f"{given.name}-{dataset}-{backbone}{suffix}",
                f"Accuracy by number of {words}, {dataset}, {backbone}",
                f"Mean test accuracy over seeds, {BEST}; bands are one standard error.",
                means,
                partial(draw_sizes, means, along, given.methods, theme),
            )
