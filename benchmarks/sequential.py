"""Sequential batches: what the pool's state costs when it is updated, and when computed anew."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from alupdate.config import SequentialBatch
from alupdate.laplace.posterior import Posterior
from alupdate.laplace.updates import update_rule
from alupdate.strategies.badge import Badge
from alupdate.strategies.bait import Bait
from alupdate.strategies.base import Positions, Query, Strategy
from alupdate.strategies.batches import build_batch
from alupdate.strategies.uncertainty import Margin
from benchmarks.measure import Row, Step, Timing, in_turn
from benchmarks.memory import added_mib
from benchmarks.plain_sequential import Select, plain_bait, plain_sequential
from benchmarks.problems import Problem, fitted, make_problem, query_of

BINARY, MULTICLASS = Bait(fisher="binary"), Bait(fisher="multiclass")


@dataclass(frozen=True)
class Sizes:
    """P candidates with D features of C classes, N labelled instances, and batches of b."""

    pool: int = 1000
    dimension: int = 384
    classes: int = 10
    labelled: int = 200
    batch: int = 10

    def words(self) -> str:
        """Return the sizes for a row."""
        return (
            f"{self.batch} from {self.pool:,}, D={self.dimension} C={self.classes}, "
            f"{self.labelled} labelled"
        )


SIZES = Sizes()


@dataclass(frozen=True)
class Setting:
    """What both ways of building a batch start from."""

    sizes: Sizes
    posterior: Posterior
    pool: Problem
    labelled: Problem

    @classmethod
    def of(cls, sizes: Sizes) -> "Setting":
        """Return a problem of the given sizes."""
        labelled = make_problem(sizes.labelled, sizes.dimension, sizes.classes)
        pool = make_problem(sizes.pool, sizes.dimension, sizes.classes, 1)
        return cls(sizes, fitted(labelled, sizes.classes), pool, labelled)

    def query(self) -> Query:
        """Return a fresh query."""
        return query_of(self.posterior, self.pool, self.labelled)


def rows(quick: bool, sizes: Sizes = SIZES) -> Iterator[Row]:
    """Yield a row per strategy; multiclass BAIT, which takes minutes, in the full run only."""
    setting, repeats = Setting.of(sizes), 5 if quick else 7
    pairs: list[tuple[str, Strategy, Select]] = [
        ("margin", Margin(), Margin().select),
        ("BADGE", Badge(), Badge().select),
        ("BAIT, binary", BINARY, _plain(BINARY)),
    ]
    for name, strategy, plain in pairs:
        yield _row(name, setting, strategy, plain, lambda steps: in_turn(steps, repeats))
    if not quick:
        yield _row("BAIT, multiclass", setting, MULTICLASS, _plain(MULTICLASS), _once)


def _plain(ours: Bait) -> Select:
    return plain_bait(ours.fisher, ours.oversample, ours.regularisation)


def _row(
    name: str,
    setting: Setting,
    strategy: Strategy,
    plain: Select,
    timed: Callable[[list[Step]], list[Timing]],
) -> Row:
    """Measure one strategy both ways, and compare the batches of the last runs."""
    batches: dict[str, Positions] = {}

    def ours() -> None:
        batches["ours"] = sequential(strategy, setting.query(), setting.pool.labels, setting.sizes)

    def other() -> None:
        batches["other"] = plain_sequential(
            plain, setting.query(), setting.pool.labels, setting.sizes.batch
        )

    first, second = timed([ours, other])
    return Row(
        section="sequential",
        what=f"sequential {name} query, {setting.sizes.words()}",
        against="a full update and a full pass over the pool per label",
        ours=first,
        other=second,
        agreement=same_batch(batches["ours"], batches["other"]),
    )


def sequential(strategy: Strategy, query: Query, labels: Tensor, sizes: Sizes) -> Positions:
    """Return a batch (b,) by our sequential construction, for candidates with labels (P,)."""
    batch = SequentialBatch(name="sequential", size=sizes.batch)
    return build_batch(
        strategy, query, batch, update_rule("second_order"), annotate=lambda picked: labels[picked]
    )


def same_batch(ours: Positions, other: Positions) -> str:
    """Return in words how much of two batches (b,) agrees."""
    if np.array_equal(ours, other):
        return "same batch"
    common = len(np.intersect1d(ours, other))
    return "same batch in another order" if common == len(ours) else f"{common} of {len(ours)} same"


def _once(steps: list[Step]) -> list[Timing]:
    """Return the timings of steps that take so long that no warm-up matters, from one run each."""
    return [_one(step) for step in steps]


def _one(step: Step) -> Timing:
    seconds: list[float] = []

    def watched() -> None:
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)

    mib = added_mib(watched)
    return Timing(seconds[0], 1, mib)
