from dataclasses import replace

import numpy as np
import pytest
import torch

from alupdate.config import PosteriorConfig, TrainingConfig
from alupdate.data.pool import Pool
from alupdate.laplace.step_size import N_SPLITS, choose_gamma
from alupdate.laplace.updates import fit, update_rule
from alupdate.models import learner
from alupdate.models.learner import (
    LearnerSettings,
    Model,
    apply_rule,
    make_rule,
    posterior_of,
    step_size,
    train_last_layer,
    updated_model,
)
from alupdate.utils.seeds import Stream, generator


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


SETTINGS = LearnerSettings(TrainingConfig(), PosteriorConfig(), seed=0)


def test_a_configured_step_size_is_taken_as_it_is(model, pool):
    assert step_size(3.0, update_rule("map"), model, pool, 5, SETTINGS, 1) == 3.0


@pytest.mark.parametrize("name", ["second_order", "map"])
def test_the_automatic_step_size_depends_on_labels_and_seed_alone(name, model, pool):
    rule = update_rule(name)
    first, again = (step_size("auto", rule, model, pool, 5, SETTINGS, 1) for _ in range(2))
    assert first == again
    assert 0.1 <= first <= 100
    disguised = replace(model, test=torch.full((4, 5), torch.nan, dtype=torch.float64))
    assert step_size("auto", rule, disguised, pool, 5, SETTINGS, 1) == first


@pytest.mark.parametrize("solver", ["recipe", "lbfgs"])
def test_every_split_trains_as_the_learner_does(solver, model, pool):
    settings = replace(SETTINGS, training=TrainingConfig(solver=solver))
    rows, labels = model.pool[:12], torch.from_numpy(pool.labels)

    def one_by_one(positions):
        for some in positions:
            weights = train_last_layer(rows[some], labels[some], 3, settings, 1)
            yield posterior_of(weights, rows[some], settings.posterior)

    rule, rng = update_rule("second_order"), generator(0, Stream.STEP_SIZE, 1)
    expected = choose_gamma(rule, one_by_one, rows, labels, 5, rng)
    assert step_size("auto", rule, model, pool, 5, settings, 1) == expected


def test_all_splits_are_trained_together_by_the_recipe(model, pool, monkeypatch):
    together = list[int]()

    def watched(heads, *others):
        together.append(len(heads.positions))
        return train_heads(heads, *others)

    train_heads = learner.train_heads
    monkeypatch.setattr(learner, "train_heads", watched)
    monkeypatch.setattr(learner, "train_last_layer", None)  # nothing trains one of them alone
    step_size("auto", update_rule("map"), model, pool, 5, SETTINGS, 1)
    assert together == [N_SPLITS]


@pytest.mark.parametrize("name", ["first_order", "second_order", "map", "monte_carlo"])
def test_an_updated_model_keeps_its_features_and_changes_its_posterior(name, model):
    rule = make_rule(name, 100, 0)
    indices, labels = np.array([20, 30]), np.array([0, 2])
    after = updated_model(rule, model, indices, labels, 1.0)
    assert after.pool is model.pool
    outcome = apply_rule(rule, model, indices, labels, 1.0)
    torch.testing.assert_close(after.posterior.mean, outcome.posterior.mean)
    assert not torch.equal(after.posterior.mean, model.posterior.mean)
