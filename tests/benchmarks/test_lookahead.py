from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from alupdate.strategies.lookahead import GreedyLookahead, Lookahead
from benchmarks import arithmetic, large_calls
from benchmarks.arithmetic import lookahead_arithmetic
from benchmarks.lookahead import (
    LARGE_CALLS,
    LIMIT,
    RIVALS,
    Batches,
    Scene,
    agreement_of,
    batch_rows,
    greedy_row,
)
from benchmarks.one_by_one import greedy_one_by_one
from tests.support.problems import make_query

SCENE = Scene(dimension=8, classes=3, candidates=30, points=40)
BATCHES = Batches(count=12, size=4)
OURS = Lookahead(n_batches=12)


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("seed", range(3))
def test_rivals_find_our_losses(name, seed):
    query = replace(make_query(seed=seed, dtype=torch.float64), gamma=0.7)
    drawn = BATCHES.drawn(query)
    losses = OURS.losses(query, drawn)
    assert losses.max() > losses.min() + 1e-3
    torch.testing.assert_close(RIVALS[name](query, drawn), losses, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_plain_greedy_loop_picks_what_ours_picks(seed):
    query = replace(make_query(seed=seed, dtype=torch.float64), gamma=0.7)
    ours = GreedyLookahead()
    assert greedy_one_by_one(query, 4) == ours.select(query, 4).tolist()


@pytest.mark.parametrize("numbers", [1, 2**20])  # one batch at a time, all at once
def test_plain_large_calls_find_our_losses(numbers, monkeypatch):
    monkeypatch.setattr(large_calls, "NUMBERS", numbers)
    query = replace(make_query(seed=1, dtype=torch.float64), gamma=0.7)
    drawn = BATCHES.drawn(query)
    losses = large_calls.lookahead_large_calls(query, drawn)()
    torch.testing.assert_close(losses, OURS.losses(query, drawn), rtol=1e-9, atol=1e-9)


def test_agreement_is_in_words():
    query = SCENE.queries()()
    assert agreement_of(OURS.losses, OURS.losses, query, BATCHES).endswith("at most 0e+00")

    def other(query, drawn):
        return 3 - OURS.losses(query, drawn)

    assert agreement_of(OURS.losses, other, SCENE.queries()(), BATCHES).startswith("another batch")


class Counted(TorchDispatchMode):
    """Counts the multiplications of matrix products, and the exponentials."""

    def __init__(self):
        super().__init__()
        self.products, self.exponentials = 0, 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        if operation.overloadpacket is torch.ops.aten.mm:
            self.products += args[0].numel() * args[1].shape[1]
        if operation.overloadpacket is torch.ops.aten.exp_:
            self.exponentials += result.numel()
        return result


@pytest.mark.parametrize("numbers", [1, 39, 2**17])  # one column, uneven pieces, one piece
def test_the_limit_is_the_work_that_the_formulas_name(numbers, monkeypatch):
    monkeypatch.setattr(arithmetic, "GROUP_NUMBERS", numbers)
    members, dimension, points, batches, size, classes = 9, 5, 20, 4, 3, 2
    step = lookahead_arithmetic(
        torch.ones(members, dimension),
        torch.ones(dimension, dimension),
        torch.ones(points, dimension),
        torch.full((batches, classes, size), 1e-3),
    )
    with Counted() as counted:
        step()
    products = members * dimension * (dimension + points) + batches * classes * size * points
    assert counted.products == products
    assert counted.exponentials == batches * classes * points


def test_rows_are_the_rivals_and_the_limit():
    rows = list(batch_rows(SCENE, BATCHES, RIVALS, 1))
    assert [row.against for row in rows] == [*RIVALS, LARGE_CALLS, LIMIT]
    assert all(row.ours.seconds > 0 and row.other.seconds > 0 for row in rows)
    assert all(row.agreement.startswith("same batch, losses differ") for row in rows[:-2])
    assert {row.section for row in rows} == {"look-ahead"}


def test_the_greedy_row_has_the_same_picks():
    row = greedy_row(SCENE, 3, 1)
    assert row.agreement == "same batch"
    assert min(row.ours.seconds, row.other.seconds) > 0
