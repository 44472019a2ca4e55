"""The covariance's change may be pending: nothing that is asked of the posterior shows it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.laplace import posterior as module
from alupdate.laplace.posterior import Posterior, fit_posterior
from alupdate.laplace.updates import update_rule

DIMENSION, CLASSES = 24, 3


def problem(seed):
    rng = np.random.default_rng(seed)
    features = torch.from_numpy(rng.normal(size=(40, DIMENSION)))
    mean = torch.from_numpy(rng.normal(size=(CLASSES, DIMENSION)))
    return features, torch.from_numpy(rng.integers(CLASSES, size=40)), mean


def updated(likelihood, rule, sizes, seed):
    """The posterior after updates with batches of the given sizes, one after the other."""
    features, labels, mean = problem(seed)
    posterior = fit_posterior(mean, features[:6], likelihood, 0.5)
    start, pending = 6, []
    for size in sizes:
        part = slice(start, start + size)
        posterior = update_rule(rule).update(posterior, features[part], labels[part], 0.8).posterior
        pending.append(0 if posterior.pending is None else len(posterior.pending))
        start += size
    return posterior, pending


@pytest.mark.parametrize("rule", ["first_order", "second_order", "map"])
@pytest.mark.parametrize("likelihood", ["gaussian", "categorical"])
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=8), seed=st.integers(0, 10**6))
def test_pending_rows_change_nothing(rule, likelihood, sizes, seed):
    lazy, _ = updated(likelihood, rule, sizes, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PENDING_SHARE", 10**9)
        eager, pending = updated(likelihood, rule, sizes, seed)
    assert pending == [0] * len(sizes)
    points = problem(seed + 1)[0]
    torch.testing.assert_close(lazy.mean, eager.mean)
    torch.testing.assert_close(lazy.covariance, eager.covariance)
    torch.testing.assert_close(lazy.project(points), eager.project(points))
    torch.testing.assert_close(lazy.variances(points), eager.variances(points))


def test_the_covariance_is_the_inverse_of_the_precision():
    posterior, pending = updated("gaussian", "second_order", (1, 1, 1), 0)
    assert pending == [1, 2, 3]
    seen = problem(0)[0][:9]
    precision = 0.5 * torch.eye(DIMENSION, dtype=torch.float64) + seen.T @ seen
    torch.testing.assert_close(posterior.covariance, torch.linalg.inv(precision))


def test_rows_are_written_out_when_there_are_many():
    _, pending = updated("gaussian", "second_order", (1, 1, 1, 1, 1, 4, 2), 0)
    assert pending == [1, 2, 3, 0, 1, 0, 2]
    plain = Posterior(*(torch.eye(3), torch.eye(3)), "gaussian")
    assert plain.covariance is plain.base
