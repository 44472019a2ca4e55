"""Logits left out in closed form, against posteriors that are fitted without each instance."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.laplace import temperature
from alupdate.laplace.map import map_update
from alupdate.laplace.per_class import fit_per_class
from alupdate.laplace.posterior import fit_posterior
from alupdate.laplace.temperature import (
    best_temperature,
    implied_precision,
    leave_one_out_logits,
    logits_without_own_label,
    temperature_of_labels,
)
from tests.support.problems import make_query

seeds = st.integers(0, 10**6)


def problem(seed, count, dimension, classes=3):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    rows = rng.normal(size=(count, dimension)) + 1.5 * rng.normal(size=(classes, dimension))[labels]
    return torch.from_numpy(rows), torch.from_numpy(labels)


def mode(rows, labels, precision, classes=3):
    """The exact mode: the MAP update of the prior with all labels."""
    start = rows.new_zeros(classes, rows.shape[1])
    prior = fit_posterior(start, rows[:0], "gaussian", precision)
    return map_update(prior, rows, labels, 1.0).posterior.mean


def naive(mean, rows, labels, precision):
    """One covariance after the other, each without its instance, written out."""
    logits = rows @ mean.T
    probabilities = torch.softmax(logits, dim=1)
    out = logits.clone()
    for i in range(len(rows)):
        others = torch.arange(len(rows)) != i
        for c in range(len(mean)):
            p = probabilities[:, c]
            system = (rows.T * (p * (1 - p) * others)) @ rows
            system += precision * torch.eye(rows.shape[1], dtype=rows.dtype)
            spread = rows[i] @ torch.linalg.inv(system) @ rows[i]
            out[i, c] -= (float(labels[i] == c) - p[i]) * spread
    return out


@given(seeds, st.integers(2, 9), st.integers(1, 9), st.floats(0.05, 20))
def test_left_out_logits_equal_those_of_covariances_written_out(seed, count, dimension, precision):
    """With fewer instances than features, and with more."""
    rows, labels = problem(seed, count, dimension)
    mean = torch.from_numpy(np.random.default_rng(seed + 1).normal(size=(3, dimension)))
    found = leave_one_out_logits(mean, rows, labels, precision)
    torch.testing.assert_close(found, naive(mean, rows, labels, precision), rtol=1e-6, atol=1e-6)


@given(seeds, st.integers(1, 8))
def test_the_closed_form_takes_a_map_update_back(seed, dimension):
    """The logits before an update with one label, from those after it."""
    rows, labels = problem(seed, 6, dimension)
    mean = torch.from_numpy(np.random.default_rng(seed + 1).normal(size=(3, dimension)))
    before = fit_per_class(mean, rows[1:], 0.7)
    after = map_update(before, rows[:1], labels[:1], 1.0).posterior
    logits = after.logits(rows[:1])
    residual = torch.nn.functional.one_hot(labels[:1], 3) - torch.softmax(logits, dim=1)
    back = logits - residual * before.variances(rows[:1])
    torch.testing.assert_close(back, before.logits(rows[:1]), rtol=0, atol=1e-5)


@given(seeds, st.floats(0.1, 10))
def test_the_mode_implies_the_precision_of_its_prior(seed, precision):
    rows, labels = problem(seed, 12, 4)
    mean = mode(rows, labels, precision)
    assert implied_precision(mean, rows, labels) == pytest.approx(precision, rel=1e-3)


def test_weights_that_point_away_from_the_labels_imply_no_prior():
    rows, labels = problem(0, 12, 4)
    mean = mode(rows, labels, 1.0)
    assert implied_precision(-mean, rows, labels) is None
    assert implied_precision(torch.zeros_like(mean), rows, labels) is None


@pytest.mark.parametrize("dimension", [5, 60])
def test_close_to_training_without_each_label(dimension):
    """One Newton step finds most of the change, where the labels' own logits find none."""
    rows, labels = problem(3, 40, dimension)
    fitted = partial(mode, precision=1.0)
    learnt = rows @ fitted(rows, labels).T
    everyone = torch.arange(40)
    truth = torch.stack(
        [fitted(rows[everyone != i], labels[everyone != i]) @ rows[i] for i in everyone]
    )
    found = leave_one_out_logits(fitted(rows, labels), rows, labels, 1.0)
    assert (found - truth).norm() < 0.5 * (learnt - truth).norm()
    wanted, without = best_temperature(truth, labels), best_temperature(learnt, labels)
    assert abs(best_temperature(found, labels) / wanted - 1) < 0.25
    assert abs(without / wanted - 1) > 0.4


@given(seeds, st.integers(3, 9), st.integers(1, 9))
def test_the_temperature_of_labels_is_the_best_of_a_grid_on_logits_left_out_one_by_one(
    seed, count, dimension
):
    rows, labels = problem(seed, count, dimension)
    labels[:2] = torch.tensor([0, 1])
    mean = mode(rows, labels, 1.0)
    logits = naive(mean, rows, labels, implied_precision(mean, rows, labels))
    grid = np.geomspace(0.05, 20, 800)
    losses = [torch.nn.functional.cross_entropy(logits / t, labels).item() for t in grid]
    found = temperature_of_labels(mean, rows, labels)
    loss = torch.nn.functional.cross_entropy(logits / found, labels).item()
    assert loss <= min(losses) + 1e-6


@pytest.mark.parametrize("count", [0, 1, 2, 12])
def test_labels_of_one_class_choose_no_temperature(count):
    rows, labels = problem(0, 12, 4)
    mean = mode(rows, labels, 1.0)
    assert temperature_of_labels(mean, rows[:count], 0 * labels[:count]) == 1.0


@pytest.mark.parametrize("weights", [-1.0, 0.0, torch.nan])
def test_weights_that_no_prior_fits_choose_no_temperature(weights):
    rows, labels = problem(0, 12, 4)
    mean = weights * mode(rows, labels, 1.0)
    assert logits_without_own_label(mean, rows, labels) is None
    assert temperature_of_labels(mean, rows, labels) == 1.0


def test_a_posterior_that_cannot_be_inverted_chooses_no_temperature(monkeypatch):
    """Features that depend on each other linearly, at an optimum with nearly no prior.

    There the precision that the weights imply is all rounding: 1e-53 has been seen.
    """
    rows, labels = problem(0, 80, 12)
    rows = rows @ torch.from_numpy(np.random.default_rng(0).normal(size=(12, 30)))
    mean = mode(rows, labels, 1.0)
    monkeypatch.setattr(temperature, "implied_precision", lambda *_: 1e-53)
    with pytest.raises(torch.linalg.LinAlgError):
        leave_one_out_logits(mean, rows, labels, 1e-53)
    assert logits_without_own_label(mean, rows, labels) is None
    assert temperature_of_labels(mean, rows, labels) == 1.0


def test_confident_predictions_and_copies_stay_finite():
    rows, labels = problem(0, 12, 4)
    mean = 1e4 * mode(rows, labels, 1.0)
    found = leave_one_out_logits(mean, torch.cat([rows, rows]), torch.cat([labels, labels]), 1e-6)
    assert torch.isfinite(found).all()
    query = make_query()
    assert query.posterior.mean.dtype == torch.float32
    mixed = leave_one_out_logits(
        query.posterior.mean, query.known_features, query.known_labels, 1.0
    )
    assert mixed.dtype == torch.float64
