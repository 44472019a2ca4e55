"""How seconds and memory grow with one size at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch

from alupdate.config import SequentialBatch
from alupdate.laplace.posterior import Posterior
from alupdate.laplace.updates import update_rule
from alupdate.strategies.batches import build_batch
from alupdate.strategies.lookahead import Lookahead
from alupdate.strategies.uncertainty import Margin
from benchmarks.large_pool import pool_rows
from benchmarks.measure import CPU, Row, Step, in_turn
from benchmarks.problems import Problem, fitted, make_problem, query_of

BATCHES = 30
"""Candidate batches of a look-ahead query: the usual 300 take minutes with 1,000 classes."""


@dataclass(frozen=True)
class Sizes:
    """P candidates and T evaluation points with D features of C classes, and batches of b."""

    dimension: int = 384
    classes: int = 10
    pool: int = 1000
    batch: int = 10
    points: int = 10_000
    labelled: int = 200

    def words(self) -> str:
        """Return the sizes for a row."""
        return (
            f"b={self.batch} D={self.dimension} C={self.classes} P={self.pool:,} T={self.points:,}"
        )


BASE = Sizes()
VARIABLES: dict[str, tuple[str, Sizes, tuple[int, ...], tuple[int, ...]]] = {
    "classes": ("classes", BASE, (10, 30, 100, 300, 1000), (10, 30, 100)),
    "dimension": ("dimension", BASE, (64, 128, 256, 512, 1024, 1536), (64, 256, 1024)),
    "batch size": ("batch", replace(BASE, pool=2000), (1, 3, 10, 30, 100, 300, 1000), (1, 10, 100)),
    "evaluation points": (
        "points",
        BASE,
        (1000, 3000, 10_000, 30_000, 100_000),
        (1000, 10_000, 100_000),
    ),
}
"""Which size varies, what the others are, and its values in the full and in the quick run."""
POOLS, QUICK_POOLS = (1000, 10_000, 100_000, 1_000_000), (1000, 10_000, 100_000)
LARGE = ((50_000, 1280, 100), (1_000_000, 384, 100))
"""Candidates, dimension and batch size of two large queries, in the full run."""


def rows(quick: bool, device: torch.device = CPU) -> Iterator[Row]:
    """Yield a row per operation, variable and value."""
    repeats = 3 if quick else 5
    pools = QUICK_POOLS if quick else POOLS
    yield from pool_rows(pools, BASE.dimension, BASE.classes, BASE.batch, device)
    for candidates, dimension, batch in () if quick else LARGE:
        for row in pool_rows((candidates,), dimension, BASE.classes, batch, device):
            yield replace(row, variable="", value=None)  # no point of the curve above
    for variable, (name, base, values, quick_values) in VARIABLES.items():
        for value in quick_values if quick else values:
            yield from value_rows(variable, replace(base, **{name: value}), value, repeats, device)


def value_rows(
    variable: str, sizes: Sizes, value: int, repeats: int, device: torch.device = CPU
) -> Iterator[Row]:
    """Yield the rows of one value: of the operations to which the variable makes a difference."""
    steps = operations(sizes, device)
    if variable == "evaluation points":
        steps = {name: step for name, step in steps.items() if name.startswith("look-ahead")}
    timings = in_turn(list(steps.values()), repeats, device)
    for operation, timing in zip(steps, timings, strict=True):
        yield Row(
            section="growth",
            what=f"{operation}: {sizes.words()}",
            ours=timing,
            variable=variable,
            value=value,
        )


def operations(sizes: Sizes, device: torch.device = CPU) -> dict[str, Step]:
    """Return what is measured, by name, on a problem of the given sizes on a device."""
    labelled, pool, points = (
        make_problem(count, sizes.dimension, sizes.classes, seed, device)
        for seed, count in enumerate((sizes.labelled, sizes.pool, sizes.points))
    )
    posterior = fitted(labelled, sizes.classes)
    steps: dict[str, Callable[[Posterior, Problem, Problem, Problem, int], object]] = {
        "update": _update,
        f"look-ahead query, {BATCHES} candidate batches": _lookahead,
        "sequential margin query": _sequential,
    }
    return {
        name: partial(step, posterior, labelled, pool, points, sizes.batch)
        for name, step in steps.items()
    }


def _update(posterior: Posterior, _: Problem, pool: Problem, __: Problem, batch: int) -> object:
    new = pool.features[:batch], pool.labels[:batch]
    return update_rule("second_order").apply(posterior, *new, 1.0)


def _lookahead(
    posterior: Posterior, labelled: Problem, pool: Problem, points: Problem, batch: int
) -> object:
    query = query_of(posterior, pool, labelled, points)
    return Lookahead(n_batches=BATCHES).select(query, batch)


def _sequential(
    posterior: Posterior, labelled: Problem, pool: Problem, _: Problem, batch: int
) -> object:
    return build_batch(
        Margin(),
        query_of(posterior, pool, labelled),
        SequentialBatch(name="sequential", size=batch),
        update_rule("second_order"),
        annotate=lambda picked: pool.labels[picked],
    )
