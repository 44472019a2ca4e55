"""Figures that areas under learning curves allow."""

import re
from collections.abc import Iterator
from functools import partial

import pandas as pd

from alupdate.plots.areas import against_oracle, batch_construction, strategy_areas
from alupdate.plots.candidates import candidate_batches as draw_candidates
from alupdate.plots.look import Look
from alupdate.plots.ranks import critical_difference
from alupdate.plots.result_figure import ResultFigure
from alupdate.statistics.area_tables import rankings
from alupdate.statistics.areas import oracle_comparisons, sequential_gains, summarise
from alupdate.statistics.candidates import LABEL, candidate_batches
from alupdate.statistics.variants import higher_is_better

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
            partial(draw_candidates, found, others, metric, look),
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
