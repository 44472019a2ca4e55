from dataclasses import replace

import numpy as np
import pytest
import torch

from alupdate.data.pool import Pool
from alupdate.laplace.updates import fit
from alupdate.models.learner import Model, apply_rule, make_rule, step_size, updated_model
from tests.results.test_store import config


@pytest.fixture
def model():
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.normal(size=(40, 5)))
    mean = torch.from_numpy(rng.normal(size=(3, 5)))
    return Model(features, features[:4], fit(mean, features[:12], "gaussian", 1.0))


@pytest.fixture
def pool():
    labels = np.random.default_rng(1).integers(3, size=12)
    return Pool.unlabelled(40).label(np.arange(12), labels)


def with_gamma(gamma):
    base = config()
    return replace(base, update=replace(base.update, gamma=gamma))


def test_a_configured_step_size_is_taken_as_it_is(model, pool):
    rule = make_rule("map", with_gamma(3.0).update, 0)
    assert step_size(rule, model, pool, 5, with_gamma(3.0), 1) == 3.0


@pytest.mark.parametrize("name", ["second_order", "map"])
def test_the_automatic_step_size_depends_on_labels_and_seed_alone(name, model, pool):
    settings = with_gamma("auto")
    rule = make_rule(name, settings.update, 0)
    first, again = (step_size(rule, model, pool, 5, settings, 1) for _ in range(2))
    assert first == again
    assert 0.1 <= first <= 100
    disguised = replace(model, test=torch.full((4, 5), torch.nan, dtype=torch.float64))
    assert step_size(rule, disguised, pool, 5, settings, 1) == first


@pytest.mark.parametrize("name", ["first_order", "second_order", "map", "monte_carlo"])
def test_an_updated_model_keeps_its_features_and_changes_its_posterior(name, model):
    rule = make_rule(name, replace(config().update, n_hypotheses=100), 0)
    indices, labels = np.array([20, 30]), np.array([0, 2])
    after = updated_model(rule, model, indices, labels, 1.0)
    assert after.pool is model.pool
    outcome = apply_rule(rule, model, indices, labels, 1.0)
    torch.testing.assert_close(after.posterior.mean, outcome.posterior.mean)
    assert not torch.equal(after.posterior.mean, model.posterior.mean)
