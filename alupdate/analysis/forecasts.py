"""Does the expected accuracy come true: how far off it is, and how often its interval has it?"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from alupdate.analysis.question import AnalysisInput, ResultFigure, ResultTable
from alupdate.analysis.theme import SCREEN, Theme, grid
from alupdate.analysis.variants import SETTING
from alupdate.utils.metrics import ACCURACY

METHOD_COLUMNS = ("strategy", "batch", "update")
CAPTION = (
    "ahead: further labels, 0 for now. bias, rmse: of the expected accuracy, against the test "
    "set. coverage: share of cycles whose interval has the accuracy on the test set. width: of the "
    "interval. n: cycles of all seeds whose accuracy is known; those of one seed depend on each "
    "other."
)


def forecast_errors(forecasts: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose accuracy is known, with ``miss``, ``covered`` and ``width``.

    Args:
        forecasts: rows in the form of forecast.csv.
    """
    known = forecasts.dropna(subset=[ACCURACY])
    truth = known[ACCURACY]
    return known.assign(
        miss=known["expected"] - truth,
        covered=(truth >= known["lower"]) & (truth <= known["upper"]),
        width=known["upper"] - known["lower"],
    )


def forecast_coverage(forecasts: pd.DataFrame) -> pd.DataFrame:
    """Return one row per data set, strategy and number of further labels.

    Args:
        forecasts: rows in the form of forecast.csv.
    """
    errors = forecast_errors(forecasts)
    groups = errors.groupby([*SETTING, *METHOD_COLUMNS, "ahead"], sort=False)
    table = groups.agg(
        bias=("miss", "mean"),
        rmse=("miss", lambda miss: float(np.sqrt((miss**2).mean()))),
        coverage=("covered", "mean"),
        width=("width", "mean"),
        seeds=("seed", "nunique"),
        n=("miss", "size"),
    ).reset_index()
    return table.sort_values([*SETTING, "ahead", *METHOD_COLUMNS], kind="stable", ignore_index=True)


def forecast_tables(given: AnalysisInput) -> Iterator[ResultTable]:
    """Yield how far the expected accuracy is off, and how often its interval has the truth."""
    if given.forecasts is None or given.forecasts[ACCURACY].isna().all():
        return
    yield ResultTable(
        "forecast-coverage",
        "Expected accuracy against the accuracy that came true",
        CAPTION,
        forecast_coverage(given.forecasts),
    )


def forecast_scatter(forecasts: pd.DataFrame, theme: Theme = SCREEN) -> Figure:
    """Draw the expected accuracy with its interval against labels, and what came true.

    One panel per data set; the curves are means over seeds of what is expected now.

    Args:
        forecasts: rows in the form of forecast.csv.
        theme: sizes and fonts.
    """
    now = forecasts[forecasts["ahead"] == 0]
    settings = list(now.groupby(SETTING))
    figure, panels = grid(len(settings), theme, min(len(settings), 4))
    for panel, ((dataset, backbone), here) in zip(panels, settings, strict=True):
        for number, (strategy, rows) in enumerate(here.groupby("strategy")):
            means = rows.groupby("n_labelled")[["expected", "lower", "upper", ACCURACY]].mean()
            colour = f"C{number}"
            panel.fill_between(
                means.index, means["lower"], means["upper"], color=colour, alpha=0.12, lw=0
            )
            panel.plot(means.index, means["expected"], color=colour, ls="--")
            panel.plot(means.index, means[ACCURACY], color=colour, label=strategy)
        panel.set_title(f"{dataset}\n{backbone}")
        panel.set_xlabel("labels")
    panels[0].set_ylabel(ACCURACY)
    panels[0].legend()
    return figure


def forecast_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield expected and true accuracy against labels."""
    if given.forecasts is None:
        return
    yield ResultFigure(
        f"{given.name}-forecast",
        "Expected and true accuracy",
        "Dashed: expected accuracy without a test set, shaded: its interval; solid: accuracy on "
        "the test set. Means over seeds.",
        given.forecasts,
        partial(forecast_scatter, given.forecasts, theme),
    )
