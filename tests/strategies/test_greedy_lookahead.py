from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from alupdate.laplace.updates import fit, update_rule
from alupdate.strategies.lookahead import GreedyLookahead
from tests.support.problems import HYPOTHETICAL, make_query


def naive(query, size):
    """Really update a model on every free candidate at every step, and evaluate it."""
    posterior, chosen = query.posterior, query.picked.tolist()
    for _ in range(size):
        losses = {}
        for i in range(len(query.features)):
            if i not in chosen:
                updated = _updated(query, posterior, i)
                losses[i] = float(
                    cross_entropy(updated.logits(query.oracle.features), query.oracle.labels)
                )
        best = min(losses, key=losses.__getitem__)
        chosen.append(best)
        posterior = _updated(query, posterior, best)
    return chosen[-size:]


def _updated(query, posterior, i):
    label = query.oracle.candidate_labels[[i]]
    return query.rule.apply(posterior, query.features[[i]], label, query.gamma).posterior


@pytest.mark.parametrize(("update", "likelihood"), HYPOTHETICAL)
@pytest.mark.parametrize("in_parts", [False, True])
def test_equals_updating_on_every_candidate(update, likelihood, in_parts):
    for seed in range(1 if in_parts else 4):
        query = make_query(seed=seed, candidates=15, dtype=torch.float64, taken=(3,))
        posterior = fit(query.posterior.mean, query.labelled_features, likelihood, 0.5)
        query = replace(query, posterior=posterior, gamma=0.7, rule=update_rule(update))
        if in_parts:
            query = _with_many_points(query)
        chosen = GreedyLookahead(memory=1).select(query, 4)
        assert chosen.tolist() == naive(query, 4)


def _with_many_points(query):
    """So many evaluation points that a megabyte holds the kernel of three candidates."""
    copies = 2**20 // 8 // 3 // len(query.oracle.labels)
    oracle = query.oracle
    return replace(
        query,
        oracle=replace(
            oracle, features=oracle.features.repeat(copies, 1), labels=oracle.labels.repeat(copies)
        ),
    )


def test_is_at_least_as_good_on_its_set_as_any_first_pick():
    """One greedy pick is the minimum over all candidates, so no other first pick beats it."""
    query = make_query(dtype=torch.float64)
    pick = int(GreedyLookahead(loss="brier").select(query, 1)[0])
    briers = []
    for i in range(len(query.features)):
        logits = _updated(query, query.posterior, i).logits(query.oracle.features)
        truth = one_hot(query.oracle.labels, 3)
        briers.append(float((torch.softmax(logits, 1) - truth).square().sum(1).mean()))
    assert briers[pick] == pytest.approx(min(briers))


def test_refuses_to_work_without_an_oracle():
    with pytest.raises(ValueError, match="oracle"):
        GreedyLookahead().select(replace(make_query(), oracle=None), 3)
