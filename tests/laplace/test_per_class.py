"""The per-class posterior: both of its forms against the naive inverse, and their memory."""

import numpy as np
import pytest
import torch
from hypothesis import given

from alupdate.laplace.map import map_update
from alupdate.laplace.per_class import (
    DenseCovariances,
    LowRankCovariances,
    PerClassPosterior,
    fit_per_class,
)
from tests.support.memory import peak_mebibytes
from tests.support.update_problems import Problem, dense, make_problem, problems, steady


def low_rank(problem: Problem) -> PerClassPosterior:
    return fit_per_class(problem.mean, problem.old, problem.prior, dense_bytes=0)


@steady
@given(problems)
def test_both_forms_are_the_naive_inverse(problem: Problem) -> None:
    expected = problem.covariances("per_class")
    for posterior in (problem.posterior("per_class"), low_rank(problem)):
        np.testing.assert_allclose(dense(posterior), expected, atol=1e-9)
        variances = np.einsum("td,cde,te->tc", problem.points, expected, problem.points)
        np.testing.assert_allclose(posterior.variances(problem.points), variances, atol=1e-9)


@steady
@given(problems)
def test_both_forms_observe_alike(problem: Problem) -> None:
    first = fit_per_class(problem.mean, problem.old, problem.prior)
    second = low_rank(problem)
    for rows in (problem.features, problem.points):
        first, second = (observe(p, rows) for p in (first, second))
    everything = torch.cat([problem.old, problem.features, problem.points])
    expected = fit_per_class(problem.mean, everything, problem.prior)
    torch.testing.assert_close(dense(first), dense(expected), atol=1e-8, rtol=1e-6)
    torch.testing.assert_close(dense(second), dense(expected), atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize(
    ("n_old", "dense_bytes", "form"),
    [
        (3, 2**30, LowRankCovariances),
        (5, 2**30, DenseCovariances),
        (5, 0, LowRankCovariances),
        (9, 0, DenseCovariances),
    ],
)
def test_the_form_is_chosen_by_size(n_old: int, dense_bytes: int, form: type) -> None:
    problem = make_problem(dimension=9, n_old=n_old)
    posterior = fit_per_class(problem.mean, problem.old, 1.0, dense_bytes=dense_bytes)
    assert isinstance(posterior.covariances, form)


def test_a_low_rank_posterior_becomes_dense_once_that_is_smaller() -> None:
    problem = make_problem(dimension=9, n_old=3)
    posterior = fit_per_class(problem.mean, problem.old, 1.0)
    weights = torch.full((6, len(problem.mean)), 0.2, dtype=problem.mean.dtype)
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 9))).to(problem.mean)
    few = posterior.covariances.conditioned(rows[:5], weights[:5])
    many = posterior.covariances.conditioned(rows, weights)
    assert isinstance(few, LowRankCovariances)
    assert isinstance(many, DenseCovariances)
    last = few.conditioned(rows[5:], weights[5:])
    assert isinstance(last, DenseCovariances)
    torch.testing.assert_close(many.matrices, last.matrices)


def test_saturated_logits_stay_finite() -> None:
    problem = make_problem()
    posterior = fit_per_class(1e4 * problem.mean.float(), problem.old.float(), 1.0)
    updated = map_update(posterior, problem.features.float(), problem.labels, 1.0).posterior
    assert torch.isfinite(updated.mean).all()
    assert torch.isfinite(dense(updated)).all()


@pytest.mark.parametrize("dense_bytes", [0, 2**30])
def test_thousands_of_observations_survive_float32(dense_bytes: int) -> None:
    rng = np.random.default_rng(0)
    count = 3000 if dense_bytes else 200
    mean, rows = rng.normal(size=(3, 40)) / 8, rng.normal(size=(count, 40))
    start = torch.from_numpy(rows[:20])
    exact = fit_per_class(torch.from_numpy(mean), torch.from_numpy(rows), 1.0)
    posterior = fit_per_class(
        torch.from_numpy(mean).float(), start.float(), 1.0, dense_bytes=dense_bytes
    )
    for row in rows[20:]:
        posterior = observe(posterior, torch.from_numpy(row[None]).float())
    points = torch.from_numpy(rng.normal(size=(50, 40)))
    torch.testing.assert_close(
        posterior.variances(points.float()).double(), exact.variances(points), rtol=2e-3, atol=1e-5
    )


def test_a_thousand_classes_stay_under_two_gigabytes() -> None:
    """Dense, the covariances alone would take 6.5 GB."""
    peak = peak_mebibytes("""
        import torch
        from alupdate.laplace.per_class import fit_per_class
        from alupdate.laplace.map import map_update
        random = torch.Generator().manual_seed(0)
        rows = torch.randn(250, 1280, generator=random)
        posterior = fit_per_class(0.02 * torch.randn(1000, 1280, generator=random), rows, 1.0)
        new = torch.randn(10, 1280, generator=random)
        updated = map_update(posterior, new, torch.arange(10), 1.0)
        assert torch.isfinite(updated.posterior.variances(new)).all()
    """)
    assert peak < 2000


def observe(posterior, rows):
    weights = posterior.curvatures(posterior.logits(rows))
    return posterior.conditioned(posterior.mean, rows, weights)
