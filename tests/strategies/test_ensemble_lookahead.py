from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from alupdate.laplace.losses import true_loss
from alupdate.laplace.updates import fit, update_rule
from alupdate.strategies.ensemble import proposed
from alupdate.strategies.ensemble_lookahead import EnsembleLookahead, Exchanges
from alupdate.strategies.lookahead import GreedyLookahead, HypotheticalUpdates
from tests.support.problems import HYPOTHETICAL, make_query

ROUNDING = 1e-9


def small_query(seed, update, likelihood, candidates=9):
    query = make_query(seed=seed, candidates=candidates, dtype=torch.float64)
    posterior = fit(query.posterior.mean, query.labelled_features, likelihood, 0.5)
    return replace(query, posterior=posterior, gamma=0.7, rule=update_rule(update))


def exchanges_of(query, n_tried):
    everyone = torch.arange(len(query.features))
    updates = HypotheticalUpdates.of(query, everyone, query.oracle.features).keeping_kernel()
    labels, loss_sum = query.oracle.candidate_labels, true_loss(query.oracle.labels, "nll")
    return Exchanges(query, updates, labels, loss_sum, n_tried)


def loss_after(query, batch):
    """Really update a model on a batch, and evaluate it."""
    batch = torch.as_tensor(batch)
    labels = query.oracle.candidate_labels[batch]
    updated = query.rule.apply(query.posterior, query.features[batch], labels, query.gamma)
    return float(
        cross_entropy(updated.posterior.logits(query.oracle.features), query.oracle.labels)
    )


def naive(query, batch, limit):
    """Exchanges by brute force: every candidate in place of every member, really learnt."""
    place = failed = 0
    for _ in range(limit):
        if failed == len(batch):
            break
        kept = batch[:place] + batch[place + 1 :]
        others = [i for i in range(len(query.features)) if i not in batch]
        tried = [[*kept, other] for other in others]
        losses = [loss_after(query, each) for each in tried]
        if min(losses) < loss_after(query, batch) - ROUNDING:
            batch, failed = tried[int(np.argmin(losses))], 0
        else:
            place, failed = place + 1, failed + 1
        place %= len(batch)
    return batch


@pytest.mark.parametrize(("update", "likelihood"), HYPOTHETICAL)
@examples(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 4), limit=st.sampled_from([1, 3, 100]))
def test_equals_brute_force(update, likelihood, seed, size, limit):
    query = small_query(seed, update, likelihood)
    found = exchanges_of(query, 9).improved(torch.arange(size), limit).tolist()
    assert found == naive(query, list(range(size)), limit)


@pytest.mark.parametrize(("update", "likelihood"), HYPOTHETICAL)
@examples(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 4))
def test_ends_where_no_single_exchange_lowers_the_loss(update, likelihood, seed, size):
    query = small_query(seed, update, likelihood)
    found = exchanges_of(query, 9).improved(torch.arange(size), 1000).tolist()
    least = loss_after(query, found)
    assert least <= loss_after(query, list(range(size))) + ROUNDING
    for place in range(size):
        kept = found[:place] + found[place + 1 :]
        for other in set(range(9)) - set(found):
            assert loss_after(query, [*kept, other]) >= least - ROUNDING


@pytest.mark.parametrize(("update", "likelihood"), HYPOTHETICAL)
@pytest.mark.parametrize("n_tried", [1, 3])
def test_never_raises_the_loss_however_few_are_tried(update, likelihood, n_tried):
    for seed in range(2):
        query = small_query(seed, update, likelihood, candidates=20)
        search, before = exchanges_of(query, n_tried), torch.arange(4)
        losses = [loss_after(query, before)]
        for limit in (1, 2, 4, 8):
            losses.append(loss_after(query, search.improved(before, limit)))
        assert all(b <= a + ROUNDING for a, b in pairwise(losses))
        assert losses[-1] < losses[0]


@pytest.mark.parametrize("likelihood", ["gaussian", "categorical"])
def test_what_is_tried_after_second_order_updates_is_the_best(likelihood):
    for seed in range(4):
        query = small_query(seed, "second_order", likelihood, candidates=20)
        batch = torch.tensor([4, 0, 7])
        found = exchanges_of(query, 5)._promising(batch, batch[1:]).tolist()
        others = sorted(set(range(20)) - {4, 0, 7}, key=lambda i: loss_after(query, [0, 7, i]))
        assert found == others[:5]


@pytest.mark.parametrize(("update", "likelihood"), HYPOTHETICAL)
@pytest.mark.parametrize("keeping", [False, True])
def test_the_view_after_a_batch_is_the_view_of_the_updated_model(update, likelihood, keeping):
    query = small_query(1, update, likelihood)
    everyone, places = torch.arange(9), torch.tensor([5, 2, 8])
    view = HypotheticalUpdates.of(query, everyone, query.oracle.features)
    view = view.keeping_kernel() if keeping else view
    labels = query.oracle.candidate_labels[places]
    result = query.rule.apply(query.posterior, query.features[places], labels, query.gamma)
    after = query.after(places, labels, result)
    found = view.after_batch(after, places, result)
    expected = HypotheticalUpdates.of(after, everyone, query.oracle.features)
    torch.testing.assert_close(found.directions, expected.directions)
    torch.testing.assert_close(found.logits, expected.logits)
    if len(expected.directions) == 1:
        every = slice(None)
        torch.testing.assert_close(found._kernel(every), expected._kernel(every))


@pytest.mark.parametrize("update", ["map", "second_order"])
@pytest.mark.parametrize("loss", ["nll", "brier", "error"])
def test_is_no_worse_than_any_proposed_batch(update, loss):
    """Nor than the greedy batch of all candidates, where all of them are in the search."""
    for seed in range(3):
        strategy = EnsembleLookahead(update=update, loss=loss, n_candidates=40, n_exchanges=5)
        queries = [
            replace(
                make_query(seed=seed, taken=(6,), dtype=torch.float64), rule=update_rule(update)
            )
            for _ in range(3)
        ]
        starts = proposed(queries[0], 4, 10, 5000)
        greedy = GreedyLookahead(update=update, loss=loss).select(queries[1], 4)
        least = strategy.losses(queries[1], np.concatenate([starts, greedy[None]])).min()
        chosen = strategy.select(queries[2], 4)
        assert strategy.losses(queries[1], chosen[None])[0] <= least + ROUNDING


def test_more_exchanges_never_give_a_larger_loss():
    query = replace(make_query(candidates=60), rule=update_rule("map"))
    losses = []
    for limit in (1, 5, 20):
        strategy = EnsembleLookahead(n_exchanges=limit, n_candidates=30, n_tried=4)
        chosen = strategy.select(replace(query, rng=np.random.default_rng(0)), 5)
        losses.append(float(strategy.losses(query, chosen[None])))
    assert losses == sorted(losses, reverse=True)
