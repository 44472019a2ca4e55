"""Layers that are trained at once are those that are trained one by one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alupdate.config import PosteriorConfig, TrainingConfig
from alupdate.models import many_trainings
from alupdate.models.learner import LearnerSettings, Retraining, on_device, train_last_layer
from alupdate.models.many_trainings import Heads, train_by_replays, train_heads
from alupdate.models.training import Recipe, train_linear
from tests.support.pretend_device import pretend_device

RECIPE = Recipe(learning_rate=0.05, weight_decay=1e-2, epochs=12, minibatch=5)


def problem(seed, count, layers, dimension=4, classes=3, dtype=torch.float64):
    """Layers of ``count`` instances each, of 30."""
    rng = np.random.default_rng(seed)
    features = torch.from_numpy(rng.normal(size=(30, dimension))).to(dtype)
    positions = np.stack([rng.permutation(30)[:count] for _ in range(layers)])
    return Heads(
        torch.from_numpy(rng.normal(size=(classes, dimension))).to(dtype),
        features,
        torch.from_numpy(rng.integers(classes, size=30)),
        torch.from_numpy(positions),
    )


def one_by_one(heads, recipe):
    return torch.stack(
        [
            train_linear(
                heads.start,
                heads.features[places],
                heads.labels[places],
                recipe,
                np.random.default_rng(7),
            )
            for places in heads.positions
        ]
    )


@pytest.mark.parametrize("train", [train_heads, train_by_replays])
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 13), layers=st.integers(1, 5))
def test_layers_trained_at_once_are_those_trained_one_by_one(train, seed, count, layers):
    """Also where the last minibatch of an epoch, or the only one, is not full."""
    heads = problem(seed, count, layers)
    found = train(heads, RECIPE, np.random.default_rng(7))
    torch.testing.assert_close(found, one_by_one(heads, RECIPE), rtol=1e-9, atol=1e-9)


def test_the_start_stays_as_it_is():
    heads = problem(0, 8, 2)
    before = heads.start.clone()
    for train in (train_heads, train_by_replays):
        train(heads, RECIPE, np.random.default_rng(0))
        assert torch.equal(heads.start, before)


def test_groups_are_of_a_size_and_change_nothing(monkeypatch):
    heads = problem(1, 8, 5)
    whole = train_heads(heads, RECIPE, np.random.default_rng(7))
    assert [len(group.positions) for group in heads.groups(5)] == [5]
    monkeypatch.setattr(many_trainings, "CPU_STEP_NUMBERS", 2 * 4 * (5 + 4 * 3))
    groups = list(heads.groups(5))
    assert [len(group.positions) for group in groups] == [2, 2, 1]
    parts = [train_heads(group, RECIPE, np.random.default_rng(7)) for group in groups]
    torch.testing.assert_close(torch.cat(parts), whole)


@pytest.mark.parametrize("solver", ["recipe", "lbfgs"])
def test_each_retraining_is_that_of_the_run(solver):
    heads = problem(2, 9, 3)
    chosen = LearnerSettings(TrainingConfig(solver=solver, epochs=9), PosteriorConfig(), seed=4)
    retrain = Retraining(3, chosen, cycle=2)
    data = heads.features, heads.labels
    for places, found in zip(heads.positions, retrain.each(*data, heads.positions), strict=True):
        rows = (part[places] for part in data)
        expected = train_last_layer(*rows, 3, chosen, cycle=2)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
        assert torch.equal(retrain(*(part[places] for part in data)), expected)


@pytest.mark.cuda
@pytest.mark.parametrize("layers", [1, 4])
def test_a_recorded_step_trains_as_one_that_is_not(layers):
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here")
    heads = problem(3, 13, layers)
    there = on_device(heads, torch.device("cuda"))
    found = train_heads(there, RECIPE, np.random.default_rng(7))
    torch.testing.assert_close(found.cpu(), one_by_one(heads, RECIPE), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("train", [train_heads, train_by_replays])
def test_all_of_a_training_is_on_its_device(train):
    heads = problem(4, 13, 3)
    with pretend_device() as device:
        found = train(on_device(heads, device), RECIPE, np.random.default_rng(7))
        assert found.device == device
        torch.testing.assert_close(found.cpu(), train(heads, RECIPE, np.random.default_rng(7)))
