"""Figures that the benchmark allows."""

from collections.abc import Iterator
from functools import partial

import pandas as pd

from alupdate.plots.growth import growth
from alupdate.plots.look import Look
from alupdate.plots.result_figure import ResultFigure
from alupdate.plots.speedups import speedups
from alupdate.statistics.growth import growth_table
from alupdate.statistics.speedup_table import speedup_table


def benchmark_figures(benchmark: pd.DataFrame, prefix: str, look: Look) -> Iterator[ResultFigure]:
    """Yield how costs grow, and how many times faster each step is than what it is compared with.

    Args:
        benchmark: rows of scripts/benchmark.py.
        prefix: of the figures' names.
        look: sizes and fonts.
    """
    grown = growth_table(benchmark)
    if len(grown):
        yield ResultFigure(
            f"{prefix}-growth",
            "How cost grows",
            "Median seconds and resident memory against one size at a time, the others held. "
            "Slopes are exponents, fitted over the upper half of the range.",
            grown,
            partial(growth, grown, look),
        )
    pairs = speedup_table(benchmark)
    if len(pairs):
        yield ResultFigure(
            f"{prefix}-speedups",
            "Times faster than the alternative",
            "Ratios of median seconds, measured in turn in one process; a dot per size, their "
            "median on the right. Vermillion: slower.",
            pairs,
            partial(speedups, pairs, look),
        )
