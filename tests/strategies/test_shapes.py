"""The sizes of a GPU change neither numbers nor choices, and leave nothing to wait for."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alupdate.laplace.losses import true_loss
from alupdate.laplace.updates import fit, update_rule
from alupdate.strategies import diversity, unasked
from alupdate.strategies.badge import Badge
from alupdate.strategies.bait import Bait
from alupdate.strategies.batch_bald import BatchBald
from alupdate.strategies.diversity import CoreSet, TypiClust
from alupdate.strategies.herding import MaxHerding, UHerding
from alupdate.strategies.lookahead import (
    ExpectedLookahead,
    GreedyLookahead,
    HypotheticalUpdates,
    Lookahead,
)
from alupdate.strategies.probcover import ProbCover
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
    MaxHerding(),
    MaxHerding(n_points=12),
    UHerding(),
    ProbCover(),
    ProbCover(n_counted=12),
    BatchBald(n_samples=10, n_configurations=20),
    Bait(),
    Bait(fisher="binary"),
    GreedyLookahead(),
    ExpectedLookahead(),
    ExpectedLookahead(loss="brier", n_candidates=10, n_points=20),
]


def named(strategy):
    return f"{strategy.name}-{STRATEGIES.index(strategy)}"


def total_waits(monkeypatch, strategy, size, **sizes):
    return waits(lambda: strategy.select(query_with(**sizes), size), monkeypatch).total()


@pytest.mark.parametrize("strategy", STRATEGIES, ids=named)
def test_strategies_wait_no_more_often_for_larger_problems(strategy, monkeypatch):
    """But for binary BAIT, which asks some times for each block of up to 32 picks."""
    least = total_waits(monkeypatch, strategy, 2, candidates=30)
    assert total_waits(monkeypatch, strategy, 2, candidates=90, classes=5) == least
    assert total_waits(monkeypatch, strategy, 8, candidates=30) == least
    assert least <= 25


def test_a_pool_that_is_not_copied_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(diversity, "_COPIED_NUMBERS", 0)
    for labelled in (0, 8):
        query = make_query(candidates=30, labelled=labelled)
        few, many = (waits(partial(CoreSet().select, query, size), monkeypatch) for size in (2, 20))
        assert few == many


@pytest.mark.parametrize(("update", "likelihood"), UPDATES[:4])
def test_expected_look_ahead_waits_once_for_any_update_in_closed_form(
    update, likelihood, monkeypatch
):
    strategy = ExpectedLookahead(update=update, n_candidates=5, n_points=9)
    counts = {
        total_waits(monkeypatch, strategy, size, update=update, likelihood=likelihood)
        for size in (2, 6)
    }
    assert len(counts) == 1


@pytest.mark.parametrize("strategy", STRATEGIES, ids=named)
@pytest.mark.parametrize("seed", range(3))
def test_strategies_choose_the_same_with_the_sizes_of_a_gpu(strategy, seed, monkeypatch):
    cpu = strategy.select(query_with(seed=seed, taken=(3, 5)), 6)
    as_on_a_gpu(monkeypatch)
    assert strategy.select(query_with(seed=seed, taken=(3, 5)), 6).tolist() == cpu.tolist()


LAZY = [
    CoreSet(),
    MaxHerding(n_points=12),
    UHerding(n_points=12),
    ProbCover(n_counted=12),
    BatchBald(n_samples=10),
]


@pytest.mark.parametrize("strategy", LAZY, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("look", [1, 3, 30])
def test_picks_that_rest_on_too_short_a_look_are_made_again(strategy, look, monkeypatch):
    """The same, and what follows from the generator, too; ties among copies included."""
    monkeypatch.setattr(diversity, "_COPIED_NUMBERS", 0)
    for seed in range(4):
        rows = make_query(candidates=40, seed=seed).features
        rows = rows if seed % 2 else rows[:20].repeat(2, 1)
        cpu, gpu = (query_with(seed=seed, features=rows, taken=(3, 5)) for _ in range(2))
        expected = strategy.select(cpu, 6).tolist()
        with monkeypatch.context() as patch:
            as_on_a_gpu(patch)
            patch.setattr(unasked, "_ONLY_LOOK", look)
            patch.setattr("alupdate.strategies.batch_bald._GROUP", look)
            patch.setattr("alupdate.strategies.batch_bald.at_once", lambda _, numbers: numbers)
            assert strategy.select(gpu, 6).tolist() == expected
        assert gpu.rng.random() == cpu.rng.random()


@pytest.mark.parametrize("strategy", [GreedyLookahead(), ExpectedLookahead()])
def test_losses_that_leave_the_range_are_asked_about(strategy, monkeypatch):
    def query():
        return replace(query_with(taken=(3, 5)), gamma=1e4)

    expected = strategy.select(query(), 5).tolist()
    as_on_a_gpu(monkeypatch)
    assert strategy.select(query(), 5).tolist() == expected


@pytest.mark.parametrize("strategy", [GreedyLookahead(), ExpectedLookahead(), Bait()])
def test_a_batch_that_cannot_be_computed_is_refused(strategy, monkeypatch):
    query = query_with()
    posterior = replace(query.posterior, base=-100 * query.posterior.base)
    broken = replace(query, posterior=posterior, features=query.features * torch.nan)
    broken = replace(broken, kept_logits=broken.features @ posterior.mean.T)
    as_on_a_gpu(monkeypatch)
    with pytest.raises(RuntimeError):
        strategy.select(broken, 3)
