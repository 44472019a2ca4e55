import subprocess
import sys
from math import nan

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score, roc_auc_score
from torchmetrics.functional.classification import multiclass_calibration_error

from alupdate.results.records import CURVE_COLUMNS, UPDATE_COLUMNS
from alupdate.utils import metrics
from alupdate.utils.errors import InputError
from alupdate.utils.metrics import (
    ACCURACY,
    BINS,
    LATER_METRICS,
    METRIC_NAMES,
    Predictions,
    adaptive_calibration_error,
    expected_calibration_error,
    find_metric,
    higher_is_better,
    score,
)
from tests.support.references import (
    calibration_error_by_class,
    mean_loss,
    rates_by_class,
    share_of_ordered_pairs,
)


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


temperatures = st.floats(0.05, 20)


@given(st.data(), temperatures)
def test_ece_after_temperature_scaling_equals_the_library(data, temperature):
    """With random logits and with ties, all right and all wrong, one class, and few instances."""
    made = data.draw(
        st.one_of(
            coarse_predictions(),
            st.builds(random_predictions, st.integers(0, 99), st.integers(1, 99), st.just(4)),
        )
    )
    logits, labels = made
    tempered = torch.softmax(logits.double() / temperature, dim=1)
    peer = multiclass_calibration_error(
        tempered, labels, num_classes=logits.shape[1], n_bins=BINS, norm="l1"
    )
    confidence, predicted = tempered.numpy().max(axis=1), tempered.numpy().argmax(axis=1)
    slow = sum(
        abs(sum(int(p == y) - c for c, p, y in members)) / len(labels)
        for members in by_bin(confidence, predicted, labels.numpy())
    )
    found = score(logits, labels, temperature)["tempered_ece"]
    assert found == pytest.approx(slow, abs=1e-9)
    if not (abs(confidence * BINS - np.round(confidence * BINS)) < 1e-4).any():
        assert found == pytest.approx(peer.item(), abs=1e-6)  # equal but at the edges of bins


def by_bin(confidence, predicted, labels):
    """The instances of each bin: confidence, predicted class, true class."""
    bins = [min(int(c * BINS), BINS - 1) for c in confidence]
    rows = list(zip(confidence, predicted, labels, strict=True))
    return [[row for row, b in zip(rows, bins, strict=True) if b == k] for k in range(BINS)]


@given(st.integers(0, 10**6))
def test_a_temperature_of_one_leaves_the_ece_and_none_leaves_nothing(seed):
    logits, labels = random_predictions(seed, 30, 3)
    scores = score(logits.float(), labels, 1.0)
    assert scores["tempered_ece"] == scores["ece"]
    without = score(logits.float(), labels)
    assert np.isnan(without.pop("tempered_ece"))
    assert without.items() <= scores.items()


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


@st.composite
def coarse_predictions(draw):
    """Logits with many ties, of sizes up to 1e4; few of the classes may be there or predicted."""
    count, classes = draw(st.integers(1, 40)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    logits = rng.integers(-2, 3, size=(count, classes)) * draw(st.sampled_from([0.5, 3.0, 5e3]))
    logits[:, draw(st.integers(1, classes)) :] -= 1e4  # never predicted
    labels = rng.integers(draw(st.integers(1, classes)), size=count)
    agreeing = draw(st.sampled_from([0.0, 0.5, 1.0]))
    labels = np.where(rng.random(count) < agreeing, logits.argmax(axis=1), labels)
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    return torch.from_numpy(logits).to(dtype), torch.from_numpy(labels)


@pytest.mark.filterwarnings("ignore:y_pred contains", "ignore:A single label")
@given(coarse_predictions())
def test_metrics_of_classes_equal_the_library_and_explicit_loops(made):
    scores, labels = score(*made), made[1].numpy()
    predicted = made[0].argmax(dim=1).numpy()
    recalls, f1 = rates_by_class(predicted, labels)
    found = [scores[name] for name in LATER_METRICS[:3]]
    assert found == pytest.approx([recalls.mean(), f1.mean(), recalls.min()], abs=1e-12)
    present = np.unique(labels)
    peers = [
        balanced_accuracy_score(labels, predicted),
        f1_score(labels, predicted, average="macro", zero_division=0),
        recall_score(labels, predicted, labels=present, average=None, zero_division=0).min(),
    ]
    assert found == pytest.approx(peers, abs=1e-12)


@given(coarse_predictions())
def test_auroc_of_the_confidence_equals_the_library_and_explicit_pairs(made):
    found = score(*made)["confidence_auroc"]
    confidence = Predictions.of(*made).probabilities.max(dim=1).values.numpy()
    is_right = (made[0].argmax(dim=1) == made[1]).numpy()
    expected = share_of_ordered_pairs(confidence, is_right)
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert np.isnan(found) == (is_right.all() or not is_right.any())
    if not np.isnan(found):
        assert found == pytest.approx(roc_auc_score(is_right, confidence), abs=1e-12)


@pytest.mark.parametrize(
    ("logits", "labels", "expected"),
    [
        ([[1, 0, 0]], [0], [1, 1, 1, nan]),
        ([[1, 0, 0]], [1], [0, 0, 0, nan]),
        ([[1e4, -1e4], [-1e4, 1e4]], [0, 1], [1, 1, 1, nan]),
        ([[1e4, -1e4], [-1e4, 1e4]], [1, 0], [0, 0, 0, nan]),
        ([[1e4, -1e4], [-1e4, 1e4]], [0, 0], [0.5, 1 / 3, 0.5, 0.5]),
        ([[0, 0], [0, 0], [0, 0]], [0, 1, 1], [0.5, 0.25, 0, 0.5]),
        ([[3, 0, 0], [2, 0, 0], [0, 1, 0]], [0, 0, 0], [2 / 3, 0.4, 2 / 3, 1]),
        ([[3, 0, 0], [2, 0, 0], [1, 0, 0]], [1, 0, 0], [0.5, 0.4, 0, 0]),
    ],
    ids=[
        "one, right", "one, wrong", "all right", "all wrong", "equal confidences", "equal logits",
        "classes absent", "a class never predicted",
    ],
)  # fmt: skip
def test_predictions_that_leave_little_to_compare(logits, labels, expected):
    scores = score(torch.tensor(logits, dtype=torch.float32), torch.tensor(labels))
    found = [scores[name] for name in LATER_METRICS[:4]]
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_one_probability_that_is_no_number_leaves_no_auroc():
    logits = torch.tensor([[1.0, 0.0], [torch.nan, 0.0], [0.0, 2.0]])
    assert np.isnan(score(logits, torch.tensor([0, 1, 0]))["confidence_auroc"])


def test_certain_and_right_is_perfect():
    logits = torch.eye(3, dtype=torch.float64) * 1e4
    scores = score(logits, torch.arange(3))
    assert [scores[name] for name in ("accuracy", "nll", "brier", "ece")] == [1.0, 0.0, 0.0, 0.0]


def test_certain_and_wrong_is_finite():
    scores = score(torch.tensor([[1e4, 0.0]]), torch.tensor([1]))
    assert scores["nll"] == 1e4
    assert scores["brier"] == 2.0


def test_a_diverged_network_has_only_the_scores_of_its_decisions():
    scores = score(torch.full((3, 2), torch.nan), torch.tensor([0, 1, 0]), 1.0)
    known = {name for name, value in scores.items() if not np.isnan(value)}
    assert known == {ACCURACY, "balanced_accuracy", "macro_f1", "worst_recall"}


def test_every_metric_has_a_column_of_its_own():
    assert list(score(torch.eye(3), torch.arange(3))) == list(METRIC_NAMES)
    for columns in (CURVE_COLUMNS, UPDATE_COLUMNS):
        assert set(METRIC_NAMES) < set(columns)
        assert len(set(columns)) == len(columns)


def test_an_unknown_metric_is_refused_with_a_suggestion():
    losses = {name for name in METRIC_NAMES if not higher_is_better(name)}
    assert losses == {"nll", "brier", "ece", "ace", "tempered_ece"}
    with pytest.raises(InputError, match="metric acuracy: is not known; did you mean accuracy"):
        find_metric("acuracy")


def test_the_table_is_there_without_pytorch():
    code = "import sys, alupdate.utils.metrics; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
