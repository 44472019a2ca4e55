import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.laplace import losses
from alupdate.laplace.losses import (
    expected_loss,
    losses_after_changes,
    losses_after_updates,
    true_loss,
)
from tests.support.references import softmax


@pytest.mark.parametrize("loss", ["nll", "error", "brier"])
@given(st.integers(0, 10**6), st.integers(2, 5), st.floats(0.1, 30))
def test_expected_loss_is_the_mean_true_loss_over_predicted_labels(loss, seed, classes, scale):
    logits = scale * np.random.default_rng(seed).normal(size=(2, classes, 4))
    expected = np.zeros(2)
    for g in range(2):
        for t in range(4):
            probabilities = softmax(logits[g, :, t])
            for label in range(classes):
                point = torch.from_numpy(logits[g, :, t].copy())[None, :, None]
                if loss == "error":  # the most probable label is wrong as often as not predicted
                    value = float(label != probabilities.argmax())
                else:
                    value = float(true_loss(torch.tensor([label]), loss)(point, slice(None)))
                expected[g] += probabilities[label] * value / 4
    found = expected_loss(loss)(torch.from_numpy(logits.copy()), slice(None)) / 4
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("points", [1, 2, 256])
@pytest.mark.parametrize("group_numbers", [1, 20, 2**17])
@pytest.mark.parametrize("loss", ["nll", "error", "brier"])
def test_tiles_and_groups_give_what_each_batch_gives_alone(
    points, group_numbers, loss, monkeypatch
):
    monkeypatch.setattr(losses, "TILE_NUMBERS", 1)
    monkeypatch.setattr(losses, "MIN_POINTS", points)
    monkeypatch.setattr(losses, "GROUP_NUMBERS", group_numbers)
    rng = np.random.default_rng(0)
    kernel, logits = (torch.from_numpy(rng.normal(size=s)) for s in ((9, 5), (5, 3)))
    batches = torch.from_numpy(rng.integers(9, size=(7, 2)))
    coefficients = torch.from_numpy(rng.normal(size=(7, 2, 3)))
    labels = torch.from_numpy(rng.integers(3, size=5))
    loss_sum, whole = true_loss(labels, loss), slice(0, 5)
    found = losses_after_updates(
        lambda part: kernel[:, part], 9, logits, batches, coefficients, loss_sum
    )
    alone = [
        float(loss_sum((logits + kernel[batch].T @ weights).T[None].clone(), whole)) / 5
        for batch, weights in zip(batches, coefficients, strict=True)
    ]
    np.testing.assert_allclose(found, alone, rtol=1e-12)
    changes = torch.from_numpy(rng.normal(size=(7, 3, 4)))
    features = torch.from_numpy(rng.normal(size=(5, 4)))
    found = losses_after_changes(changes, features, logits, loss_sum)
    alone = [
        float(loss_sum((logits + features @ change.T).T[None].clone(), whole)) / 5
        for change in changes
    ]
    np.testing.assert_allclose(found, alone, rtol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 300.0, 2000.0])
@pytest.mark.parametrize("loss", ["nll", "error", "brier"])
def test_logits_that_move_far_are_no_less_exact(scale, loss):
    """In 32 bits, exponentials relative to the old largest logit overflow, or all vanish."""
    rng = np.random.default_rng(0)
    changes = torch.from_numpy(scale * rng.normal(size=(6, 3, 4)))
    changes[0] -= 2 * scale  # every class falls far below the old largest
    features, logits = (torch.from_numpy(rng.normal(size=s)) for s in ((50, 4), (50, 3)))
    labels = torch.from_numpy(rng.integers(3, size=50))
    loss_sum = true_loss(labels, loss)
    exact = losses_after_changes(changes, features, logits, loss_sum)
    narrow = losses_after_changes(changes.float(), features.float(), logits.float(), loss_sum)
    torch.testing.assert_close(narrow.double(), exact, rtol=1e-5, atol=1e-6)
