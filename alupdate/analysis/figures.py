"""Every figure that results allow."""

from collections.abc import Iterator
from functools import partial

import pandas as pd

from alupdate.plots.area_figures import area_figures
from alupdate.plots.benchmark_figures import benchmark_figures
from alupdate.plots.labels_saved import labels_saved
from alupdate.plots.learning_curve import difference_curves, draw_curves
from alupdate.plots.look import SCREEN, Look
from alupdate.plots.penalty import penalty_map
from alupdate.plots.result_figure import ResultFigure
from alupdate.plots.update_figures import update_figures
from alupdate.statistics import mean_curves as means_of
from alupdate.statistics.areas import normalised_area
from alupdate.statistics.labels_saved import labels_saved as saved_by
from alupdate.statistics.labels_saved import summarise_saved
from alupdate.statistics.penalty import penalty_matrix
from alupdate.statistics.variants import SETTING, finished, named


def result_figures(
    curves: pd.DataFrame | None,
    updates: pd.DataFrame | None,
    areas: pd.DataFrame | None = None,
    metric: str = "accuracy",
    prefix: str = "all",
    look: Look = SCREEN,
    benchmark: pd.DataFrame | None = None,
) -> Iterator[ResultFigure]:
    """Yield every figure that the data allow.

    Args:
        curves: rows in the form of curve.csv; unfinished runs are left out.
        updates: rows in the form of updates.csv.
        areas: from ``normalised_area``, where there are no curves any more.
        metric: a column of curve.csv.
        prefix: of the names of figures that compare; it ends in the metric, if that is not
            accuracy.
        look: sizes and fonts.
        benchmark: rows of scripts/benchmark.py.

    Raises:
        InputError: runs differ in settings that the table does not show.
    """
    if metric != "accuracy":
        prefix = f"{prefix}-{metric}"
    if curves is not None and len(curves):
        done = finished(curves)
        yield from curve_figures(done, metric, prefix, look)
        yield from area_figures(normalised_area(done, metric), metric, prefix, look)
    if areas is not None and len(areas):
        yield from area_figures(areas, metric, prefix, look)
    if updates is not None and len(updates):
        yield from update_figures(updates, prefix, look)
    if benchmark is not None and len(benchmark):
        yield from benchmark_figures(benchmark, prefix, look)


def curve_figures(
    curves: pd.DataFrame, metric: str, prefix: str, look: Look
) -> Iterator[ResultFigure]:
    """Yield learning curves and differences for each setting, penalties and labels saved."""
    ending = "" if metric == "accuracy" else f"-{metric}"
    for (dataset, backbone), group in curves.groupby(SETTING):
        means = means_of.mean_curves(group, metric)
        yield ResultFigure(
            f"curves-{dataset}-{backbone}{ending}",
            f"Learning curves, {dataset}, {backbone}",
            f"Mean test {metric} over seeds; bands are one standard error. Oracles, which see "
            "labels not yet bought, are dashed; sequential batches have hollow markers.",
            means,
            partial(draw_curves, means, f"test {metric}", look),
        )
        gaps = means_of.difference_curves(group, metric)
        if len(gaps):
            yield ResultFigure(
                f"difference-{dataset}-{backbone}{ending}",
                f"Difference to random selection, {dataset}, {backbone}",
                f"Mean difference in test {metric} to random selection with the same seed; bands "
                "are one standard error.",
                gaps,
                partial(difference_curves, gaps, metric, look),
            )
    yield from _comparisons(curves, metric, prefix, look)


def _comparisons(
    curves: pd.DataFrame, metric: str, prefix: str, look: Look
) -> Iterator[ResultFigure]:
    if named(curves)["variant"].nunique() > 1 and (curves["cycle"] > 0).any():
        matrix = penalty_matrix(curves, metric)
        count = len(curves[SETTING].drop_duplicates())
        yield ResultFigure(
            f"{prefix}-penalty",
            "Pairwise penalty matrix",
            f"How often the row beats the column in {metric}, over checkpoints, summed over "
            f"{count} data sets and backbones (Ash et al. 2020); below, the mean of each column.",
            matrix.reset_index(names="variant"),
            partial(penalty_map, matrix, count, look),
        )
    saved = saved_by(curves, metric)
    if len(saved):
        summary = summarise_saved(saved)
        yield ResultFigure(
            f"{prefix}-labels-saved",
            "Labels saved at equal accuracy",
            f"Labels needed fewer than random selection to reach shares of its gain in {metric}; "
            "medians over seeds. Crosses at the bottom: more than half the runs never reach it.",
            summary,
            partial(labels_saved, summary, look),
        )
