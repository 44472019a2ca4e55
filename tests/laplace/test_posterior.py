import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.laplace.inputs import with_bias
from alupdate.laplace.names import LIKELIHOODS
from alupdate.laplace.posterior import curvature, fit_posterior
from alupdate.laplace.second_order import second_order
from alupdate.laplace.updates import laplace_posterior, update_rule
from tests.support.references import inverse_covariance, softmax, weight


@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 20),
    dimension=st.integers(1, 15),
    likelihood=st.sampled_from(["gaussian", "categorical"]),
    prior=st.floats(0.01, 10),
)
def test_covariance_is_the_exact_inverse(seed, count, dimension, likelihood, prior):
    rng = np.random.default_rng(seed)
    mean, features = rng.normal(size=(3, dimension)), rng.normal(size=(count, dimension))
    weights = np.array([weight(softmax(mean @ row), likelihood) for row in features])
    posterior = fit_posterior(torch.from_numpy(mean), torch.from_numpy(features), likelihood, prior)
    expected = inverse_covariance(features, weights, prior)
    np.testing.assert_allclose(posterior.covariance, expected, rtol=1e-9, atol=1e-9)


def test_curvature_of_each_likelihood():
    logits = torch.tensor([[0.0, 0.0], [100.0, 0.0]], dtype=torch.float64)
    assert curvature(logits, "gaussian").tolist() == [1.0, 1.0]
    assert curvature(logits, "categorical").tolist() == pytest.approx([0.25, 0.0])


def test_bias_is_a_constant_feature():
    features = with_bias(torch.zeros(4, 2))
    assert features.tolist() == [[0.0, 0.0, 1.0]] * 4


@pytest.mark.parametrize("likelihood", ["gaussian", "categorical"])
def test_five_thousand_rank_one_updates_in_float32_stay_exact(likelihood):
    """Features with a spectrum over two decades, as real ones have, and a constant."""
    rng = np.random.default_rng(0)
    dimension, count = 96, 5000
    rotation = np.linalg.qr(rng.normal(size=(dimension, dimension)))[0]
    features = rng.normal(size=(count, dimension)) * np.logspace(0.5, -1.5, dimension)
    features = with_bias(torch.from_numpy(features @ rotation)).float()
    labels = torch.from_numpy(rng.integers(4, size=count))
    empty = torch.empty(0, dimension + 1)
    posterior = fit_posterior(torch.zeros(4, dimension + 1), empty, likelihood, 1.0)
    weights = []
    for row, label in zip(features, labels, strict=True):
        weights.append(curvature(posterior.logits(row[None])[0], likelihood).item())
        posterior = second_order(posterior, row[None], label[None], gamma=0.1).posterior
    expected = inverse_covariance(features.double().numpy(), np.array(weights), 1.0)
    error = np.abs(posterior.covariance.double().numpy() - expected).max()
    assert error < 1e-4 * np.abs(expected).max()
    assert torch.linalg.eigvalsh(posterior.covariance.double()).min() > 0


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_without_instances_the_posterior_is_the_prior(likelihood):
    """And learns from there as from any other one."""
    mean, none = torch.zeros(3, 5, dtype=torch.float64), torch.zeros(0, 5, dtype=torch.float64)
    prior = laplace_posterior(mean, none, likelihood, 4.0)
    wanted = torch.eye(5, dtype=torch.float64) / 4
    for covariance in prior.covariance_matrices():
        assert torch.equal(covariance, wanted)
    row, label = torch.ones(1, 5, dtype=torch.float64), torch.tensor([1])
    updated = update_rule("map").update(prior, row, label, gamma=1.0).posterior
    assert updated.logits(row).argmax() == 1
