"""Every figure that results allow."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from alupdate.plots.learning_curve import difference_curves, draw_curves
from alupdate.plots.look import SCREEN, Look
from alupdate.statistics import mean_curves as means_of
from alupdate.statistics.variants import SETTING, finished


@dataclass(frozen=True)
class ResultFigure:
    """A figure with its data.

    Attributes:
        name: of its files, without ending.
        title: one line.
        caption: what one sees; plain text.
        frame: the numbers behind it.
        draw: draws it.
    """

    name: str
    title: str
    caption: str
    frame: pd.DataFrame
    draw: Callable[[], Figure]


def result_figures(
    curves: pd.DataFrame | None,
    updates: pd.DataFrame | None,
    areas: pd.DataFrame | None = None,
    metric: str = "accuracy",
    prefix: str = "updates",
    look: Look = SCREEN,
) -> Iterator[ResultFigure]:
    """Yield every figure that the data allow.

    Args:
        curves: rows in the form of curve.csv; unfinished runs are left out.
        updates: rows in the form of updates.csv.
        areas: from ``normalised_area``, where there are no curves any more.
        metric: a column of curve.csv.
        prefix: of the names of figures of updating studies and of areas.
        look: sizes and fonts.
    """
    if curves is not None and len(curves):
        yield from curve_figures(finished(curves), metric, look)


def curve_figures(curves: pd.DataFrame, metric: str, look: Look) -> Iterator[ResultFigure]:
    """Yield learning curves and differences, one figure for each data set and backbone."""
    for (dataset, backbone), group in curves.groupby(SETTING):
        means = means_of.mean_curves(group, metric)
        where = f"{dataset}-{backbone}" + ("" if metric == "accuracy" else f"-{metric}")
        yield ResultFigure(
            f"curves-{where}",
            f"Learning curves, {dataset}, {backbone}",
            f"Mean test {metric} over seeds; bands are one standard error. Oracles, which see "
            "labels not yet bought, are dashed; sequential batches have hollow markers.",
            means,
            partial(draw_curves, means, f"test {metric}", look),
        )
        gaps = means_of.difference_curves(group, metric)
        if len(gaps):
            yield ResultFigure(
                f"difference-{where}",
                f"Difference to random selection, {dataset}, {backbone}",
                f"Mean difference in test {metric} to random selection with the same seed; bands "
                "are one standard error.",
                gaps,
                partial(difference_curves, gaps, metric, look),
            )
