import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from alupdate.results.records import CURVE_COLUMNS, UPDATE_COLUMNS
from alupdate.utils import metrics
from alupdate.utils.errors import InputError
from alupdate.utils.metrics import (
    ACCURACY,
    BINS,
    METRIC_NAMES,
    Predictions,
    adaptive_calibration_error,
    expected_calibration_error,
    find_metric,
    higher_is_better,
    score,
)
from tests.support.references import calibration_error_by_class, mean_loss


def random_predictions(seed, count, classes):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(count, classes)) * 2)
    return logits, torch.from_numpy(rng.integers(classes, size=count))


@given(st.integers(0, 10**6), st.integers(1, 100), st.integers(2, 6))
def test_accuracy_nll_and_brier_equal_their_definitions(seed, count, classes):
    logits, labels = random_predictions(seed, count, classes)
    scores = score(logits, labels)
    points, mean = logits.numpy(), np.eye(classes)
    assert np.isclose(scores["accuracy"], 1 - mean_loss(mean, points, labels.numpy(), "error"))
    assert np.isclose(scores["nll"], mean_loss(mean, points, labels.numpy(), "nll"))
    assert np.isclose(scores["brier"], mean_loss(mean, points, labels.numpy(), "brier"))


@given(st.integers(0, 10**6), st.integers(1, 200), st.integers(2, 6))
def test_ece_equals_the_library(seed, count, classes):
    logits, labels = random_predictions(seed, count, classes)
    predictions = Predictions.of(logits, labels)
    peer = multiclass_calibration_error(
        predictions.probabilities, labels, num_classes=classes, n_bins=BINS, norm="l1"
    )
    assert np.isclose(expected_calibration_error(predictions), peer.item(), atol=1e-6)


def test_ace_of_very_many_classes_is_computed_in_parts(monkeypatch):
    """Few numbers are sorted at a time, along the rows, and the value is the same bit for bit."""
    predictions = Predictions.of(*random_predictions(0, 70, 300))
    whole = adaptive_calibration_error(predictions)
    sorted_shapes, alone = [], torch.Tensor.sort

    def sort(values, dim, **options):
        sorted_shapes.append((tuple(values.shape), dim))
        return alone(values, dim=dim, **options)

    monkeypatch.setattr(metrics, "SORTED", 128 * 70)
    monkeypatch.setattr(torch.Tensor, "sort", sort)
    assert adaptive_calibration_error(predictions) == whole
    assert sorted_shapes == [((128, 70), 1), ((128, 70), 1), ((44, 70), 1)]


@given(st.integers(0, 10**6), st.integers(1, 100), st.integers(2, 5))
def test_ace_equals_explicit_loops(seed, count, classes):
    logits, labels = random_predictions(seed, count, classes)
    predictions = Predictions.of(logits, labels)
    expected = calibration_error_by_class(logits.softmax(dim=1).numpy(), labels.numpy(), BINS)
    assert np.isclose(adaptive_calibration_error(predictions), expected)


def test_certain_and_right_is_perfect():
    logits = torch.eye(3, dtype=torch.float64) * 1e4
    scores = score(logits, torch.arange(3))
    assert [scores[name] for name in ("accuracy", "nll", "brier", "ece")] == [1.0, 0.0, 0.0, 0.0]


def test_certain_and_wrong_is_finite():
    scores = score(torch.tensor([[1e4, 0.0]]), torch.tensor([1]))
    assert scores["nll"] == 1e4
    assert scores["brier"] == 2.0


def test_a_diverged_network_has_no_scores_but_its_accuracy():
    scores = score(torch.full((3, 2), torch.nan), torch.tensor([0, 1, 0]))
    assert {name for name, value in scores.items() if not np.isnan(value)} == {ACCURACY}


def test_every_metric_has_a_column_of_its_own():
    assert list(score(torch.eye(3), torch.arange(3))) == list(METRIC_NAMES)
    for columns in (CURVE_COLUMNS, UPDATE_COLUMNS):
        assert set(METRIC_NAMES) < set(columns)
        assert len(set(columns)) == len(columns)


def test_an_unknown_metric_is_refused_with_a_suggestion():
    assert [name for name in METRIC_NAMES if higher_is_better(name)] == [ACCURACY]
    with pytest.raises(InputError, match="metric acuracy: is not known; did you mean accuracy"):
        find_metric("acuracy")


def test_the_table_is_there_without_pytorch():
    code = "import sys, alupdate.utils.metrics; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
