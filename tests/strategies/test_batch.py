import numpy as np
import pytest
import torch

from alupdate.config import SequentialBatch, TopBatch
from alupdate.laplace.updates import update_rule
from alupdate.strategies.base import after_labels
from alupdate.strategies.batches import build_batch
from alupdate.strategies.uncertainty import Margin
from tests.support.problems import make_query
from tests.support.references import sequential_update, softmax

SECOND_ORDER = update_rule("second_order")


def margin_reference(query, size):
    """Sequential margin with a full update and a full pass over the pool per step."""
    mean, covariance = query.posterior.mean.numpy(), query.posterior.covariance.numpy()
    features, labels = query.features.numpy(), query.oracle.candidate_labels.numpy()
    chosen = []
    for _ in range(size):
        gaps = []
        for row in features:
            second, first = np.sort(softmax(mean @ row))[-2:]
            gaps.append(first - second)
        gaps = np.array(gaps)
        gaps[chosen] = np.inf
        pick = int(gaps.argmin())
        chosen.append(pick)
        mean, covariance = sequential_update(
            mean, covariance, features[[pick]], labels[[pick]], query.gamma, "gaussian"
        )
    return chosen


def test_sequential_margin_equals_a_full_update_per_step():
    for seed in range(10):
        query = make_query(seed=seed, dtype=torch.float64)
        truth = query.oracle.candidate_labels
        chosen = build_batch(
            Margin(),
            query,
            SequentialBatch(name="sequential", size=8),
            SECOND_ORDER,
            annotate=lambda picked, truth=truth: truth[torch.from_numpy(picked)],
        )
        assert chosen.tolist() == margin_reference(query, 8)


def test_labels_are_acquired_once_each_and_only_when_an_update_follows():
    acquired = []

    def annotate(picked):
        acquired.append(picked.tolist())
        return torch.zeros(len(picked), dtype=torch.int64)

    batch = SequentialBatch(name="sequential", size=5, every=2)
    chosen = build_batch(Margin(), make_query(), batch, SECOND_ORDER, annotate)
    assert acquired == [chosen[:2].tolist(), chosen[2:4].tolist()]


def test_top_b_acquires_nothing_while_it_selects():
    def annotate(picked):
        raise AssertionError("top_b must not look at labels")

    build_batch(Margin(), make_query(), TopBatch(name="top_b", size=5), SECOND_ORDER, annotate)


@pytest.mark.parametrize("name", ["first_order", "second_order", "map", "monte_carlo"])
def test_state_after_labels_is_that_of_the_updated_posterior(name):
    query = make_query(dtype=torch.float64)
    picked = np.array([4, 11])
    after = after_labels(query, picked, torch.tensor([0, 2]), update_rule(name, n_hypotheses=100))
    torch.testing.assert_close(after.logits, after.posterior.logits(query.features))
    assert after.taken.nonzero().ravel().tolist() == [4, 11]
    assert after.labelled_labels.tolist()[-2:] == [0, 2]
    assert torch.equal(after.labelled_features[-2:], query.features[[4, 11]])


@pytest.mark.parametrize("name", ["first_order", "second_order", "map", "monte_carlo"])
def test_what_a_strategy_has_asked_for_is_refreshed(name):
    query = make_query(dtype=torch.float64)
    assert query.products.shape == (40, 0)
    assert query.variances.shape == (40, 1)
    rule = update_rule(name, n_hypotheses=100)
    for picked in ([4, 11], [7]):
        query = after_labels(query, np.array(picked), torch.tensor([0, 2][: len(picked)]), rule)
    assert query.picked.tolist() == [4, 11, 7]
    assert {"variances", "products"} <= set(vars(query))
    torch.testing.assert_close(query.variances, query.posterior.variances(query.features))
    torch.testing.assert_close(query.products, query.features @ query.features[[4, 11, 7]].T)
