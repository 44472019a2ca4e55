"""The automatic step size: what it sees, what it depends on, and that it finds a good one."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from alupdate.laplace.inputs import with_bias
from alupdate.laplace.posterior import LastLayerPosterior
from alupdate.laplace.step_size import GRID, N_SPLITS, Split, choose_gamma, holdout_losses
from alupdate.laplace.updates import fit, update_rule
from alupdate.models.training import optimal_linear


def digits() -> tuple[Tensor, Tensor]:
    rows, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    features = with_bias(torch.from_numpy((rows[order] - rows.mean()) / 6).float())
    return features, torch.from_numpy(labels[order])


def fit_gaussian(features: Tensor, labels: Tensor) -> LastLayerPosterior:
    return fit(optimal_linear(features, labels, 10, 5e-4), features, "gaussian", 1.0)


def chosen(name: str, features: Tensor, labels: Tensor, n_new: int, seed: int = 0) -> float:
    def fits(positions: Tensor) -> Iterator[LastLayerPosterior]:
        for some in positions:
            yield fit_gaussian(features[some], labels[some])

    rng = np.random.default_rng(seed)
    return choose_gamma(update_rule(name), fits, features, labels, n_new, rng)


@pytest.mark.parametrize("name", ["second_order", "map"])
def test_the_choice_is_near_the_best_on_digits(name: str) -> None:
    """The loss on unseen points is closer to the best gamma's than to that of a bad one."""
    features, labels = digits()
    acquired, new, test = slice(0, 100), slice(60, 100), slice(1000, None)
    rule = update_rule(name)
    gamma = chosen(name, features[acquired], labels[acquired], 40)
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
    first, second = (chosen("map", features, labels, 5, seed=3) for _ in range(2))
    assert first == second


def test_a_split_divides_all_labelled_instances() -> None:
    split = Split.drawn(40, 5, np.random.default_rng(1))
    order = torch.from_numpy(np.random.default_rng(1).permutation(40))
    assert torch.equal(torch.cat([split.held_out, split.new, split.old]), order)
    assert (len(split.held_out), len(split.new)) == (10, 5)
    assert len(Split.drawn(40, 100, np.random.default_rng(1)).new) == 15


def test_a_split_measures_real_updates_on_points_that_are_held_out() -> None:
    features, labels = (whole[:40] for whole in digits())
    split = Split.drawn(40, 5, np.random.default_rng(1))
    posterior = fit_gaussian(features[split.old], labels[split.old])
    rule = update_rule("second_order")
    losses = holdout_losses(rule, posterior, features, labels, split)
    for gamma, loss in zip(GRID, losses, strict=True):
        updated = rule.update(posterior, features[split.new], labels[split.new], gamma).posterior
        expected = torch.nn.functional.cross_entropy(
            updated.logits(features[split.held_out]).double(), labels[split.held_out]
        )
        torch.testing.assert_close(loss, expected, rtol=1e-3, atol=1e-4)


def test_the_smallest_mean_loss_over_all_splits_decides() -> None:
    features, labels = (whole[:30] for whole in digits())
    rng, rule = np.random.default_rng(2), update_rule("second_order")
    splits = [Split.drawn(30, 6, rng) for _ in range(N_SPLITS)]
    losses = [
        holdout_losses(rule, fit_gaussian(features[s.old], labels[s.old]), features, labels, s)
        for s in splits
    ]
    best = int(torch.stack(losses).mean(dim=0).argmin())
    assert chosen("second_order", features, labels, 6, seed=2) == GRID[best]


@pytest.mark.parametrize("count", [3, 4])
def test_few_labels_are_enough(count: int) -> None:
    features, labels = (whole[:count] for whole in digits())
    assert chosen("map", features, labels, 10) in GRID


def test_too_few_labels_are_refused() -> None:
    features, labels = (whole[:2] for whole in digits())
    with pytest.raises(ValueError, match="3 labelled"):
        chosen("map", features, labels, 1)
