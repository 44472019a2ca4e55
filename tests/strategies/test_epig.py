"""EPIG against its definition, written out; and ParBaLS as EPIG in sequential construction."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.config import SequentialBatch
from alupdate.laplace.posterior import fit_posterior
from alupdate.laplace.predictive import sample_weights
from alupdate.laplace.updates import update_rule
from alupdate.strategies import epig
from alupdate.strategies.base import Query, sample_of_candidates
from alupdate.strategies.batch_bald import sampled_probabilities
from alupdate.strategies.batches import build_batch
from alupdate.strategies.epig import Epig, Parbals, predictive_information
from alupdate.strategies.uncertainty import Bald
from tests.support.problems import make_query
from tests.support.references import softmax


def information(first, second):
    """I(y; y') in nats of probabilities (S, C) each, over all pairs of labels."""
    total = 0.0
    for y in range(first.shape[1]):
        for other in range(second.shape[1]):
            joint = np.mean([p[y] * q[other] for p, q in zip(first, second, strict=True)])
            apart = np.mean(first[:, y]) * np.mean(second[:, other])
            total += joint * np.log(joint / apart)
    return total


def reference(query, samples, points):
    """The utilities by the definition, with the strategy's own draws."""
    query = replace(query, rng=np.random.default_rng(5))
    targets = sample_of_candidates(query, points).numpy()
    weights = sample_weights(query.posterior, samples, query.rng).numpy()
    candidates = query.features.numpy()

    def predicted(row):
        return np.array([softmax(w @ row) for w in weights])

    return [
        np.mean([information(predicted(row), predicted(target)) for target in targets])
        for row in candidates
    ]


@pytest.mark.parametrize("numbers", [1, 40, 2**18])
@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(1, 12), st.integers(1, 5))
def test_equals_the_joint_probabilities_of_all_labels(numbers, seed, classes, points, samples):
    """However small the tiles that are worked on together."""
    query = make_query(seed=seed, candidates=7, classes=classes, dtype=torch.float64)
    expected = reference(query, samples, points)
    query = replace(query, rng=np.random.default_rng(5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epig, "_CACHED_NUMBERS", numbers)
        patch.setattr(epig, "chunk_size", lambda weights: 3)
        found = Epig(n_samples=samples, n_points=points).utilities(query)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-10)


def test_labels_that_determine_each_other_are_worth_their_entropy():
    """Under each sample both are sure, and they always agree."""
    sure = torch.eye(2, dtype=torch.float64)[[0, 0, 0, 1]]  # (S, C)
    unsure = torch.full((4, 2), 0.5, dtype=torch.float64)
    found = predictive_information(torch.stack([sure, unsure]), sure[None])
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    np.testing.assert_allclose(found.numpy(), [entropy, 0], atol=1e-12)


def test_what_no_target_depends_on_is_worth_nothing():
    """The last candidate says most about the weights, and nothing about the other labels."""
    features = torch.zeros(40, 6, dtype=torch.float64)
    features[:39, 0] = torch.linspace(-3, 3, 39, dtype=torch.float64)
    features[39, 5] = 9
    prior = fit_posterior(torch.zeros(3, 6, dtype=torch.float64), features[:0], "gaussian", 1.0)
    query = Query.of(prior, features)
    assert Bald().select(query, 1).tolist() == [39]
    weights = sample_weights(query.posterior, 2000, query.rng)
    probabilities = sampled_probabilities(weights, features)
    found = predictive_information(probabilities, probabilities[:39])
    assert found[39] < 0.1 * found[:39].max()


@pytest.mark.parametrize("update", ["second_order", "map"])
def test_parbals_is_epig_with_sampled_labels(update):
    few = {"n_samples": 20, "n_points": 10}
    batch = SequentialBatch(name="sequential", size=6, update=update, labels="sampled", n_samples=3)
    rule = update_rule(update)
    for seed in range(3):
        query = make_query(seed=seed, taken=(1, 2), update=update)
        expected = build_batch(Epig(**few), query, batch, rule, annotate=ask_nobody)
        query = make_query(seed=seed, taken=(1, 2), update=update)
        assert Parbals(**few, n_models=3).select(query, 6).tolist() == expected.tolist()


def ask_nobody(picked):
    raise AssertionError("nobody is to be asked")
