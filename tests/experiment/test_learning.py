"""The temperature of a model: from the labels that it has learnt, each left out of it."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from alupdate.config.compose import compose_config
from alupdate.data.pool import Pool
from alupdate.experiment import learning
from alupdate.experiment.learning import chosen_temperature, score_model
from alupdate.laplace.names import GAUSSIAN
from alupdate.laplace.posterior import fit_posterior
from alupdate.models.learner import Model
from alupdate.models.training import optimal_linear
from alupdate.utils.metrics import BINS

N_POOL, N_LABELS = 60, 24


def config_with(*overrides):
    return compose_config(["dataset=digits", "backbone=pixels", *overrides])


@pytest.fixture
def problem():
    """A model that is far too sure of its labels, a pool with these, and a test set."""
    rng = np.random.default_rng(0)
    classes = rng.integers(3, size=2 * N_POOL)
    centres = rng.normal(size=(3, 8))
    points = centres[classes] + 1.5 * rng.normal(size=(2 * N_POOL, 8))
    rows = torch.from_numpy(points).float()
    labels = torch.from_numpy(classes)
    indices = np.arange(N_LABELS)[::-1].copy()
    pool = Pool.unlabelled(N_POOL).label(indices, classes[indices])
    mean = optimal_linear(rows[:N_LABELS], labels[:N_LABELS], 3, 1e-3)
    posterior = fit_posterior(mean, rows[:N_LABELS], GAUSSIAN, 1.0)
    return Model(rows[:N_POOL], rows[N_POOL:], posterior), pool, labels[N_POOL:]


def left_out_one_by_one(model, pool):
    """Logits of layers that are trained again without each label."""
    rows, labels = model.pool[torch.from_numpy(pool.indices)], torch.from_numpy(pool.labels)
    found = []
    for i in range(len(rows)):
        rest = torch.arange(len(rows)) != i
        decay = 1e-3 * len(rows) / (len(rows) - 1)  # of the mean loss: the same prior
        found.append(rows[i] @ optimal_linear(rows[rest], labels[rest], 3, decay).T)
    return torch.stack(found).double(), labels


def test_the_calibration_error_is_that_under_the_temperature_of_models_trained_again(problem):
    model, pool, truth = problem
    logits, labels = left_out_one_by_one(model, pool)
    grid = np.geomspace(0.05, 20, 300)
    losses = [torch.nn.functional.cross_entropy(logits / t, labels).item() for t in grid]
    wanted, found = grid[np.argmin(losses)], chosen_temperature(config_with(), model, pool)
    assert 2 < wanted < 20
    assert found == pytest.approx(wanted, rel=0.3)  # one step of Newton's method, not to its end
    scores = score_model(config_with(), model, truth, pool)
    tempered = torch.softmax(model.posterior.logits(model.test).double() / found, dim=1)
    peer = multiclass_calibration_error(tempered, truth, num_classes=3, n_bins=BINS, norm="l1")
    assert scores["tempered_ece"] == pytest.approx(peer.item(), abs=1e-6)
    assert scores["tempered_ece"] < scores["ece"] - 0.05


def test_no_label_of_the_test_set_changes_the_temperature(problem):
    model, pool, truth = problem
    given = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "score", lambda *arguments: given.append(arguments[2]) or {})
        for labels in (truth, (truth + 1) % 3):
            score_model(config_with(), model, labels, pool)
    assert given == [chosen_temperature(config_with(), model, pool)] * 2


def test_there_is_none_for_features_that_are_trained_nor_for_averages_nor_at_any_cost(
    problem, monkeypatch
):
    model, pool, truth = problem
    assert math.isnan(chosen_temperature(config_with("backbone=cnn"), model, pool))
    for predictive in ("mean_field", "monte_carlo"):
        config = config_with(f"posterior.predictive={predictive}")
        assert math.isnan(score_model(config, model, truth, pool)["tempered_ece"])
    products = 3 * 8**2 * N_LABELS
    monkeypatch.setattr(learning, "MOST_PRODUCTS", products)
    assert chosen_temperature(config_with(), model, pool) > 1
    monkeypatch.setattr(learning, "MOST_PRODUCTS", products - 1)
    assert math.isnan(chosen_temperature(config_with(), model, pool))
