"""Where the steps of a run are done: the decision, and runs whose steps are on two devices."""

import json
from dataclasses import replace

import pytest
import torch

from alupdate.experiment import placement, setup
from alupdate.experiment.placement import (
    LARGE_QUERY,
    LARGE_TRAINING,
    Placement,
    StepSizes,
    device_type_for,
    placed,
    sizes_of,
)
from alupdate.laplace.updates import laplace_posterior
from alupdate.models.learner import on_device
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from tests.support.experiments import config
from tests.support.pretend_device import PRETEND, pretend_device
from tests.support.runs import only_run, run_small

CPU = torch.device("cpu")
PAPER = StepSizes(dimension=384, classes=10, minibatch=64, candidates=1000)
WITH_MODEL = ("training", "updates", "predictions")


@pytest.mark.parametrize(
    ("step", "sizes", "expected"),
    [
        ("features", PAPER, "cuda"),
        *((step, PAPER, "cpu") for step in WITH_MODEL),
        *((step, replace(PAPER, dimension=1280, classes=1000), "cuda") for step in WITH_MODEL),
        ("training", replace(PAPER, dimension=1280, classes=1000, minibatch=0), "cpu"),
        ("queries", PAPER, "cpu"),
        ("queries", replace(PAPER, points=10_000), "cuda"),
        ("queries", replace(PAPER, dimension=1280, candidates=50_000), "cuda"),
    ],
)
def test_measured_steps_are_where_they_were_faster(step, sizes, expected):
    assert device_type_for(step, sizes) == expected


def test_a_threshold_belongs_to_the_gpu():
    at = StepSizes(dimension=LARGE_TRAINING // 64, classes=1, minibatch=64, candidates=1)
    assert device_type_for("training", at) == "cuda"
    assert device_type_for("training", replace(at, minibatch=63)) == "cpu"
    at = StepSizes(dimension=64, classes=1, minibatch=1, candidates=LARGE_QUERY // 64)
    assert device_type_for("queries", at) == "cuda"
    assert device_type_for("queries", replace(at, candidates=at.candidates - 1)) == "cpu"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    return config(folder / "x").dataset.load(folder, Display(enabled=False))


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    return torch.device("cuda")


def test_auto_divides_the_steps(gpu, digits, tmp_path):
    run = config(tmp_path / "x")
    assert placed(run, digits, 64) == Placement(gpu, CPU, CPU)
    whole = replace(run, subset=None)
    assert placed(whole, digits, 8192) == Placement(gpu, CPU, gpu)
    assert placed(whole, digits, 2**14) == Placement(gpu, gpu, gpu)


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:1"])
def test_a_named_device_takes_every_step(gpu, digits, tmp_path, name):
    device = torch.device(name)
    run = replace(config(tmp_path / "x"), device=name)
    assert placed(run, digits, 2**14) == Placement(device, device, device)


def test_without_a_gpu_everything_is_on_the_cpu(monkeypatch, digits, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run = config(tmp_path / "x")
    assert placed(run, digits, 2**14) == Placement(CPU, CPU, CPU)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match="device=cuda: there is no such device here"):
        placement.placed(replace(run, device="cuda"), digits, 64)


def test_sizes_are_those_of_the_run(digits, tmp_path):
    run = config(tmp_path / "x", training={"solver": "lbfgs"}, strategy={"name": "lookahead"})
    found = sizes_of(run, digits, 64)
    assert found == StepSizes(64, 10, 0, 1000, len(digits.test))
    assert sizes_of(replace(run, subset=None), digits, 64).candidates == len(digits.train)
    assert sizes_of(config(tmp_path / "x"), digits, 64) == StepSizes(64, 10, 64, 1000)


@pytest.mark.parametrize("likelihood", ["gaussian", "per_class"])
def test_a_posterior_moves_whole(likelihood):
    before = laplace_posterior(torch.ones(3, 4), torch.eye(4), likelihood, 1.0)
    with pretend_device() as device:
        there = on_device(before, device)
        points = torch.ones(2, 4)
        found = there.variances(points.to(device))
        assert found.device == device
        torch.testing.assert_close(found.cpu(), before.variances(points))


@pytest.mark.parametrize(
    "settings",
    [
        ("strategy=margin", "batch=sequential", "update=second_order"),
        ("strategy=lookahead", "strategy.n_batches=5"),
        ("strategy=boss", "strategy.n_batches=10", "posterior.likelihood=per_class"),
    ],
    ids=lambda settings: settings[0],
)
def test_a_run_on_two_devices_is_that_on_one(settings, monkeypatch, tmp_path):
    """No tensor ends on a wrong device: the stand-in would refuse to work with it."""
    curves = {}
    for name, where in {
        "cpu": Placement(CPU, CPU, CPU),
        "queries": Placement(CPU, CPU, PRETEND),
        "everything": Placement(CPU, PRETEND, PRETEND),
    }.items():
        monkeypatch.setattr(setup, "placed", lambda *_, where=where: where)
        (tmp_path / name).mkdir()
        with pretend_device():
            assert run_small(monkeypatch, tmp_path / name, *settings) == 0
        folder = only_run(tmp_path / name)
        curves[name] = [(folder / file).read_text() for file in ("curve.csv", "queries.csv")]
        assert f"devices: {where}" in (folder / "run.log").read_text()
        status = json.loads((folder / "status.json").read_text())
        there = {"features": "cpu", "model": str(where.model), "queries": str(where.queries)}
        assert status.get("devices") == (None if name == "cpu" else there)
    assert curves["queries"] == curves["cpu"]
    assert curves["everything"] == curves["cpu"]
