"""The temperature: the best one for left-out labels, against a search on a grid."""

import numpy as np
import pytest
import torch

from alupdate.config import PosteriorConfig, TrainingConfig
from alupdate.laplace.inputs import with_bias
from alupdate.laplace.temperature import best_temperature
from alupdate.models.calibration import (
    choose_temperature,
    folds,
    left_out_logits,
)
from alupdate.models.learner import LearnerSettings, train_last_layer
from alupdate.utils.seeds import Stream, generator

SETTINGS = LearnerSettings(TrainingConfig(epochs=20), PosteriorConfig(), seed=0)


def problem(count=60, dimension=3):
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    rows = 2 * np.eye(dimension)[labels] + rng.normal(size=(count, dimension))
    return with_bias(torch.from_numpy(rows).float()), torch.from_numpy(labels)


@pytest.mark.parametrize("sharpness", [0.2, 1.0, 5.0])
def test_the_temperature_is_that_of_a_search_on_a_grid(sharpness):
    rows, labels = problem()
    logits = sharpness * left_out_logits(rows, labels, 3, SETTINGS)
    grid = np.geomspace(0.05, 20, 4001)
    losses = [torch.nn.functional.cross_entropy(logits.double() / t, labels).item() for t in grid]
    assert best_temperature(logits, labels) == pytest.approx(grid[np.argmin(losses)], rel=2e-3)


def test_left_out_logits_are_those_of_a_layer_without_the_label():
    rows, labels = problem(15)
    logits = left_out_logits(rows, labels, 3, SETTINGS)
    fold_of = torch.from_numpy(folds(labels.numpy(), generator(0, Stream.CALIBRATION)))
    for position in range(15):
        kept = fold_of != fold_of[position]
        fold = int(fold_of[position])
        weights = train_last_layer(rows[kept], labels[kept], 3, SETTINGS, fold)
        assert torch.allclose(logits[position], weights @ rows[position], atol=1e-5)


def test_probabilities_of_unseen_instances_become_more_likely():
    """Of a layer that has learnt its few labels by heart and is far too sure."""
    rows, labels = problem(400, dimension=40)
    given, targets = rows[:60], labels[:60]
    sharp = LearnerSettings(TrainingConfig(epochs=300, learning_rate=0.1), PosteriorConfig(), 0)
    chosen = choose_temperature(given, targets, 3, sharp)
    assert chosen.note is None
    logits = rows[60:] @ train_last_layer(given, targets, 3, sharp, 0).T

    def nll(temperature):
        return torch.nn.functional.cross_entropy(logits / temperature, labels[60:]).item()

    assert chosen.value > 1.2
    assert nll(chosen.value) < nll(1.0)


def test_each_class_is_spread_over_the_folds():
    labels = np.repeat(np.arange(7), 11)
    fold_of = folds(labels, np.random.default_rng(0))
    for label in range(7):
        assert np.ptp(np.bincount(fold_of[labels == label], minlength=5)) <= 1
    assert np.ptp(np.bincount(fold_of)) <= 1
    assert sorted(set(folds(np.arange(8), np.random.default_rng(0)))) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("count", "classes"), [(9, 3), (30, 1)])
def test_few_labels_or_one_class_leave_it_at_1(count, classes):
    rows, labels = problem(count)
    chosen = choose_temperature(rows, labels % classes, 3, SETTINGS)
    assert chosen.value == 1.0
    found = f"of {count} labels of {classes} classes, 10 labels of 2 classes are needed"
    assert chosen.note == f"calibrate: the temperature stays 1: {found}"
