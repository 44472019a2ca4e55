"""The first labels: chosen by k-means, and none at all."""

import json
import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch

from alupdate.analysis.aulc import aulc_per_run
from alupdate.data.arrays import digits
from alupdate.laplace.posterior import fit_posterior
from alupdate.models.saved import load_model
from alupdate.report.commands import run_command
from alupdate.results.reader import read_results
from alupdate.strategies.base import Query
from alupdate.strategies.label_flips import KMeansCentres
from tests.support.runs import only_run, run_cut, run_small

FILES = ("curve.csv", "queries.csv")


def run(monkeypatch, folder, *arguments):
    folder.mkdir(exist_ok=True)
    assert run_small(monkeypatch, folder, "progress=false", *arguments) == 0
    return only_run(folder)


def steps_of(path):
    """What is recorded, seconds included: cycles that were done again would differ in those."""
    return json.loads((path / "state.json").read_text())["steps"]


def test_the_first_row_is_that_of_a_uniform_prediction(monkeypatch, tmp_path):
    """Of equal probabilities the first class is predicted."""
    path = run(monkeypatch, tmp_path, "n_initial=0", "posterior.predictive=mean_field")
    curve, labels = pd.read_csv(path / "curve.csv"), digits().test_labels
    first, share = curve.iloc[0], (labels == 0).mean()
    assert curve["n_labelled"].tolist() == [0, 3, 6]
    assert first["accuracy"] == pytest.approx(share)
    assert first["nll"] == pytest.approx(math.log(10))
    assert first["brier"] == pytest.approx(0.9)
    assert first["ece"] == pytest.approx(abs(share - 0.1), abs=1e-6)
    assert first[["balanced_accuracy", "worst_recall", "confidence_auroc"]].tolist() == [
        0.1,
        0,
        0.5,
    ]
    queries = pd.read_csv(path / "queries.csv")
    assert queries["cycle"].tolist() == [1, 1, 1, 2, 2, 2]
    results = read_results(tmp_path / "results")
    assert aulc_per_run(results.curves)["area"].item() == pytest.approx(
        np.trapezoid(curve["accuracy"], [0, 3, 6]) / 6
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("update=second_order", "batch=sequential"),
        ("update=map", "posterior=per_class", "batch=sequential", "batch.update=map"),
        ("update=first_order", "strategy=uherding", "update.compare=true"),
        ("posterior=categorical", "posterior.predictive=monte_carlo", "strategy=lookahead"),
        ("strategy=typiclust", "strategy.label=t", "training=lbfgs", "keep_model=true"),
    ],
)
def test_from_the_prior_with_every_way_of_learning(arguments, monkeypatch, tmp_path):
    path = run(monkeypatch, tmp_path, "n_initial=0", *arguments)
    curve = pd.read_csv(path / "curve.csv")
    assert curve["n_labelled"].tolist() == [0, 3, 6]
    assert curve["nll"].notna().all()
    assert curve["nll"].iloc[0] == pytest.approx(math.log(10), rel=2e-3)  # noise of samples
    if "keep_model=true" in arguments:
        assert load_model(path).facts.n_labelled == 6


@pytest.mark.parametrize("update", ["retrain", "second_order"])
def test_a_run_without_first_labels_resumes_after_any_cycle(update, monkeypatch, tmp_path):
    arguments = ("n_initial=0", f"update={update}", "strategy=uherding")
    whole = run(monkeypatch, tmp_path / "whole", *arguments)
    for done in (1, 2):
        folder = tmp_path / f"cut-{done}"
        run_cut(monkeypatch, folder, done, "progress=false", *arguments)
        kept = steps_of(only_run(folder))
        cut = run(monkeypatch, folder, *arguments)
        assert steps_of(cut)[:done] == kept
        for name in FILES:
            assert (cut / name).read_bytes() == (whole / name).read_bytes()


def test_tables_figures_report_and_picture_take_a_curve_from_nothing(monkeypatch, tmp_path):
    for strategy, seed in product(("random", "margin"), (0, 1)):
        arguments = (f"strategy={strategy}", f"seed={seed}", "n_initial=0", "progress=false")
        assert run_small(monkeypatch, tmp_path, *arguments, pictures=seed == 0) == 0
    for command in ("tables", "figures", "report"):
        assert run_command([command, "results"]) == 0, command


def test_kmeans_takes_the_instance_nearest_to_the_centre_of_each_cluster():
    rng = np.random.default_rng(0)
    centres = np.eye(6)[:4] * 3
    points = np.repeat(centres, 25, axis=0) + 0.05 * rng.normal(size=(100, 6))
    features = torch.from_numpy(np.column_stack([points, np.ones(100)]))
    prior = fit_posterior(torch.zeros(4, 7, dtype=torch.float64), features[:0], "gaussian", 1.0)
    picked = KMeansCentres().select(Query.of(prior, features), 4)
    units = points / np.linalg.norm(points, axis=1, keepdims=True)
    nearest = [
        first
        + np.square(units[first : first + 25] - units[first : first + 25].mean(axis=0))
        .sum(axis=1)
        .argmin()
        for first in range(0, 100, 25)
    ]
    assert sorted(picked.tolist()) == nearest


def test_first_labels_by_kmeans_are_a_different_choice_of_the_same_number(monkeypatch, tmp_path):
    paths = [
        run(monkeypatch, tmp_path / name, f"initial={name}", "n_cycles=0")
        for name in ("random", "kmeans")
    ]
    random, kmeans = (pd.read_csv(path / "queries.csv")["pool_index"] for path in paths)
    assert len(random) == len(kmeans) == kmeans.nunique() == 10
    assert set(random) != set(kmeans)
    again = run(monkeypatch, tmp_path / "again", "initial=kmeans", "n_cycles=0")
    assert pd.read_csv(again / "queries.csv")["pool_index"].tolist() == kmeans.tolist()
