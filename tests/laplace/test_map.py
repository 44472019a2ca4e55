"""The MAP update is the minimiser of its objective, in every form."""

import numpy as np
import pytest
import torch
from hypothesis import given
from scipy.optimize import brentq
from scipy.special import expit

from alupdate.laplace import map as newton
from alupdate.laplace.arrays import NUMPY, TENSORS
from alupdate.laplace.map import map_batches, map_update
from alupdate.laplace.names import Likelihood
from tests.support import references_updates as reference
from tests.support.update_problems import (
    Problem,
    dense,
    gammas,
    likelihoods,
    make_problem,
    problems,
    steady,
)


@steady
@given(problems, likelihoods, gammas)
def test_the_gradient_vanishes_at_the_solution(
    problem: Problem, likelihood: Likelihood, gamma: float
) -> None:
    updated = map_update(problem.posterior(likelihood), problem.features, problem.labels, gamma)
    gradient = reference.map_gradient(
        updated.posterior.mean.numpy(),
        problem.mean.numpy(),
        np.linalg.inv(problem.covariances(likelihood)),
        problem.features.numpy(),
        problem.labels.numpy(),
        gamma,
    )
    assert np.abs(gradient).max() < 1e-5


@pytest.mark.parametrize("likelihood", ["gaussian", "categorical", "per_class"])
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_a_general_minimiser(likelihood: Likelihood, seed: int) -> None:
    problem = make_problem(seed)
    updated = map_update(problem.posterior(likelihood), problem.features, problem.labels, 2.0)
    expected = reference.map_weights(
        problem.mean.numpy(),
        problem.covariances(likelihood),
        problem.features.numpy(),
        problem.labels.numpy(),
        2.0,
    )
    np.testing.assert_allclose(updated.posterior.mean, expected, atol=1e-5)


@steady
@given(problems, gammas)
def test_one_label_and_two_classes_is_a_scalar_equation(problem: Problem, gamma: float) -> None:
    """With shared variance v, the logit difference d solves d = d0 + 2 gamma v sigmoid(-d)."""
    problem = Problem(
        problem.mean[:2],
        problem.old,
        problem.features[:1],
        torch.zeros(1, dtype=torch.int64),
        problem.points,
        problem.prior,
    )
    posterior = problem.posterior("gaussian")
    phi = problem.features[0].numpy()
    start = float((problem.mean[0] - problem.mean[1]).numpy() @ phi)
    gain = 2 * gamma * float(phi @ problem.covariances("gaussian")[0] @ phi)
    root = brentq(lambda d: d - start - gain * expit(-d), start - 1, start + gain + 1, xtol=1e-12)
    mean = map_update(posterior, problem.features, problem.labels, gamma).posterior.mean
    assert float((mean[0] - mean[1]).numpy() @ phi) == pytest.approx(root, abs=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4, 1e8])
@pytest.mark.parametrize("kernels", [1, 6])
def test_the_objective_never_rises_and_extremes_converge(scale: float, kernels: int) -> None:
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(5, kernels, 8, 12))
    logits = 20 * rng.normal(size=(5, 8, 6))
    targets = np.eye(6)[rng.integers(6, size=(5, 8))]
    _, objectives = newton.trace_dual(NUMPY, scale * roots @ roots.swapaxes(2, 3), logits, targets)
    steps = np.diff(np.stack(objectives), axis=0)
    assert (steps <= 1e-12 * (1 + np.abs(objectives[0]))).all()
    assert (objectives[-1] < objectives[0]).all()


def test_refuses_to_return_what_has_not_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = make_problem()
    monkeypatch.setattr(newton, "MAX_NEWTON_STEPS", 1)
    with pytest.raises(RuntimeError, match="did not converge"):
        map_update(problem.posterior("gaussian"), problem.features, problem.labels, 100.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_numbers_that_are_not_finite(value: float) -> None:
    problem = make_problem()
    with pytest.raises((RuntimeError, ValueError)):
        map_update(problem.posterior("gaussian"), problem.features * value, problem.labels, 1.0)


@steady
@given(problems, likelihoods)
def test_a_vanishing_step_leaves_the_weights(problem: Problem, likelihood: Likelihood) -> None:
    posterior = problem.posterior(likelihood)
    updated = map_update(posterior, problem.features, problem.labels, 1e-12)
    torch.testing.assert_close(updated.posterior.mean, posterior.mean, atol=1e-8, rtol=0)


@steady
@given(problems, likelihoods, gammas)
def test_the_covariance_takes_in_the_new_curvature(
    problem: Problem, likelihood: Likelihood, gamma: float
) -> None:
    updated = map_update(problem.posterior(likelihood), problem.features, problem.labels, gamma)
    added = reference.covariances(
        updated.posterior.mean.numpy(), problem.features.numpy(), likelihood, 1e-9
    )
    before = np.linalg.inv(problem.covariances(likelihood))
    expected = np.linalg.inv(before + np.linalg.inv(added) - 1e-9 * np.eye(before.shape[1]))
    got = dense(updated.posterior)
    np.testing.assert_allclose(got, expected[: len(got)], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("likelihood", ["gaussian", "per_class"])
def test_many_batches_at_once_equal_one_at_a_time(
    likelihood: Likelihood, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alupdate.laplace.map._CHUNK_NUMBERS", 3 * 4 * 4 * 2)
    problem = make_problem(size=20)
    posterior = problem.posterior(likelihood)
    rng = np.random.default_rng(1)
    batches = torch.from_numpy(np.stack([rng.permutation(20)[:4] for _ in range(7)]))
    rows, labels = problem.features[batches], problem.labels[batches]
    gram = torch.stack([posterior.project(r) @ r.T for r in rows])
    coefficients = map_batches(
        gram, posterior.logits(rows.flatten(0, 1)).view(7, 4, 3), labels, 3.0
    )
    for m in range(7):
        updated = map_update(posterior, rows[m], labels[m], 3.0).posterior.mean
        change = torch.einsum(
            "bc,cbd->cd", coefficients[m], posterior.project(rows[m]).expand(3, -1, -1)
        )
        torch.testing.assert_close(posterior.mean + change, updated, atol=1e-6, rtol=0)


def test_batches_without_labels_have_no_dual_solution_on_either_device():
    shapes = (2, 1, 0, 0), (2, 0, 3), (2, 0, 3)
    assert newton.solve_dual(NUMPY, *(np.zeros(shape) for shape in shapes)).shape == (2, 0, 3)
    assert newton.solve_dual(TENSORS, *(torch.zeros(shape) for shape in shapes)).shape == (2, 0, 3)
