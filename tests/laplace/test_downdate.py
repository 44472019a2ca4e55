"""Downdates: covariances against recomputation without the labels, and what a mean can do."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.laplace.downdate import downdate, map_downdate
from alupdate.laplace.map import map_update
from alupdate.laplace.names import Likelihood
from alupdate.laplace.per_class import (
    DenseCovariances,
    LowRankCovariances,
    PerClassPosterior,
    fit_per_class,
)
from alupdate.laplace.posterior import LastLayerPosterior, Posterior
from alupdate.laplace.second_order import second_order
from tests.support.references import inverse_covariance
from tests.support.update_problems import Problem, dense, gammas, likelihoods, problems, steady

WEIGHTS = st.floats(0, 1)


def forms(problem: Problem) -> list[LastLayerPosterior]:
    """A posterior of each form that covariances have, the pending one included."""
    new, labels = problem.points[:1], problem.labels[:1]
    return [
        map_update(problem.posterior("gaussian"), new, labels, 1.0).posterior,
        problem.posterior("per_class"),
        fit_per_class(problem.mean, problem.old, problem.prior, dense_bytes=0),
    ]


@steady
@given(problems, st.integers(0, 2**32 - 1), WEIGHTS)
def test_covariances_are_those_without_the_instances(
    problem: Problem, seed: int, largest: float
) -> None:
    """Some of the added instances go, in another order than they came."""
    rng = np.random.default_rng(seed)
    for before in forms(problem):
        kinds, rows = before.variances(problem.points).shape[1], problem.points
        weights = torch.from_numpy(rng.uniform(0, largest, size=(len(rows), kinds)))
        order = torch.from_numpy(rng.permutation(len(rows)))
        out, left = order[: len(rows) // 2], order[len(rows) // 2 :]
        after = before.conditioned(before.mean, rows, weights)
        after = downdate(after, rows[out[:1]], weights[out[:1]])
        after = downdate(after, rows[out[1:]], weights[out[1:]]) if len(out) > 1 else after
        expected = before.conditioned(before.mean, rows[left], weights[left])
        if len(out):
            torch.testing.assert_close(dense(after), dense(expected), atol=1e-8, rtol=1e-6)
            assert after.mean is before.mean


@steady
@given(problems)
def test_what_was_fitted_can_go(problem: Problem) -> None:
    """Without its first instance the posterior is the naive inverse of the others' precision."""
    for likelihood in ("gaussian", "categorical", "per_class"):
        posterior = problem.posterior(likelihood)
        weights = posterior.curvatures(posterior.logits(problem.old))
        after = downdate(posterior, problem.old[:1], weights[:1])
        for matrix, column in zip(dense(after), weights.T, strict=True):
            expected = inverse_covariance(
                problem.old[1:].numpy(), column[1:].numpy(), problem.prior
            )
            np.testing.assert_allclose(matrix, expected, atol=1e-8)


@steady
@given(problems, likelihoods, gammas)
def test_the_last_map_update_is_taken_back(
    problem: Problem, likelihood: Likelihood, gamma: float
) -> None:
    before = problem.posterior(likelihood)
    result = map_update(before, problem.features, problem.labels, gamma)
    after = map_downdate(
        result.posterior, problem.features, problem.labels, result.added_precision, gamma
    )
    torch.testing.assert_close(dense(after), dense(before), atol=1e-8, rtol=1e-6)
    torch.testing.assert_close(after.mean, before.mean, atol=1e-4 * gamma, rtol=1e-4)


def drawn(seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    centres, labels = rng.normal(size=(3, 6)), rng.integers(3, size=count)
    rows = centres[labels] + rng.normal(size=(count, 6))
    return torch.from_numpy(rows), torch.from_numpy(labels)


@pytest.mark.parametrize("seed", range(5))
def test_an_earlier_label_leaves_nearly_the_mode_of_the_others(seed: int) -> None:
    """The step has the Hessian's class blocks only; solving again for the others is exact."""
    rows, labels = drawn(seed, 40)
    identity = torch.eye(6, dtype=torch.float64).repeat(3, 1, 1)
    prior = PerClassPosterior(rows.new_zeros(3, 6), DenseCovariances(identity))
    result = map_update(prior, rows, labels, 1.0)
    after = map_downdate(result.posterior, rows[:1], labels[:1], result.added_precision[:1])
    anew = map_update(prior, rows[1:], labels[1:], 1.0).posterior
    kept = (result.posterior.mean - anew.mean).norm()
    assert (after.mean - anew.mean).norm() < 0.6 * kept


def test_second_order_steps_depend_on_the_order_of_labels() -> None:
    """The covariance is that of the others; the mean is not, whatever step is subtracted."""
    rows, labels = drawn(0, 12)
    before = Posterior(rows.new_zeros(3, 6), torch.eye(6, dtype=torch.float64), "gaussian")
    first = second_order(before, rows[:1], labels[:1], 1.0)
    both = second_order(first.posterior, rows[1:], labels[1:], 1.0)
    others = second_order(before, rows[1:], labels[1:], 1.0).posterior
    after = downdate(both.posterior, rows[:1], first.added_precision)
    torch.testing.assert_close(after.covariance, others.covariance)
    own = first.coefficients.T @ first.directions
    assert (after.mean - own - others.mean).norm() > 0.05 * own.norm()
    undone = both.posterior.mean - both.coefficients.T @ both.directions
    torch.testing.assert_close(undone, first.posterior.mean)


def starts(kind: str, size: int) -> LastLayerPosterior:
    mean, none = torch.zeros(3, size), torch.zeros(0, size)
    if kind == "low rank":
        return PerClassPosterior(mean, LowRankCovariances(none, torch.zeros(3, 0, 0), 1.0))
    if kind == "per class":
        return PerClassPosterior(mean, DenseCovariances(torch.eye(size).repeat(3, 1, 1)))
    return Posterior(mean, torch.eye(size), "gaussian" if kind == "gaussian" else "categorical")


@pytest.mark.parametrize("kind", ["gaussian", "categorical", "per class", "low rank"])
@pytest.mark.parametrize("seed", range(2))
def test_a_thousand_adds_and_removals_in_float32_end_at_recomputation(kind: str, seed: int) -> None:
    rng, size = np.random.default_rng(seed), 16
    posterior = starts(kind, size)
    kinds, present = len(posterior.covariance_matrices()), list[tuple[torch.Tensor, torch.Tensor]]()
    for _ in range(1000):
        if present and rng.random() < len(present) / 24:
            row, weight = present.pop(rng.integers(len(present)))
            posterior = downdate(posterior, row, weight)
        else:
            row = torch.from_numpy(rng.normal(size=(1, size)) / 2).float()
            weight = torch.from_numpy(rng.uniform(0, 0.25, size=(1, kinds))).float()
            weight = torch.ones(1, 1) if kind == "gaussian" else weight
            posterior = posterior.conditioned(posterior.mean, row, weight)
            present.append((row, weight))
    rows, weights = (torch.cat(part).double().numpy() for part in zip(*present, strict=True))
    assert 4 < len(rows) < 24
    assert dense(posterior).dtype == torch.float32
    for matrix, column in zip(dense(posterior), weights.T, strict=True):
        assert np.abs(matrix.numpy() - inverse_covariance(rows, column, 1.0)).max() < 1e-4


def test_what_float32_does_not_tell_is_refused() -> None:
    """The first of very long instances leaves less than the rounding error of its precision."""
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 1000)))
    some, identity = torch.ones(2, 1).double(), torch.eye(1000).double()
    before = Posterior(rows.new_zeros(3, 1000), identity, "gaussian")
    after = downdate(before.conditioned(before.mean, rows, some), rows, some)
    torch.testing.assert_close(after.covariance, before.covariance, atol=1e-8, rtol=0)
    short = Posterior(before.mean.float(), identity.float(), "gaussian")
    short = short.conditioned(short.mean, rows.float(), some.float())
    with pytest.raises(ValueError, match=r"or torch.float32 does not tell; .*torch.float64"):
        downdate(short, rows.float(), some.float())


def test_what_was_not_observed_is_refused() -> None:
    for kind in ("gaussian", "categorical", "per class", "low rank"):
        posterior = starts(kind, 5)
        kinds = len(posterior.covariance_matrices())
        rows, some = torch.eye(5)[:2], torch.ones(1, kinds) / 4
        posterior = posterior.conditioned(posterior.mean, rows[:1], some)
        with pytest.raises(ValueError, match="instance in row 0 cannot be removed: without it"):
            downdate(posterior, rows[1:], torch.ones(1, kinds))
        with pytest.raises(ValueError, match="instance in row 1 cannot be removed: without it"):
            downdate(posterior, rows[[0, 0]], torch.cat([some, 4 * some]))
        with pytest.raises(ValueError, match="instance in row 0 cannot be removed: without it"):
            map_downdate(posterior, rows[1:], torch.tensor([0]), torch.ones(1, kinds))
        rest = downdate(posterior, rows[:1], some)
        torch.testing.assert_close(dense(rest), dense(starts(kind, 5)))


@pytest.mark.parametrize(
    ("weights", "complaint"),
    [
        (torch.ones(1), r"weights are \(1,\): they must be \(b, K\) = \(1, 1\), a finite number"),
        (1.0, "weights are float: they must be"),
        (torch.ones(1, 1).double(), "weights are torch.float64 on cpu, and features torch.float32"),
        (-torch.ones(1, 1), "weights hold negative, NaN or infinite values"),
        (torch.full((1, 1), torch.nan), "weights hold negative, NaN or infinite values"),
    ],
)
def test_weights_that_no_instance_can_have_are_refused(weights: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        downdate(starts("gaussian", 5), torch.eye(5)[:1], weights)  # type: ignore[arg-type]
