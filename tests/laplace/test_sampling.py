import numpy as np
import pytest
import torch

from alupdate.laplace.predictive import sample_weights
from alupdate.laplace.updates import fit
from tests.support.problems import make_query


@pytest.mark.parametrize("likelihood", ["gaussian", "categorical", "per_class"])
@pytest.mark.parametrize("labelled", [2, 8])
def test_samples_have_the_posterior_s_mean_and_covariance(likelihood, labelled):
    """20,000 samples, within five standard errors; few labels are kept in low-rank form."""
    query = make_query(dtype=torch.float64)
    posterior = fit(query.posterior.mean, query.labelled_features[:labelled], likelihood, 0.5)
    count = 20_000
    drawn = sample_weights(posterior, count, np.random.default_rng(0))
    assert drawn.shape == (count, 3, 6)
    exact = posterior.project(torch.eye(6, dtype=torch.float64)).expand(3, 6, 6)
    deviations = exact.diagonal(dim1=1, dim2=2).sqrt()
    error = (drawn.mean(dim=0) - posterior.mean).abs() / deviations
    assert float(error.max()) < 5 / count**0.5
    for c in range(3):
        found = torch.cov(drawn[:, c].T)
        scale = torch.outer(deviations[c], deviations[c])
        assert float(((found - exact[c]) / scale).abs().max()) < 5 * 2**0.5 / count**0.5


def test_survives_a_covariance_that_rounding_has_made_singular():
    query = make_query()
    flat = torch.ones(6, 1) @ torch.ones(1, 6)
    posterior = type(query.posterior)(query.posterior.mean, flat, "gaussian")
    assert torch.isfinite(sample_weights(posterior, 10, np.random.default_rng(0))).all()
