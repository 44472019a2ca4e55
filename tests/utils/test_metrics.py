import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from alupdate.utils.metrics import (
    BINS,
    adaptive_calibration_error,
    expected_calibration_error,
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
    assert np.isclose(scores.accuracy, 1 - mean_loss(mean, points, labels.numpy(), "error"))
    assert np.isclose(scores.nll, mean_loss(mean, points, labels.numpy(), "nll"))
    assert np.isclose(scores.brier, mean_loss(mean, points, labels.numpy(), "brier"))


@given(st.integers(0, 10**6), st.integers(1, 200), st.integers(2, 6))
def test_ece_equals_the_library(seed, count, classes):
    logits, labels = random_predictions(seed, count, classes)
    probabilities = logits.softmax(dim=1)
    peer = multiclass_calibration_error(
        probabilities, labels, num_classes=classes, n_bins=BINS, norm="l1"
    )
    assert np.isclose(expected_calibration_error(probabilities, labels), peer.item(), atol=1e-6)


@given(st.integers(0, 10**6), st.integers(1, 100), st.integers(2, 5))
def test_ace_equals_explicit_loops(seed, count, classes):
    logits, labels = random_predictions(seed, count, classes)
    probabilities = logits.softmax(dim=1)
    expected = calibration_error_by_class(probabilities.numpy(), labels.numpy(), BINS)
    assert np.isclose(adaptive_calibration_error(probabilities, labels), expected)


def test_certain_and_right_is_perfect():
    logits = torch.eye(3, dtype=torch.float64) * 1e4
    scores = score(logits, torch.arange(3))
    assert (scores.accuracy, scores.nll, scores.brier, scores.ece) == (1.0, 0.0, 0.0, 0.0)


def test_certain_and_wrong_is_finite():
    scores = score(torch.tensor([[1e4, 0.0]]), torch.tensor([1]))
    assert scores.nll == 1e4
    assert scores.brier == 2.0
