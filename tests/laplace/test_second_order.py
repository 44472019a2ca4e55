import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.laplace.posterior import Posterior
from alupdate.laplace.second_order import second_order
from tests.support.problems import Problem, make_problem, problems
from tests.support.references import inverse_covariance, sequential_update


def update(problem: Problem) -> Posterior:
    return second_order(
        problem.posterior, problem.features, problem.labels, problem.gamma
    ).posterior


@given(problems)
def test_equals_the_sequential_reference(problem):
    mean, covariance = sequential_update(
        problem.posterior.mean.numpy(),
        problem.posterior.covariance.numpy(),
        problem.features.numpy(),
        problem.labels.numpy(),
        problem.gamma,
        problem.posterior.likelihood,
    )
    updated = update(problem)
    np.testing.assert_allclose(updated.mean, mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(updated.covariance, covariance, rtol=1e-9, atol=1e-9)


@given(problems)
def test_repeated_updates_with_one_label_equal_one_update_with_all(problem):
    posterior = problem.posterior
    for row, label in zip(problem.features, problem.labels, strict=True):
        posterior = second_order(posterior, row[None], label[None], problem.gamma).posterior
    at_once = update(problem)
    np.testing.assert_allclose(posterior.mean, at_once.mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(posterior.covariance, at_once.covariance, rtol=1e-9, atol=1e-9)


@given(st.integers(0, 10**6), st.integers(1, 10))
def test_gaussian_covariance_is_the_exact_inverse_in_any_order(seed, size):
    problem = make_problem(seed, 8, 3, size, 1.0, "gaussian")
    precision = np.linalg.inv(problem.posterior.covariance.numpy())
    precision += problem.features.numpy().T @ problem.features.numpy()
    order = torch.from_numpy(np.random.default_rng(seed).permutation(size))
    shuffled = second_order(
        problem.posterior, problem.features[order], problem.labels[order], problem.gamma
    ).posterior
    for covariance in (update(problem).covariance, shuffled.covariance):
        np.testing.assert_allclose(covariance, np.linalg.inv(precision), rtol=1e-9, atol=1e-9)


@given(problems)
def test_moved_logits_are_those_of_the_new_mean(problem):
    result = second_order(problem.posterior, problem.features, problem.labels, problem.gamma)
    moved = result.new_logits(problem.posterior.logits(problem.points), problem.points)
    expected = result.posterior.logits(problem.points)
    np.testing.assert_allclose(moved, expected, rtol=1e-9, atol=1e-8)


@given(problems)
def test_the_old_posterior_is_untouched(problem):
    mean, covariance = problem.posterior.mean.clone(), problem.posterior.covariance.clone()
    features, labels = problem.features.clone(), problem.labels.clone()
    update(problem)
    assert torch.equal(problem.posterior.mean, mean)
    assert torch.equal(problem.posterior.covariance, covariance)
    assert torch.equal(problem.features, features)
    assert torch.equal(problem.labels, labels)


@given(problems)
def test_a_vanishing_step_leaves_the_mean(problem):
    result = second_order(problem.posterior, problem.features, problem.labels, 1e-14)
    np.testing.assert_allclose(result.posterior.mean, problem.posterior.mean, atol=1e-10)


@given(problems, st.integers(0, 10**6))
def test_permuting_classes_permutes_the_weights(problem, seed):
    classes = problem.posterior.mean.shape[0]
    order = torch.from_numpy(np.random.default_rng(seed).permutation(classes))
    place = torch.argsort(order)
    renamed = Posterior(
        problem.posterior.mean[order], problem.posterior.covariance, problem.posterior.likelihood
    )
    result = second_order(renamed, problem.features, place[problem.labels], problem.gamma)
    np.testing.assert_allclose(result.posterior.mean, update(problem).mean[order], atol=1e-8)


def test_naive_reference_agrees_with_the_textbook_inverse():
    """The reference itself, checked against the definition of the covariance."""
    problem = make_problem(3, 5, 4, 6, 2.0, "gaussian")
    start = inverse_covariance(np.zeros((0, 5)), np.zeros(0), 2.0)
    _, covariance = sequential_update(
        problem.posterior.mean.numpy(),
        start,
        problem.features.numpy(),
        problem.labels.numpy(),
        2.0,
        "gaussian",
    )
    expected = inverse_covariance(problem.features.numpy(), np.ones(6), 2.0)
    assert covariance == pytest.approx(expected, abs=1e-12)
