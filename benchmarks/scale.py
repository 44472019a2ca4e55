"""One query by strategies that are meant for large pools, of up to 1,300,000 candidates.

Each is asked once per size, after a query of few candidates that warms up: seconds, and the memory
that the query adds. The features are in memory, as those of a run's candidates are.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from alupdate.config.options import make_option
from alupdate.strategies.base import Query, StrategyOption
from benchmarks.measure import Row, Timing
from benchmarks.memory import added_mib
from benchmarks.problems import fitted, make_problem, query_of

STRATEGIES = ("coreset", "typiclust", "probcover", "maxherding", "uherding", "tcm")
POOLS, QUICK_POOLS = (12_500, 50_000, 200_000, 1_300_000), (2500, 10_000)
DIMENSION, CLASSES, BATCH, LABELLED = 384, 1000, 100, 100
VARIABLE = "candidates of one query"


def rows(quick: bool) -> Iterator[Row]:
    """Yield a row per size and strategy."""
    yield from rows_of(QUICK_POOLS if quick else POOLS, DIMENSION, CLASSES, BATCH)


def rows_of(pools: Sequence[int], dimension: int, classes: int, batch: int) -> Iterator[Row]:
    """Yield a row per number of candidates and strategy, for batches of so many."""
    labelled = make_problem(LABELLED, dimension, classes)
    posterior = fitted(labelled, classes)
    few = query_of(posterior, make_problem(2 * batch, dimension, classes, 1), labelled)
    for count in pools:
        query = query_of(posterior, make_problem(count, dimension, classes, 1), labelled)
        for name in STRATEGIES:
            strategy = make_option("strategy", {"name": name})
            assert isinstance(strategy, StrategyOption)
            strategy.select(few, batch)
            yield Row(
                section="scale",
                what=f"{name} query: b={batch} D={dimension} C={classes} P={count:,}",
                ours=_timing(strategy, replace(query, rng=np.random.default_rng(0)), batch),
                variable=VARIABLE,
                value=count,
            )


def _timing(strategy: StrategyOption, query: Query, size: int) -> Timing:
    """Return what one query takes and adds."""
    seconds = list[float]()

    def ask() -> None:
        start = time.perf_counter()
        strategy.select(query, size)
        seconds.append(time.perf_counter() - start)

    mib = added_mib(ask)
    return Timing(seconds[0], 1, mib)
