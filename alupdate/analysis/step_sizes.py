"""How does each update's accuracy depend on its step size gamma?"""

from collections.abc import Iterator
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from alupdate.analysis.question import AnalysisInput, ResultFigure
from alupdate.analysis.styles import MethodStyles
from alupdate.analysis.theme import SCREEN, Theme, grid, legend_below
from alupdate.analysis.updates import (
    REFERENCES,
    draw_means,
    drawn_series,
    has_updates,
    in_series,
    mean_accuracies,
)
from alupdate.analysis.variants import SETTING

MIN_GAMMAS = 5
"""Fewer step sizes do not make a figure."""


def gamma_means(updates: pd.DataFrame) -> pd.DataFrame:
    """Return mean accuracies by series and gamma, over all sizes; references have no gamma.

    Returns:
        The columns of ``alupdate.analysis.updates.mean_accuracies`` by gamma.
    """
    table = in_series(updates)
    return mean_accuracies(table[table["step_size"] != "auto"], ["gamma"])


def robustness(means: pd.DataFrame, styles: MethodStyles, theme: Theme = SCREEN) -> Figure:
    """Draw mean accuracy against gamma, one panel per data set, base and retrain as horizontals.

    Args:
        means: from ``gamma_means``.
        styles: of the methods.
        theme: sizes and fonts.
    """
    settings = list(means.groupby(SETTING))
    figure, panels = grid(len(settings), theme, columns=4 if theme.name == "screen" else 2)
    for panel, ((dataset, backbone), here) in zip(panels, settings, strict=True):
        for _, rows in drawn_series(here, styles):
            method = rows["method"].iloc[0]
            if method in REFERENCES:
                level, style = rows["mean"].iloc[0], styles.style(method)
                panel.axhline(level, color=style.colour, linestyle=style.line, label=method)
            else:
                draw_means(panel, rows, "gamma", styles)
        panel.set(title=f"{dataset}\n{backbone}", xscale="log", xlabel="step size gamma")
        panel.minorticks_off()
    figure.supylabel("mean test accuracy", size="medium")
    legend_below(figure, panels, theme)
    return figure


def gamma_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield accuracy against gamma where some update was run at several."""
    if given.updates is None or not has_updates(given.updates):
        return
    table = in_series(given.updates)
    fixed = table[table["step_size"] == "fixed"]
    if len(fixed) and fixed.groupby("method")["gamma"].nunique().max() >= MIN_GAMMAS:
        means = gamma_means(given.updates)
        yield ResultFigure(
            f"{given.name}-gamma",
            "Accuracy against the step size",
            "Mean test accuracy over seeds and sizes against gamma; bands are one standard error.",
            means,
            partial(robustness, means, given.methods, theme),
        )
