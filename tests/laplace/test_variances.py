import pytest
import torch
from hypothesis import given

from alupdate.laplace.posterior import variances_after
from alupdate.laplace.updates import fit, update_rule
from tests.support.problems import problems


def check(rule, before, problem, gamma):
    update = rule.update(before, problem.features, problem.labels, gamma)
    refreshed = variances_after(
        before.variances(problem.points),
        problem.points,
        before,
        problem.features,
        update.added_precision,
    )
    torch.testing.assert_close(
        refreshed, update.posterior.variances(problem.points), rtol=1e-7, atol=1e-9
    )


@pytest.mark.parametrize("name", ["first_order", "second_order", "map", "monte_carlo"])
@given(problems)
def test_equals_the_updated_posterior_s_own_variances(name, problem):
    check(update_rule(name, n_hypotheses=20), problem.posterior, problem, problem.gamma)


@pytest.mark.parametrize("name", ["first_order", "map"])
@given(problems)
def test_equals_it_with_a_covariance_per_class(name, problem):
    before = fit(problem.posterior.mean, problem.points, "per_class", 0.7)
    check(update_rule(name), before, problem, 0.5)
