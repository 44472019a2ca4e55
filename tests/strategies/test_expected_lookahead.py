from dataclasses import replace

import numpy as np
import pytest
import torch

from alupdate.laplace.updates import fit, update_rule
from alupdate.strategies.lookahead import ExpectedLookahead
from tests.support.problems import HYPOTHETICAL, make_query


def own_loss(probabilities, loss):
    if loss == "nll":
        return float(-(probabilities * probabilities.log()).sum(1).mean())
    if loss == "error":
        return float(1 - probabilities.amax(1).mean())
    return float(1 - probabilities.square().sum(1).mean())


def naive(query, rule, size, loss, points, candidates, n_labels):
    """Really update on every likely label of every candidate, and average the expected losses."""
    posterior, chosen = query.posterior, []
    for _ in range(size):
        probabilities = torch.softmax(posterior.logits(query.features), 1)
        top = probabilities.topk(2, dim=1).values
        gaps = (top[:, 0] - top[:, 1]).numpy().copy()
        gaps[chosen] = np.inf
        expected = {}
        for i in np.argsort(gaps)[:candidates]:
            likely = np.argsort(-probabilities[i].numpy())[:n_labels]
            weights = probabilities[i, likely].numpy()
            losses = []
            for label in likely:
                row, target = query.features[[i]], torch.tensor([label])
                updated = rule.apply(posterior, row, target, query.gamma).posterior
                losses.append(own_loss(torch.softmax(updated.logits(points), 1), loss))
            expected[int(i)] = float(np.average(losses, weights=weights))
        pick = min(expected, key=expected.__getitem__)
        chosen.append(pick)
        row = query.features[[pick]]
        weights = posterior.curvatures(posterior.logits(row))
        posterior = posterior.conditioned(posterior.mean, row, weights)
    return chosen


@pytest.mark.parametrize(("update", "likelihood"), HYPOTHETICAL)
@pytest.mark.parametrize("loss", ["nll", "error", "brier"])
@pytest.mark.parametrize("n_labels", [2, 10])
def test_equals_updating_on_every_label(update, likelihood, loss, n_labels):
    strategy = ExpectedLookahead(n_candidates=6, n_points=12, n_labels=n_labels, loss=loss)
    for seed in range(3):
        query = make_query(seed=seed, candidates=15, classes=4, dtype=torch.float64)
        posterior = fit(query.posterior.mean, query.labelled_features, likelihood, 0.5)
        query = replace(query, posterior=posterior, gamma=0.7)
        query = replace(query, kept_logits=posterior.logits(query.features))
        sample = np.random.default_rng(seed).permutation(15)[:12]
        query = replace(query, rule=update_rule(update))
        expected = naive(query, query.rule, 3, loss, query.features[sample], 6, n_labels)
        assert strategy.select(query, 3).tolist() == expected


def test_needs_no_oracle():
    strategy = ExpectedLookahead()
    assert not strategy.needs_oracle
    assert len(strategy.select(replace(make_query(), oracle=None), 4)) == 4
