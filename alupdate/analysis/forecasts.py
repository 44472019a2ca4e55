"""Does the expected accuracy come true: how far off it is, and how often its interval has it?"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from alupdate.analysis.question import AnalysisInput, ResultFigure, ResultTable
from alupdate.analysis.styles import VariantStyles
from alupdate.analysis.theme import SCREEN, Theme, grid
from alupdate.analysis.variants import SETTING, named
from alupdate.utils.metrics import ACCURACY

METHOD_COLUMNS = ("strategy", "batch", "update")
COVERAGE_CAPTION = (
    "ahead: further labels, 0 for now. bias, rmse: of the expected accuracy, against the test "
    "set. coverage: share of cycles whose interval has the accuracy on the test set. width: of the "
    "interval. ±: standard error of the means of the seeds. n: cycles of all seeds whose accuracy "
    "is known; those of one seed depend on each other."
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
    keys = [*SETTING, *METHOD_COLUMNS, "ahead"]
    table = errors.groupby(keys, sort=False).agg(
        bias=("miss", "mean"),
        bias_error=("miss", lambda miss: _error_over_seeds(miss, errors["seed"])),
        rmse=("miss", lambda miss: float(np.sqrt((miss**2).mean()))),
        coverage=("covered", "mean"),
        coverage_error=("covered", lambda covered: _error_over_seeds(covered, errors["seed"])),
        width=("width", "mean"),
        seeds=("seed", "nunique"),
        n=("miss", "size"),
    )
    order = [*SETTING, "ahead", *METHOD_COLUMNS]
    return table.reset_index().sort_values(order, kind="stable", ignore_index=True)


def _error_over_seeds(values: "pd.Series[float]", seeds: "pd.Series[int]") -> float:
    """Return the standard error of the seeds' means; NaN for one seed."""
    means = values.astype(float).groupby(seeds[values.index]).mean().to_numpy()
    return float(means.std(ddof=1) / np.sqrt(len(means))) if len(means) > 1 else np.nan


def forecast_tables(given: AnalysisInput) -> Iterator[ResultTable]:
    """Yield how far the expected accuracy is off, and how often its interval has the truth."""
    if given.forecasts is None or given.forecasts[ACCURACY].isna().all():
        return
    yield ResultTable(
        "forecast-coverage",
        "Expected accuracy against the accuracy that came true",
        COVERAGE_CAPTION,
        forecast_coverage(given.forecasts),
    )


def forecast_curves(
    forecasts: pd.DataFrame, styles: VariantStyles, theme: Theme = SCREEN
) -> Figure:
    """Draw the accuracy that is expected now, its interval, and what came true, against labels.

    One panel per data set; means over seeds.

    Args:
        forecasts: rows in the form of forecast.csv.
        styles: of the strategies.
        theme: sizes and fonts.
    """
    now = named(forecasts[forecasts["ahead"] == 0].assign(oracle=False))
    settings = list(now.groupby(SETTING))
    figure, panels = grid(len(settings), theme, 2)
    for panel, ((dataset, backbone), here) in zip(panels, settings, strict=True):
        for variant, rows in here.groupby("variant"):
            colour = styles.style(rows.iloc[0]).colour
            means = rows.groupby("n_labelled")[["expected", "lower", "upper", ACCURACY]].mean()
            labels = means.index.to_numpy()
            panel.fill_between(
                labels, means["lower"], means["upper"], color=colour, alpha=0.1, lw=0
            )
            panel.plot(labels, means["expected"], color=colour, ls="--")
            panel.plot(labels, means[ACCURACY], color=colour, label=variant)
        panel.set_title(f"{dataset}\n{backbone}")
        panel.set_xlabel("labels")
        panel.set_ylabel(ACCURACY)
    panels[0].legend(loc="lower right", title="dashed: expected")
    return figure


def forecast_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield expected and true accuracy against labels."""
    if given.forecasts is None:
        return
    styles = VariantStyles.of(given.forecasts)
    yield ResultFigure(
        f"{given.name}-expected",
        "Expected and true accuracy",
        "Dashed: expected accuracy without a test set, shaded: its interval; solid: accuracy on "
        "the test set. Means over seeds.",
        given.forecasts,
        partial(forecast_curves, given.forecasts, styles, theme),
    )
