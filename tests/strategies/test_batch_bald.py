from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skactiveml.pool import batch_bald as library_batch_bald

from alupdate.strategies import batch_bald
from alupdate.strategies.batch_bald import BatchBald, flush_denormals
from tests.support.problems import make_query


def strategy(samples=6, configurations=10**6):
    return BatchBald(n_samples=samples, n_configurations=configurations)


def entropy(p):
    return float(-np.sum(p * np.log(np.where(p > 0, p, 1))))


def information(probabilities, members):
    """The mutual information of some instances' labels and the sample, over all joint labels."""
    samples, classes = probabilities.shape[1:]
    joint = []
    for labels in product(range(classes), repeat=len(members)):
        each = [probabilities[i, :, y] for i, y in zip(members, labels, strict=True)]
        joint.append(np.prod(each, axis=0).mean())
    single = sum(np.mean([entropy(probabilities[i, s]) for s in range(samples)]) for i in members)
    return entropy(np.array(joint)) - single


def naive(probabilities, size):
    picked = []
    for _ in range(size):
        left = [i for i in range(len(probabilities)) if i not in picked]
        picked.append(max(left, key=lambda i: information(probabilities, [*picked, i])))
    return picked


def sampled(query, samples):
    """The probabilities that the strategy draws, from a copy of its generator."""
    query = replace(query, rng=np.random.default_rng(5))
    return batch_bald._sampled(query, torch.arange(len(query.features)), samples)


@pytest.mark.parametrize("group", [2, 128])
@given(st.integers(0, 10**6), st.integers(2, 3), st.integers(1, 4))
def test_equals_all_joint_labels_written_out(group, seed, classes, size):
    query = make_query(seed=seed, candidates=9, classes=classes, dtype=torch.float64)
    probabilities = sampled(query, 6).numpy()
    query = replace(query, rng=np.random.default_rng(5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_bald, "_GROUP", group)
        chosen = strategy().select(query, size)
    assert chosen.tolist() == naive(probabilities, size)


def test_equals_scikit_activeml():
    for seed in range(5):
        query = make_query(seed=seed, candidates=20, dtype=torch.float64)
        probabilities = sampled(query, 8).numpy()
        query = replace(query, rng=np.random.default_rng(5))
        utilities = library_batch_bald(
            probabilities.transpose(1, 0, 2), batch_size=4, n_MC_samples=10**4, random_state=0
        )
        assert strategy(8).select(query, 4).tolist() == np.nanargmax(utilities, 1).tolist()


def test_drawn_joint_labels_come_close_to_all_of_them():
    """With far fewer configurations than 3^6 the batch is worth nearly as much."""
    for seed in range(3):
        query = make_query(seed=seed, candidates=15, dtype=torch.float64)
        probabilities = sampled(query, 10).numpy()
        query = replace(query, rng=np.random.default_rng(5))
        chosen = strategy(10, 200).select(query, 6).tolist()
        best = information(probabilities, naive(probabilities, 6))
        assert information(probabilities, chosen) > 0.98 * best


def test_survives_a_hundred_certain_predictions():
    query = make_query(candidates=120)
    query = replace(query, features=100 * query.features)
    assert len(set(strategy(20, 50).select(query, 100).tolist())) == 100


def test_only_probabilities_with_denormal_products_are_flushed():
    """Products of two of them would be denormal, which processors multiply slowly."""
    p = torch.tensor([[1.0, 1e-10, 1e-18, 1e-20, 1e-40, 0.0]])
    expected = torch.tensor([[1.0, 1e-10, 1e-18, 0.0, 0.0, 0.0]])
    assert torch.equal(flush_denormals(p.clone()), expected)
