"""The sizes of a GPU change neither numbers nor choices, and leave nothing to wait for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alupdate.laplace.losses import true_loss
from alupdate.laplace.updates import fit, update_rule
from alupdate.strategies.badge import Badge
from alupdate.strategies.bait import Bait
from alupdate.strategies.diversity import CoreSet, TypiClust
from alupdate.strategies.lookahead import (
    ExpectedLookahead,
    GreedyLookahead,
    HypotheticalUpdates,
    Lookahead,
)
from tests.support.problems import make_query
from tests.support.waits import as_on_a_gpu, waits

UPDATES = [
    ("first_order", "gaussian"),
    ("first_order", "per_class"),
    ("second_order", "gaussian"),
    ("second_order", "categorical"),
    ("map", "gaussian"),
    ("map", "per_class"),
    ("monte_carlo", "gaussian"),
]


def query_with(update="second_order", likelihood="gaussian", **sizes):
    query = make_query(**sizes)
    posterior = fit(query.posterior.mean, query.labelled_features, likelihood, 0.5)
    return replace(query, posterior=posterior, rule=update_rule(update, n_hypotheses=50))


def losses(query, count, size, loss="nll"):
    rng, oracle = np.random.default_rng(0), query.oracle
    batches = torch.from_numpy(rng.integers(len(query.features), size=(count, size)))
    members = torch.arange(len(query.features))
    updates = HypotheticalUpdates.of(query, members, oracle.features)
    labels = oracle.candidate_labels[batches]
    return lambda: updates.losses(query, batches, labels, true_loss(oracle.labels, loss))


def updated(query, size):
    labels = query.oracle.candidate_labels[:size]
    return lambda: query.rule.apply(query.posterior, query.features[:size], labels, 0.7)


@pytest.mark.parametrize(("update", "likelihood"), UPDATES)
@settings(derandomize=True, deadline=None, max_examples=10)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 6), gamma=st.floats(0.01, 30))
def test_tensors_give_the_numbers_of_numpy(update, likelihood, seed, size, gamma):
    query = query_with(update, likelihood, seed=seed, dtype=torch.float64)
    query = replace(query, gamma=gamma)
    cpu = losses(query, 5, size)(), updated(query, size)()
    with pytest.MonkeyPatch.context() as patch:
        as_on_a_gpu(patch)
        gpu = losses(query, 5, size)(), updated(query, size)()
    tolerance = 1e-7 if update == "map" else 1e-10  # up to which its solutions converge
    torch.testing.assert_close(gpu[0], cpu[0], rtol=tolerance, atol=tolerance)
    for attribute in ("mean", "added_precision"):
        ours, theirs = (
            getattr(result, attribute, None) if attribute != "mean" else result.posterior.mean
            for result in (gpu[1], cpu[1])
        )
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("update", "likelihood"), UPDATES)
def test_updates_wait_no_more_often_for_larger_batches(update, likelihood, monkeypatch):
    """A Newton step asks twice, however many batches there are; the others once at the end."""
    few, many = (
        waits(losses(query_with(update, likelihood), *shape), monkeypatch)
        for shape in ((5, 2), (40, 9))
    )
    alone, together = (
        waits(updated(query_with(update, likelihood), size), monkeypatch) for size in (2, 9)
    )
    if update == "map":
        assert many.total() <= 60
        assert together.total() <= 30
    else:
        assert many == few
        assert together == alone
        assert few.total() + alone.total() <= 10


def test_losses_that_are_not_finite_are_looked_at_once_more(monkeypatch):
    """One question for all, the exact way for those updates alone that need it, and one more."""
    query = replace(query_with(), gamma=1e4)
    exact = losses(replace(query_with(dtype=torch.float64), gamma=1e4), 30, 4)()
    found = losses(query, 30, 4)
    torch.testing.assert_close(found().double(), exact, rtol=1e-3, atol=1e-3)
    assert waits(found, monkeypatch) == {"nonzero": 1, "_local_scalar_dense": 1}


def test_updates_that_cannot_be_computed_are_not_chosen_from(monkeypatch):
    """A factorisation that fails raises no error on a GPU; what comes of it does."""
    query = query_with()
    posterior = replace(query.posterior, base=-100 * query.posterior.base)
    query = replace(query, posterior=posterior)
    as_on_a_gpu(monkeypatch)
    with pytest.raises(RuntimeError, match="not a number"):
        losses(query, 5, 3)()


STRATEGIES = [
    Lookahead(n_batches=20),
    TypiClust(),
    TypiClust(max_clusters=4, n_compared=5),
    Badge(),
    CoreSet(),
    Bait(fisher="binary"),
    GreedyLookahead(),
    ExpectedLookahead(),
]

PER_PICK = {"greedy_lookahead": 1, "expected_lookahead": 2}
"""Of a pick: whether losses are finite; whether steps are in range, and whether the covariance is
positive definite. BAIT asks for each block of up to 32 picks."""


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: type(strategy).__name__)
def test_strategies_wait_no_more_often_for_larger_problems(strategy, monkeypatch):
    def total(size, **sizes):
        return waits(lambda: strategy.select(query_with(**sizes), size), monkeypatch).total()

    least = total(2, candidates=30)
    assert total(2, candidates=90, classes=5) == least
    assert total(8, candidates=30) <= least + 6 * PER_PICK.get(strategy.name, 0)
    assert least <= 25


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: type(strategy).__name__)
@pytest.mark.parametrize("seed", range(3))
def test_strategies_choose_the_same_with_the_sizes_of_a_gpu(strategy, seed, monkeypatch):
    cpu = strategy.select(query_with(seed=seed, taken=(3, 5)), 6)
    as_on_a_gpu(monkeypatch)
    assert strategy.select(query_with(seed=seed, taken=(3, 5)), 6).tolist() == cpu.tolist()
