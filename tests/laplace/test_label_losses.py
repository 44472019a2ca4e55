import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.laplace import losses as label_losses
from alupdate.laplace.losses import LARGEST_STEP, expected_loss, losses_for_labels
from tests.support.references import softmax


def problem(seed, classes, scale, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    steps = torch.from_numpy(rng.uniform(-scale, scale, size=(3, 4))).to(dtype)
    logits = torch.from_numpy(3 * rng.normal(size=(4, classes))).to(dtype)
    predictions = torch.from_numpy(rng.dirichlet(np.ones(classes), size=3)).to(dtype)
    labels = torch.from_numpy(np.stack([rng.permutation(classes)[:2] for _ in range(3)]))
    return steps, logits, predictions, labels


def one_by_one(steps, logits, predictions, labels, loss):
    """Really move the logits of every point by every label."""
    found = np.zeros(labels.shape)
    for r, row in enumerate(labels.tolist()):
        for place, label in enumerate(row):
            change = np.eye(logits.shape[1])[label] - predictions[r].numpy()
            moved = logits.numpy() + steps[r].numpy()[:, None] * change
            probabilities = np.stack([softmax(point) for point in moved])
            logs = np.log(np.maximum(probabilities, 1e-300))
            values = {
                "nll": -(probabilities * logs).sum(1),
                "error": 1 - probabilities.max(1),
                "brier": 1 - (probabilities**2).sum(1),
            }
            found[r, place] = values[loss].mean()
    return found


@pytest.mark.parametrize("loss", ["nll", "error", "brier"])
@given(st.integers(0, 10**6), st.integers(2, 6), st.floats(0.01, LARGEST_STEP))
def test_equals_moving_the_logits_label_by_label(loss, seed, classes, scale):
    arguments = problem(seed, classes, scale)
    found = losses_for_labels(*arguments, loss).numpy()
    np.testing.assert_allclose(found, one_by_one(*arguments, loss), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", ["nll", "error", "brier"])
def test_the_largest_steps_are_finite_in_32_bits(loss):
    steps, logits, predictions, labels = problem(0, 5, 1.0, torch.float32)
    extreme = torch.full_like(steps, LARGEST_STEP) * torch.tensor([1.0, -1.0, 1.0, -1.0])
    found = losses_for_labels(extreme, logits, predictions, labels, loss)
    expected = one_by_one(extreme, logits.double(), predictions.double(), labels, loss)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_equal_classes_are_no_rival_less():
    """Two classes that are equally probable: the label's own rival is the other one."""
    arguments = (torch.zeros(1, 1), torch.zeros(1, 2), torch.tensor([[0.5, 0.5]]))
    found = losses_for_labels(*arguments, torch.tensor([[0, 1]]), "error")
    assert found.tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("group_numbers", [1, 50, 2**17])
def test_candidates_in_groups_give_what_each_gives_alone(group_numbers, monkeypatch):
    arguments = problem(1, 4, 2.0)
    expected = expected_loss("nll")
    monkeypatch.setattr(label_losses, "GROUP_NUMBERS", group_numbers)
    found = losses_for_labels(*arguments, "nll")
    steps, logits, predictions, labels = arguments
    for r in range(3):
        for place in range(2):
            change = torch.eye(4, dtype=torch.float64)[labels[r, place]] - predictions[r]
            moved = logits.T + change[:, None] * steps[r]
            assert found[r, place] == pytest.approx(
                float(expected(moved[None], slice(None))) / len(logits), rel=1e-12
            )
