"""What holds for every update: symmetries, accumulation, and its dual form for many batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from torch import Tensor

from alupdate.laplace.names import Likelihood
from alupdate.laplace.posterior import LastLayerPosterior
from alupdate.laplace.rules import mean_changes
from tests.support import references_updates as reference
from tests.support.update_problems import (
    COMBINATIONS,
    Problem,
    combinations,
    dense,
    gammas,
    make_problem,
    problems,
    small_rule,
    steady,
)

DETERMINISTIC = [pair for pair in COMBINATIONS if pair[0] != "monte_carlo"]


def updated(
    problem: Problem, name: str, likelihood: Likelihood, gamma: float
) -> LastLayerPosterior:
    rule = small_rule(name)
    posterior = problem.posterior(likelihood)
    return rule.update(posterior, problem.features, problem.labels, gamma).posterior


@steady
@given(problems, gammas)
def test_first_order_is_the_plain_loop(problem: Problem, gamma: float) -> None:
    expected = reference.first_order(
        problem.mean.numpy(), problem.features.numpy(), problem.labels.numpy(), gamma
    )
    got = updated(problem, "first_order", "gaussian", gamma).mean
    np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-7)


@steady
@given(problems, combinations, gammas)
def test_moved_logits_are_those_of_the_new_weights(
    problem: Problem, combination: tuple[str, Likelihood], gamma: float
) -> None:
    name, likelihood = combination
    posterior = problem.posterior(likelihood)
    update = small_rule(name).update(posterior, problem.features, problem.labels, gamma)
    moved = update.new_logits(posterior.logits(problem.points), problem.points)
    torch.testing.assert_close(moved, update.posterior.logits(problem.points), rtol=1e-8, atol=1e-7)


@pytest.mark.parametrize(("name", "likelihood"), COMBINATIONS)
def test_many_hypothetical_batches_equal_real_updates(name: str, likelihood: Likelihood) -> None:
    """The coefficients that look-ahead uses."""
    problem = make_problem(size=12)
    posterior, rule = problem.posterior(likelihood), small_rule(name)
    batches = torch.tensor([[0, 5, 2], [7, 1, 11], [3, 4, 6]])
    rows, labels = problem.features[batches], problem.labels[batches]
    directions = rule.directions(posterior, problem.features)[:, batches]
    gram = (directions @ rows.mT).transpose(0, 1)
    coefficients = rule.coefficients(
        posterior, gram, posterior.logits(problem.features)[batches], labels, 1.5
    )
    changes = mean_changes(directions, coefficients)
    for m in range(3):
        mean = rule.update(posterior, rows[m], labels[m], 1.5).posterior.mean
        if name == "monte_carlo":
            # A look-ahead draws fewer numbers per hypothesis, hence others.
            assert float((posterior.mean + changes[m] - mean).abs().max()) < 0.5
        else:
            torch.testing.assert_close(posterior.mean + changes[m], mean, atol=1e-6, rtol=0)


def permuted(problem: Problem, order: Tensor) -> Problem:
    """Class c is renamed to the position of c in the order."""
    return replace(problem, mean=problem.mean[order], labels=torch.argsort(order)[problem.labels])


@pytest.mark.parametrize(("name", "likelihood"), DETERMINISTIC)
@pytest.mark.parametrize("seed", range(3))
def test_renaming_the_classes_renames_the_answer(
    name: str, likelihood: Likelihood, seed: int
) -> None:
    problem, order = make_problem(seed, classes=4), torch.tensor([2, 0, 3, 1])
    plain = updated(problem, name, likelihood, 1.0)
    renamed = updated(permuted(problem, order), name, likelihood, 1.0)
    torch.testing.assert_close(renamed.mean, plain.mean[order], atol=1e-6, rtol=0)
    expected = dense(plain)[order] if len(dense(plain)) > 1 else dense(plain)
    torch.testing.assert_close(dense(renamed), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("name", "likelihood"), DETERMINISTIC)
@pytest.mark.parametrize("seed", range(3))
def test_rotating_the_features_rotates_the_answer(
    name: str, likelihood: Likelihood, seed: int
) -> None:
    problem = make_problem(seed)
    rotation = torch.linalg.qr(make_problem(seed + 50, n_old=5).old).Q
    rotated = replace(
        problem,
        mean=problem.mean @ rotation,
        old=problem.old @ rotation,
        features=problem.features @ rotation,
    )
    plain, turned = (updated(p, name, likelihood, 1.0) for p in (problem, rotated))
    torch.testing.assert_close(turned.mean, plain.mean @ rotation, atol=1e-6, rtol=0)
    torch.testing.assert_close(
        dense(turned), rotation.T @ dense(plain) @ rotation, atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("name", ["first_order", "second_order", "map", "monte_carlo"])
def test_the_gaussian_covariance_ignores_the_order_of_labels(name: str) -> None:
    problem = make_problem(size=6)
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    shuffled = replace(problem, features=problem.features[order], labels=problem.labels[order])
    torch.testing.assert_close(
        dense(updated(problem, name, "gaussian", 1.0)),
        dense(updated(shuffled, name, "gaussian", 1.0)),
    )
    together = replace(problem, old=torch.cat([problem.old, problem.features]))
    np.testing.assert_allclose(
        dense(updated(problem, name, "gaussian", 1.0))[0], together.covariances("gaussian")[0]
    )


@pytest.mark.parametrize(("name", "likelihood"), DETERMINISTIC)
def test_a_vanishing_step_leaves_the_weights(name: str, likelihood: Likelihood) -> None:
    problem = make_problem()
    mean = updated(problem, name, likelihood, 1e-12).mean
    torch.testing.assert_close(mean, problem.mean, atol=1e-8, rtol=0)


@pytest.mark.parametrize("name", ["second_order", "monte_carlo"])
def test_refuses_a_covariance_per_class(name: str) -> None:
    problem, rule = make_problem(), small_rule(name)
    posterior = problem.posterior("per_class")
    with pytest.raises(ValueError, match="per_class"):
        rule.update(posterior, problem.features, problem.labels, 1.0)
    gram, logits = torch.eye(4).expand(1, 3, 4, 4), torch.zeros(1, 4, 3)
    with pytest.raises(ValueError, match="per_class"):
        rule.coefficients(posterior, gram, logits, problem.labels[None], 1.0)


@pytest.mark.parametrize(("name", "likelihood"), COMBINATIONS)
def test_the_same_arguments_give_the_same_answer(name: str, likelihood: Likelihood) -> None:
    problem = make_problem()
    before = dense(problem.posterior(likelihood)).clone()
    first, second = (updated(problem, name, likelihood, 2.0) for _ in range(2))
    assert torch.equal(first.mean, second.mean)
    assert torch.equal(dense(problem.posterior(likelihood)), before)
