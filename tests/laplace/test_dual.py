import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.laplace.losses import losses_after_updates, true_loss
from alupdate.laplace.names import Loss
from alupdate.laplace.second_order import update_batches
from tests.support.problems import Problem, make_problem, problems
from tests.support.references import mean_loss, sequential_update


def dual_losses(problem: Problem, batches: torch.Tensor, loss: Loss) -> torch.Tensor:
    """Losses on the problem's points after each batch (M, b) of its instances."""
    posterior, features = problem.posterior, problem.features
    projected = features @ posterior.covariance
    updates = update_batches(
        projected[batches] @ features[batches].mT,
        posterior.logits(features)[batches],
        problem.labels[batches],
        problem.gamma,
        posterior.likelihood,
    )
    return losses_after_updates(
        lambda part: projected @ problem.points[part].T,
        len(projected),
        posterior.logits(problem.points),
        batches,
        problem.gamma * updates.coefficients,
        true_loss(problem.point_labels, loss),
    )


def naive_losses(problem: Problem, batches: torch.Tensor, loss: str) -> list[float]:
    losses = []
    for batch in batches:
        mean, _ = sequential_update(
            problem.posterior.mean.numpy(),
            problem.posterior.covariance.numpy(),
            problem.features[batch].numpy(),
            problem.labels[batch].numpy(),
            problem.gamma,
            problem.posterior.likelihood,
        )
        losses.append(mean_loss(mean, problem.points.numpy(), problem.point_labels.numpy(), loss))
    return losses


@given(problems, st.integers(0, 10**6), st.sampled_from(["nll", "brier"]))
def test_losses_equal_those_of_updated_copies(problem, seed, loss):
    rng = np.random.default_rng(seed)
    count = len(problem.features)
    size = int(rng.integers(1, count + 1))
    batches = torch.from_numpy(np.stack([rng.permutation(count)[:size] for _ in range(4)]))
    np.testing.assert_allclose(
        dual_losses(problem, batches, loss), naive_losses(problem, batches, loss), rtol=1e-9
    )


def test_error_counts_wrong_predictions():
    problem = make_problem(5, 4, 3, 6, 1.0, "categorical")
    batches = torch.tensor([[0, 1, 2], [3, 4, 5]])
    assert dual_losses(problem, batches, "error").tolist() == pytest.approx(
        naive_losses(problem, batches, "error")
    )


@given(st.integers(0, 10**6))
def test_two_copies_of_one_instance_are_two_observations(seed):
    problem = make_problem(seed, 4, 3, 1, 1.0, "gaussian")
    problem = Problem(
        problem.posterior,
        problem.features.repeat(2, 1),
        problem.labels.repeat(2),
        problem.points,
        problem.point_labels,
        problem.gamma,
    )
    batches = torch.tensor([[0, 1]])
    np.testing.assert_allclose(
        dual_losses(problem, batches, "nll"), naive_losses(problem, batches, "nll"), rtol=1e-9
    )


def test_inputs_are_untouched():
    problem = make_problem(1, 5, 3, 4, 2.0, "categorical")
    gram = (problem.features @ problem.features.T)[None]
    logits = problem.posterior.logits(problem.features)[None]
    before = gram.clone(), logits.clone()
    update_batches(gram, logits, problem.labels[None], 2.0, "categorical")
    assert torch.equal(gram, before[0])
    assert torch.equal(logits, before[1])
