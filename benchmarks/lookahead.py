"""Section "look-ahead": all candidate batches together against one after the other."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from alupdate.laplace.second_order import SecondOrder
from alupdate.strategies.base import Positions, Query
from alupdate.strategies.lookahead import GreedyLookahead, Lookahead, require_oracle
from alupdate.strategies.sampled_batches import BatchMix, sample_batches
from benchmarks.arithmetic import lookahead_arithmetic
from benchmarks.large_calls import lookahead_large_calls
from benchmarks.measure import CPU, Row, Step, in_turn
from benchmarks.module_copies import losses_of_copies
from benchmarks.one_by_one import greedy_one_by_one, losses_one_by_one
from benchmarks.problems import fitted, make_problem, query_of

SECTION = "look-ahead"
LABELLED = 200

Losses = Callable[[Query, Positions], Tensor]
"""The loss (M,) after the update on each of batches (M, b)."""

RIVALS: Mapping[str, Losses] = {
    "a copy of a torch module per candidate": losses_of_copies,
    "the best tensor code per candidate": losses_one_by_one,
}
LIMIT = "the products and exponentials alone"
LARGE_CALLS = "plain large calls, the coefficients known"


@dataclass(frozen=True)
class Scene:
    """The sizes of a query: features, classes, candidates and evaluation points."""

    dimension: int
    classes: int
    candidates: int
    points: int
    device: torch.device = CPU

    def __str__(self) -> str:
        size = f"{self.candidates:,} candidates, {self.points:,} points"
        return f"{size}, D={self.dimension} C={self.classes}"

    def queries(self) -> Callable[[], Query]:
        """Return what makes the same query anew every time."""
        labelled, pool, evaluation = (
            make_problem(count, self.dimension, self.classes, seed, self.device)
            for seed, count in enumerate((LABELLED, self.candidates, self.points))
        )
        return partial(query_of, fitted(labelled, self.classes), pool, labelled, evaluation)


@dataclass(frozen=True)
class Batches:
    """How many candidate batches there are, and of how many instances."""

    count: int
    size: int

    def drawn(self, query: Query) -> Positions:
        """Return the batches (M, b); the same for the same query."""
        return sample_batches(query, self.size, self.count, BatchMix())


PAPER = Scene(dimension=384, classes=10, candidates=1000, points=10_000)
WIDE = Scene(dimension=384, classes=77, candidates=1000, points=10_000)
SMALL = Scene(dimension=384, classes=10, candidates=300, points=3000)


def rows(quick: bool, device: torch.device = CPU) -> Iterator[Row]:
    """Yield the paper's look-ahead, one with many classes in large batches, and the greedy one.

    The quick run has fewer batches of the second, without the rivals, and a smaller greedy one.
    """
    repeats = 5 if quick else 7
    paper, wide, small = (replace(scene, device=device) for scene in (PAPER, WIDE, SMALL))
    yield from batch_rows(paper, Batches(300, 10), RIVALS, repeats)
    if quick:
        yield from batch_rows(wide, Batches(100, 100), {}, repeats)
        yield greedy_row(small, 3, repeats)
    else:
        yield from batch_rows(wide, Batches(600, 100), RIVALS, repeats)
        yield greedy_row(paper, 10, repeats)


def batch_rows(
    scene: Scene, batches: Batches, rivals: Mapping[str, Losses], repeats: int
) -> Iterator[Row]:
    """Yield one query against each rival, which draws the same batches, and against the limits.

    That of the processor is left out on a GPU: its pieces are of the size of a cache.
    """
    queries = scene.queries()
    ours = Lookahead(n_batches=batches.count)
    steps: list[Step] = [lambda: ours.select(queries(), batches.size)]
    steps += [partial(_choice, rival, queries, batches) for rival in rivals.values()]
    query = queries()
    steps.append(lookahead_large_calls(query, batches.drawn(query)))
    if scene.device.type == CPU.type:
        steps.append(limit_of(queries(), batches))
    timing, *timings = in_turn(steps, repeats, scene.device)
    what = f"query with {batches.count} batches of {batches.size}, {scene}"
    for (name, rival), other in zip(rivals.items(), timings, strict=False):
        agreement = agreement_of(ours.losses, rival, queries(), batches)
        yield Row(SECTION, what, timing, name, other, agreement)
    large, *limits = timings[len(rivals) :]
    yield Row(SECTION, what, timing, LARGE_CALLS, large, "nothing drawn, the losses alone")
    for limit in limits:
        yield Row(SECTION, what, timing, LIMIT, limit, "a limit without an answer")


def _choice(losses: Losses, queries: Callable[[], Query], batches: Batches) -> Positions:
    query = queries()
    drawn = batches.drawn(query)
    chosen: Positions = drawn[int(losses(query, drawn).argmin())]
    return chosen


def agreement_of(ours: Losses, rival: Losses, query: Query, batches: Batches) -> str:
    """Return in words whether both choose the same batch, and how far their losses differ."""
    drawn = batches.drawn(query)
    mine, theirs = ours(query, drawn), rival(query, drawn)
    same = "same" if mine.argmin() == theirs.argmin() else "another"
    return f"{same} batch, losses differ by at most {(mine - theirs).abs().max():.0e}"


def limit_of(query: Query, batches: Batches) -> Step:
    """Return the arithmetic of a query on the members of its batches."""
    members = torch.from_numpy(np.unique(batches.drawn(query)))
    posterior = SecondOrder().shared(query.posterior)
    coefficients = torch.full((batches.count, len(posterior.mean), batches.size), 1e-3)
    points = require_oracle(query).features
    return lookahead_arithmetic(query.features[members], posterior.covariance, points, coefficients)


def greedy_row(scene: Scene, size: int, repeats: int) -> Row:
    """Return greedy look-ahead against a plain loop over the candidates of every step."""
    queries = scene.queries()
    ours = GreedyLookahead()
    timing, other = in_turn(
        [
            lambda: ours.select(queries(), size),
            lambda: greedy_one_by_one(queries(), size),
        ],
        repeats,
        scene.device,
    )
    same = list(ours.select(queries(), size)) == greedy_one_by_one(queries(), size)
    what = f"greedy query of {size} steps, {scene}"
    against = "a loop over candidates, a rank-one change of the logits each"
    return Row(SECTION, what, timing, against, other, "same batch" if same else "another batch")
