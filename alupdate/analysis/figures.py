"""Every figure that results allow."""

import re
from collections.abc import Iterator
from functools import partial

import pandas as pd

from alupdate.analysis import curves as means_of
from alupdate.analysis.areas import (
    against_oracle,
    batch_construction,
    normalised_area,
    oracle_comparisons,
    sequential_gains,
    strategy_areas,
    summarise,
)
from alupdate.analysis.candidates import LABEL, candidate_batches, draw_candidate_batches
from alupdate.analysis.curves import draw_curves, draw_differences
from alupdate.analysis.labels_saved import draw_labels_saved, labels_saved, summarise_saved
from alupdate.analysis.penalty import penalty_map, penalty_matrix
from alupdate.analysis.ranks import critical_difference
from alupdate.analysis.speedups import benchmark_figures
from alupdate.analysis.tables import rankings
from alupdate.analysis.theme import SCREEN, Look, ResultFigure
from alupdate.analysis.update_figures import update_figures
from alupdate.analysis.variants import SETTING, finished, named
from alupdate.utils.metrics import PRIMARY, higher_is_better

INTERVALS = "lines are 95 % bootstrap intervals over seeds"


def area_figures(
    areas: pd.DataFrame, metric: str, prefix: str, look: Look
) -> Iterator[ResultFigure]:
    """Yield the figures of areas from ``normalised_area``."""
    better = higher_is_better(metric)
    summary = summarise(areas, better)
    if len(summary) > 1:
        yield ResultFigure(
            f"{prefix}-areas".replace("-areas-areas", "-areas"),
            f"Normalised area under the {metric} curve",
            f"Mean area under the {metric} curve; {INTERVALS}. The dotted line is random "
            "selection; sequential batches have hollow markers.",
            summary,
            partial(strategy_areas, summary, metric, look),
        )
    gains = sequential_gains(areas)
    if len(gains):
        yield ResultFigure(
            f"{prefix}-batch-construction",
            "Sequential batches against batches picked at once",
            f"Area under the {metric} curve of sequential minus top-b batches, paired by seed; "
            f"{INTERVALS}.",
            gains,
            partial(batch_construction, gains, metric, look),
        )
    for name, gaps in oracle_comparisons(areas):
        if re.match(LABEL, name):  # has a figure of its own
            continue
        yield ResultFigure(
            f"{prefix}-against-{name}",
            f"All strategies against {name} (oracle)",
            f"Area under the {metric} curve minus that of {name}, paired by seed; {INTERVALS}.",
            gaps,
            partial(against_oracle, gaps, metric, look),
        )
    yield from _candidates(areas, summary, metric, prefix, look)
    yield from _ranks(areas, metric, prefix, look)


def _candidates(
    areas: pd.DataFrame, summary: pd.DataFrame, metric: str, prefix: str, look: Look
) -> Iterator[ResultFigure]:
    found = candidate_batches(areas, higher_is_better(metric))
    if len(found):
        others = summary[~summary["strategy"].astype(str).str.match(LABEL)]
        yield ResultFigure(
            f"{prefix}-candidate-batches",
            "Number of candidate batches of look-ahead",
            f"Mean area under the {metric} curve; {INTERVALS}.",
            found,
            partial(draw_candidate_batches, found, others, metric, look),
        )


def _ranks(areas: pd.DataFrame, metric: str, prefix: str, look: Look) -> Iterator[ResultFigure]:
    for name, title, blocks, ranking in rankings(areas, metric):
        if len(ranking.ranks) < 3:
            continue
        yield ResultFigure(
            f"{prefix}-ranks-{name}",
            f"Average ranks, {title}",
            f"Average rank of the area under the {metric} curve, 1 the best; blocks are {blocks}. "
            "Bars join variants of which no pair differs (Wilcoxon signed-rank, Holm, .05)."
            + (f" {ranking.note}." if ranking.note else ""),
            ranking.ranks.rename_axis("variant").reset_index(name="mean_rank"),
            partial(critical_difference, ranking, title, look),
        )


def result_figures(
    curves: pd.DataFrame | None,
    updates: pd.DataFrame | None,
    areas: pd.DataFrame | None = None,
    metric: str = PRIMARY,
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
    if metric != PRIMARY:
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
    ending = "" if metric == PRIMARY else f"-{metric}"
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
                partial(draw_differences, gaps, metric, look),
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
    saved = labels_saved(curves, metric)
    if len(saved):
        summary = summarise_saved(saved)
        yield ResultFigure(
            f"{prefix}-labels-saved",
            "Labels saved at equal accuracy",
            f"Labels needed fewer than random selection to reach shares of its gain in {metric}; "
            "medians over seeds. Crosses at the bottom: more than half the runs never reach it.",
            summary,
            partial(draw_labels_saved, summary, look),
        )
