"""Predictive probabilities against quadrature and large samples."""

import numpy as np
import pytest
import torch

from alupdate.laplace.names import Likelihood
from alupdate.laplace.predictive import mean_field, monte_carlo_predictive, predict
from tests.support import references_updates as reference
from tests.support.update_problems import make_problem

LIKELIHOODS = ["gaussian", "categorical", "per_class"]


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_sampling_agrees_with_quadrature_for_two_classes(likelihood: Likelihood) -> None:
    problem = make_problem(classes=2)
    posterior = problem.posterior(likelihood)
    got = monte_carlo_predictive(posterior, problem.points, 200_000, np.random.default_rng(0))
    covariances = problem.covariances(likelihood)
    for phi, probability in zip(problem.points.numpy(), got[:, 1], strict=True):
        difference = float((problem.mean[1] - problem.mean[0]).numpy() @ phi)
        variance = float(phi @ (covariances[0] + covariances[1]) @ phi)
        expected = reference.two_class_integral(difference, variance)
        assert float(probability) == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_sampling_agrees_with_whole_weight_matrices(likelihood: Likelihood) -> None:
    problem = make_problem(classes=4)
    posterior = problem.posterior(likelihood)
    got = monte_carlo_predictive(posterior, problem.points, 200_000, np.random.default_rng(0))
    factors = np.linalg.cholesky(problem.covariances(likelihood))
    normals = np.random.default_rng(1).normal(size=(100_000, 4, 5))
    weights = problem.mean.numpy() + np.einsum("cde,sce->scd", factors, normals)
    sampled = torch.from_numpy(problem.points.numpy() @ weights.swapaxes(1, 2))
    torch.testing.assert_close(got, torch.softmax(sampled, dim=2).mean(dim=0), atol=8e-3, rtol=0)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_mean_field_scales_each_logit_by_its_variance(likelihood: Likelihood) -> None:
    problem = make_problem()
    logits = (problem.points @ problem.mean.T).numpy()
    covariances = problem.covariances(likelihood)
    for t, phi in enumerate(problem.points.numpy()):
        for c in range(3):
            logits[t, c] /= np.sqrt(1 + np.pi / 8 * phi @ covariances[c] @ phi)
    got = mean_field(problem.posterior(likelihood), problem.points)
    torch.testing.assert_close(got, torch.softmax(torch.from_numpy(logits), dim=1))


def test_mean_field_is_near_the_integral_where_one_logit_is_uncertain() -> None:
    """MacKay's formula for sigmoid(f), f ~ N(m, v), is off by at most 0.02."""
    for mean in np.linspace(-4, 4, 9):
        for variance in (0.1, 1.0, 10.0):
            approximate = 1 / (1 + np.exp(-mean / np.sqrt(1 + np.pi / 8 * variance)))
            assert abs(approximate - reference.two_class_integral(mean, variance)) < 0.02


def test_every_predictive_is_a_distribution_and_map_is_the_softmax() -> None:
    problem = make_problem()
    posterior, rng = problem.posterior("gaussian"), np.random.default_rng(0)
    plain = predict(posterior, problem.points, "map", rng)
    torch.testing.assert_close(plain, torch.softmax(problem.points @ problem.mean.T, dim=1))
    torch.testing.assert_close(
        predict(posterior, problem.points, "mean_field", rng),
        mean_field(posterior, problem.points),
    )
    sampled = predict(posterior, problem.points, "monte_carlo", rng, n_samples=50)
    torch.testing.assert_close(sampled.sum(dim=1), torch.ones(9, dtype=torch.float64))


def test_chunks_do_not_change_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = make_problem()
    posterior = problem.posterior("per_class")
    whole = monte_carlo_predictive(posterior, problem.points, 40, np.random.default_rng(0))
    monkeypatch.setattr("alupdate.laplace.predictive._CHUNK_NUMBERS", 60)
    pieces = monte_carlo_predictive(posterior, problem.points, 40, np.random.default_rng(0))
    torch.testing.assert_close(pieces, whole)
