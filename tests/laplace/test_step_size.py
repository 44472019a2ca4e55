"""The automatic step size: what it sees, what it depends on, and that it finds a good one."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from alupdate.laplace.inputs import with_bias
from alupdate.laplace.posterior import LastLayerPosterior
from alupdate.laplace.step_size import GRID, choose_gamma, holdout_losses
from alupdate.laplace.updates import fit, update_rule
from alupdate.models.training import optimal_linear


def digits() -> tuple[Tensor, Tensor]:
    rows, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    features = with_bias(torch.from_numpy((rows[order] - rows.mean()) / 6).float())
    return features, torch.from_numpy(labels[order])


def fit_gaussian(features: Tensor, labels: Tensor) -> LastLayerPosterior:
    return fit(optimal_linear(features, labels, 10, 5e-4), features, "gaussian", 1.0)


@pytest.mark.parametrize("name", ["second_order", "map"])
def test_the_choice_is_near_the_best_on_digits(name: str) -> None:
    """The loss on unseen points is closer to the best gamma's than to that of a bad one."""
    features, labels = digits()
    acquired, new, test = slice(0, 100), slice(60, 100), slice(1000, None)
    rule = update_rule(name)
    gamma = choose_gamma(
        rule, fit_gaussian, features[acquired], labels[acquired], 40, np.random.default_rng(0)
    )
    posterior = fit_gaussian(features[:60], labels[:60])
    losses = [
        float(
            torch.nn.functional.cross_entropy(
                rule.update(posterior, features[new], labels[new], g).posterior.logits(
                    features[test]
                ),
                labels[test],
            )
        )
        for g in GRID
    ]
    assert losses[GRID.index(gamma)] <= min(losses) + 0.1 * (losses[0] - min(losses))


def test_the_same_generator_gives_the_same_choice() -> None:
    features, labels = (whole[:30] for whole in digits())
    first, second = (
        choose_gamma(
            update_rule("map"), fit_gaussian, features, labels, 5, np.random.default_rng(3)
        )
        for _ in range(2)
    )
    assert first == second


def test_a_split_measures_real_updates_on_points_that_are_held_out() -> None:
    features, labels = (whole[:40] for whole in digits())
    seen: list[Tensor] = []

    def watched(rows: Tensor, targets: Tensor) -> LastLayerPosterior:
        seen.append(rows)
        return fit_gaussian(rows, targets)

    rule = update_rule("second_order")
    losses = holdout_losses(rule, watched, features, labels, 5, np.random.default_rng(1))
    order = torch.from_numpy(np.random.default_rng(1).permutation(40))
    kept, new, old = order[:10], order[10:15], order[15:]
    assert torch.equal(seen[0], features[old])
    posterior = fit_gaussian(features[old], labels[old])
    for gamma, loss in zip(GRID, losses, strict=True):
        updated = rule.update(posterior, features[new], labels[new], gamma).posterior
        expected = torch.nn.functional.cross_entropy(
            updated.logits(features[kept]).double(), labels[kept]
        )
        torch.testing.assert_close(loss, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("count", [3, 4])
def test_few_labels_are_enough(count: int) -> None:
    features, labels = (whole[:count] for whole in digits())
    gamma = choose_gamma(
        update_rule("map"), fit_gaussian, features, labels, 10, np.random.default_rng(0)
    )
    assert gamma in GRID


def test_too_few_labels_are_refused() -> None:
    features, labels = (whole[:2] for whole in digits())
    with pytest.raises(ValueError, match="3 labelled"):
        choose_gamma(
            update_rule("map"), fit_gaussian, features, labels, 1, np.random.default_rng(0)
        )
