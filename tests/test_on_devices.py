"""Strategies, update rules and solvers on the CPU and on another device.

``pytest -m cuda`` compares all of them on a CUDA device, and says so where there is none. The same
comparisons are made of a few with a stand-in for a GPU, which refuses what a GPU refuses.
"""

import numpy as np
import pytest
import torch

from alupdate.config.options import make_option
from alupdate.laplace.names import LIKELIHOODS
from alupdate.laplace.rules import rule_classes
from alupdate.laplace.updates import update_rule
from tests.strategies.test_contract import ALL, BATCHES
from tests.support.device_answers import check_solver, check_strategy, check_update, compare
from tests.support.pretend_device import pretend_device

CPU = torch.device("cpu")
UPDATES = [
    (name, likelihood)
    for name in rule_classes()
    for likelihood in LIKELIHOODS
    if likelihood in update_rule(name).likelihoods
]
SOLVERS = [(solver, likelihood) for solver in ("recipe", "lbfgs") for likelihood in LIKELIHOODS]
FEW_STRATEGIES = [
    "margin", "bald", "batch_bald", "badge", "bait-binary", "coreset", "typiclust",
    "probcover", "uherding", "dropquery", "alfamix", "epig", "lookahead", "greedy_lookahead",
    "expected_lookahead",
]  # fmt: skip
FEW_UPDATES = [("first_order", "per_class"), ("second_order", "categorical"), ("map", "gaussian")]


@pytest.fixture
def stand_in():
    with pretend_device() as device:
        yield device


@pytest.fixture
def cuda():
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here")
    return torch.device("cuda")


def strategy_of(key):
    name, settings = ALL[key]
    return make_option("strategy", {"name": name, **settings})


@pytest.mark.cuda
@pytest.mark.parametrize("batch", ["top_b", "sequential"])
@pytest.mark.parametrize("name", ALL)
def test_strategies_on_cuda(name, batch, cuda):
    check_strategy(strategy_of(name), BATCHES[batch], cuda)


@pytest.mark.cuda
@pytest.mark.parametrize(("name", "likelihood"), UPDATES)
def test_updates_on_cuda(name, likelihood, cuda):
    check_update(name, likelihood, cuda)


@pytest.mark.cuda
@pytest.mark.parametrize(("solver", "likelihood"), SOLVERS)
def test_solvers_on_cuda(solver, likelihood, cuda):
    check_solver(solver, likelihood, cuda)


@pytest.mark.parametrize("name", FEW_STRATEGIES)
def test_strategies_on_a_stand_in(name, stand_in):
    check_strategy(strategy_of(name), BATCHES["top_b"], stand_in)


def test_a_sequential_batch_on_a_stand_in(stand_in):
    check_strategy(strategy_of("margin"), BATCHES["sequential"], stand_in)


@pytest.mark.parametrize(("name", "likelihood"), FEW_UPDATES)
def test_updates_on_a_stand_in(name, likelihood, stand_in):
    check_update(name, likelihood, stand_in)


@pytest.mark.parametrize(("solver", "likelihood"), [("recipe", "gaussian"), ("lbfgs", "per_class")])
def test_solvers_on_a_stand_in(solver, likelihood, stand_in):
    check_solver(solver, likelihood, stand_in)


def test_other_numbers_and_other_devices_are_noticed(stand_in):
    there = torch.ones(3, device=stand_in)
    compare((torch.ones(3), there), stand_in)
    with pytest.raises(AssertionError):
        compare((torch.ones(3), there + 1), stand_in)
    with pytest.raises(AssertionError):
        compare((torch.ones(3), torch.ones(3)), stand_in)


def test_the_stand_in_refuses_what_a_gpu_refuses(stand_in):
    there = torch.eye(3).to(stand_in)
    with pytest.raises(RuntimeError, match="on the CPU and on the device"):
        there @ torch.ones(3)
    with pytest.raises(RuntimeError, match="on the CPU and on the device"):
        torch.ones(3)[torch.tensor([0, 1]).to(stand_in)]
    with pytest.raises(TypeError, match="copied to the CPU first"):
        there.numpy()
    assert there[torch.tensor([0, 1])].device == stand_in
    there[1, 0] = 5
    np.testing.assert_array_equal(there.cpu(), [[1, 0, 0], [5, 1, 0], [0, 0, 1]])
