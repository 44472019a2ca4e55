import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.models import training
from alupdate.models.training import RAdam, Recipe, minibatches, optimal_linear, train_linear
from alupdate.utils import threads

RECIPE = Recipe(learning_rate=0.01, weight_decay=1e-4, epochs=12, minibatch=64)


def random_task(seed, count, dimension=5, classes=3, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    features = torch.from_numpy(rng.normal(size=(count, dimension))).to(dtype)
    labels = torch.from_numpy(rng.integers(classes, size=count))
    start = torch.from_numpy(rng.normal(size=(classes, dimension))).to(dtype)
    return features, labels, start


def test_radam_takes_the_steps_of_the_library():
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    ours, theirs = start.clone(), start.clone()
    optimiser = RAdam([ours], weight_decay=0.1)
    peer = torch.optim.RAdam([theirs], lr=0.02, weight_decay=0.1)
    for _ in range(30):
        gradient = torch.randn(3, 4, generator=generator, dtype=torch.float64)
        theirs.grad = gradient.clone()
        peer.step()
        optimiser.step([gradient.clone()], 0.02)
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@given(st.integers(1, 200), st.integers(1, 80), st.integers(0, 100))
def test_every_label_is_in_every_epoch(count, size, seed):
    batches = list(minibatches(count, size, np.random.default_rng(seed)))
    assert sorted(torch.cat(batches).tolist()) == list(range(count))
    assert {len(batch) for batch in batches[:-1]} <= {size}
    assert len(batches) == math.ceil(count / size)


@pytest.mark.parametrize("count", [10, 65, 127])
def test_recipe_equals_automatic_differentiation_with_library_parts(count):
    features, labels, start = random_task(1, count)
    layer = torch.nn.Linear(5, 3, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(start)
    optimiser = torch.optim.RAdam(layer.parameters(), lr=0.01, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, RECIPE.epochs)
    rng = np.random.default_rng(7)
    for _ in range(RECIPE.epochs):
        for positions in minibatches(count, 64, rng):
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(layer(features[positions]), labels[positions])
            loss.backward()
            optimiser.step()
        schedule.step()
    trained = train_linear(start, features, labels, RECIPE, np.random.default_rng(7))
    torch.testing.assert_close(trained, layer.weight.detach(), rtol=1e-9, atol=1e-9)


def test_recipe_leaves_the_start_as_it_is():
    features, labels, start = random_task(2, 20)
    before = start.clone()
    train_linear(start, features, labels, RECIPE, np.random.default_rng(0))
    assert torch.equal(start, before)


@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 12))
def test_lbfgs_finds_the_point_of_vanishing_gradient(seed, count, dimension):
    features, labels, _ = random_task(seed, count, dimension)
    weights = optimal_linear(features, labels, 3, weight_decay=0.01)
    weights.requires_grad_()
    loss = torch.nn.functional.cross_entropy(features @ weights.T, labels)
    (loss + 0.005 * weights.square().sum()).backward()
    assert weights.grad.abs().max() < 2e-5


def test_lbfgs_optimum_is_below_what_the_recipe_reaches():
    features, labels, start = random_task(3, 60)

    def objective(weights):
        loss = torch.nn.functional.cross_entropy(features @ weights.T, labels)
        return (loss + 0.5e-4 * weights.square().sum()).item()

    recipe = Recipe(0.01, 1e-4, 200, 64)
    trained = train_linear(start, features, labels, recipe, np.random.default_rng(0))
    assert objective(optimal_linear(features, labels, 3, 1e-4)) <= objective(trained)


def test_relative_rates_scale_the_steps_of_each_parameter():
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    together, apart = [start.clone(), start.clone()], [start.clone(), start.clone()]
    optimiser = RAdam(together, 0.1, [1.0, 0.25])
    alone = [RAdam([parameter], 0.1) for parameter in apart]
    for _ in range(10):
        gradient = torch.randn(3, 4, generator=generator, dtype=torch.float64)
        optimiser.step([gradient.clone(), gradient.clone()], 0.02)
        alone[0].step([gradient.clone()], 0.02)
        alone[1].step([gradient.clone()], 0.005)
    torch.testing.assert_close(together, apart, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("minibatch", "expected"), [(4, 1), (2**22, 2)])
def test_small_products_use_one_thread_and_the_threads_are_given_back(
    minibatch, expected, monkeypatch
):
    seen = []
    monkeypatch.setattr(threads, "FEW_MULTIPLICATIONS", 100)
    monkeypatch.setattr(training, "optimise", lambda *_: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        settings = Recipe(0.01, 1e-4, epochs=1, minibatch=minibatch)
        features, labels = torch.zeros(40, 3), torch.zeros(40, dtype=torch.int64)
        train_linear(torch.zeros(2, 3), features, labels, settings, np.random.default_rng(0))
        assert seen == [expected]
        assert torch.get_num_threads() == 2
        monkeypatch.setattr(training, "optimise", _fails)
        with pytest.raises(RuntimeError):
            train_linear(torch.zeros(2, 3), features, labels, settings, np.random.default_rng(0))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def _fails(*_):
    raise RuntimeError
