"""One query by strategies that are meant for large pools, of up to 1,300,000 candidates.

Each is asked once per size, after a query of few candidates that warms up: seconds, and the memory
that the query adds. The features are in memory, as those of a run's candidates are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from alupdate.config.options import make_option
from alupdate.strategies.base import StrategyOption
from benchmarks.measure import CPU, Row, once
from benchmarks.problems import Problem, fitted, make_problem, query_of

STRATEGIES: Mapping[str, Mapping[str, str]] = {
    "margin": {"name": "margin"},
    "badge": {"name": "badge"},
    "bait_binary": {"name": "bait", "fisher": "binary"},
    "coreset": {"name": "coreset"},
    "typiclust": {"name": "typiclust"},
    "probcover": {"name": "probcover"},
    "maxherding": {"name": "maxherding"},
    "uherding": {"name": "uherding"},
    "tcm": {"name": "tcm"},
    "expected_lookahead": {"name": "expected_lookahead"},
}
"""Settings by the name that is printed."""
POOLS, QUICK_POOLS = (12_500, 50_000, 200_000, 1_300_000), (2500, 10_000)
DIMENSION, CLASSES, BATCH, LABELLED = 384, 1000, 100, 100
WIDE, FEW_CLASSES = 1280, 10
"""Features of an image network, and classes, with which one pool is tried in addition."""
WIDE_POOL, QUICK_WIDE_POOL = 50_000, 2500
VARIABLE = "candidates of one query"


def rows(quick: bool, device: torch.device = CPU) -> Iterator[Row]:
    """Yield a row per size and strategy."""
    yield from rows_of(QUICK_POOLS if quick else POOLS, DIMENSION, CLASSES, BATCH, device)
    wide = QUICK_WIDE_POOL if quick else WIDE_POOL
    for row in rows_of([wide], WIDE, FEW_CLASSES, BATCH, device):
        yield replace(row, variable="", value=None)


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
        for name, settings in STRATEGIES.items():
            strategy = make_option("strategy", dict(settings))
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
