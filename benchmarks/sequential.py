"""Sequential batches: what the pool's state costs when it is updated, and when computed anew."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from alupdate.config import SequentialBatch
from alupdate.laplace.posterior import Posterior
from alupdate.laplace.updates import update_rule
from alupdate.strategies.badge import Badge
from alupdate.strategies.bait import Bait
from alupdate.strategies.base import Positions, Query, Strategy
from alupdate.strategies.batches import build_batch
from alupdate.strategies.uncertainty import Margin
from benchmarks.measure import CPU, Row, Step, Timing, in_turn, once
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
    def of(cls, sizes: Sizes, device: torch.device = CPU) -> "Setting":
        """Return a problem of the given sizes on a device."""
        labelled, pool = (
            make_problem(count, sizes.dimension, sizes.classes, seed, device)
            for seed, count in enumerate((sizes.labelled, sizes.pool))
        )
        return cls(sizes, fitted(labelled, sizes.classes), pool, labelled)

    def query(self) -> Query:
        """Return a fresh query."""
        return query_of(self.posterior, self.pool, self.labelled)


def rows(quick: bool, device: torch.device = CPU, sizes: Sizes = SIZES) -> Iterator[Row]:
    """Yield a row per strategy; multiclass BAIT, which takes minutes, in the full run only."""
    setting, repeats = Setting.of(sizes, device), 5 if quick else 7
    pairs: list[tuple[str, Strategy, Select]] = [
        ("margin", Margin(), Margin().select),
        ("BADGE", Badge(), Badge().select),
        ("BAIT, binary", BINARY, _plain(BINARY)),
    ]
    for name, strategy, plain in pairs:
        yield _row(name, setting, strategy, plain, lambda steps: in_turn(steps, repeats, device))
    if not quick:

        def each_once(steps: list[Step]) -> list[Timing]:
            return [once(step, device) for step in steps]

        yield _row("BAIT, multiclass", setting, MULTICLASS, _plain(MULTICLASS), each_once)


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
