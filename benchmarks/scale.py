"""One query by strategies that are meant for large pools, of up to 1,300,000 candidates.

Each is asked once per size, after a query of few candidates that warms up: seconds, and the memory
that the query adds. The features are in memory, as those of a run's candidates are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from alupdate.config.options import make_option
from alupdate.strategies.base import StrategyOption
from benchmarks.measure import CPU, Row, once
from benchmarks.problems import Problem, fitted, make_problem, query_of

STRATEGIES = ("coreset", "typiclust", "probcover", "maxherding", "uherding", "tcm")
POOLS, QUICK_POOLS = (12_500, 50_000, 200_000, 1_300_000), (2500, 10_000)
DIMENSION, CLASSES, BATCH, LABELLED = 384, 1000, 100, 100
VARIABLE = "candidates of one query"


def rows(quick: bool, device: torch.device = CPU) -> Iterator[Row]:
    """Yield a row per size and strategy."""
    yield from rows_of(QUICK_POOLS if quick else POOLS, DIMENSION, CLASSES, BATCH, device)


def rows_of(
    pools: Sequence[int], dimension: int, classes: int, batch: int, device: torch.device = CPU
) -> Iterator[Row]:
    """Yield a row per number of candidates and strategy, for batches of so many."""

    def problem(count: int, seed: int) -> Problem:
        return make_problem(count, dimension, classes, seed, device)

    labelled = problem(LABELLED, 0)
    posterior = fitted(labelled, classes)
    few = query_of(posterior, problem(2 * batch, 1), labelled)
    for count in pools:
        query = query_of(posterior, problem(count, 1), labelled)
        for name in STRATEGIES:
            strategy = make_option("strategy", {"name": name})
            assert isinstance(strategy, StrategyOption)
            strategy.select(few, batch)
            fresh = replace(query, rng=np.random.default_rng(0))
            yield Row(
                section="scale",
                what=f"{name} query: b={batch} D={dimension} C={classes} P={count:,}",
                ours=once(partial(strategy.select, fresh, batch), device),
                variable=VARIABLE,
                value=count,
            )
