"""The cycle as a whole, on digits."""

import numpy as np
import pandas as pd
import pytest

from alupdate.results.reader import read_results
from tests.support.runs import only_run, run_small


def curve_of(monkeypatch, folder, *arguments):
    folder.mkdir(exist_ok=True)
    assert run_small(monkeypatch, folder, "progress=false", *arguments) == 0
    return only_run(folder)


def test_same_config_same_curve_byte_for_byte(monkeypatch, tmp_path):
    for arguments in (["strategy=lookahead"], ["batch=sequential"], ["backbone=cnn"]):
        name = arguments[0].replace("=", "-")
        first = curve_of(monkeypatch, tmp_path / f"{name}-1", *arguments)
        second = curve_of(monkeypatch, tmp_path / f"{name}-2", *arguments)
        for file in ("curve.csv", "queries.csv"):
            assert (first / file).read_bytes() == (second / file).read_bytes()


def test_strategies_pair_by_seed(monkeypatch, tmp_path):
    """Same initial labels and same first model, whatever the strategy; another seed, others."""
    arguments = ("-m", "strategy=random,margin,lookahead", "batch=top_b,sequential", "seed=0,1")
    assert run_small(monkeypatch, tmp_path, *arguments, "n_cycles=1", "progress=false") == 0
    curves = read_results(tmp_path / "results").curves.query("cycle == 0")
    queries = read_results(tmp_path / "results").queries.query("cycle == 0")
    initial = queries.groupby("run")["pool_index"].agg(tuple).rename("initial")
    merged = curves.set_index("run").join(initial)
    assert len(merged) == 12
    for _, group in merged.groupby("seed"):
        assert group["initial"].nunique() == 1
        assert group["nll"].nunique() == 1
    assert merged["initial"].nunique() == 2


def test_bought_labels_are_distinct_and_true(monkeypatch, tmp_path):
    from alupdate.data.arrays import digits

    run = curve_of(monkeypatch, tmp_path, "n_cycles=5", "batch=sequential")
    queries = pd.read_csv(run / "queries.csv")
    assert queries["pool_index"].is_unique
    assert len(queries) == 10 + 5 * 3
    truth = digits().train_labels[queries["pool_index"]]
    np.testing.assert_array_equal(queries["label"], truth)


@pytest.mark.parametrize(
    ("arguments", "phases"),
    [
        (("update=retrain",), {"retrain": 5}),
        (("update=second_order",), {"retrain": 1, "update": 4}),
        (("update=second_order", "update.retrain_every=2"), {"retrain": 3, "update": 2}),
    ],
)
def test_when_the_model_is_retrained(arguments, phases, monkeypatch, tmp_path):
    run = curve_of(monkeypatch, tmp_path, "n_cycles=4", *arguments)
    timings = pd.read_csv(run / "timings.csv")
    counts = timings["phase"].value_counts().to_dict()
    assert {p: counts[p] for p in ("retrain", "update") if p in counts} == phases
    assert counts["select"] == 4
    assert counts["evaluate"] == 5
    assert counts["features"] == 1
    assert (timings["seconds"] > 0).all()


@pytest.mark.parametrize("mode", ["retrain", "second_order"])
@pytest.mark.parametrize("backbone", ["pixels", "cnn"])
def test_comparison_logs_both_ways_of_learning(mode, backbone, monkeypatch, tmp_path):
    arguments = (f"update={mode}", f"backbone={backbone}", "update.compare=true")
    run = curve_of(monkeypatch, tmp_path, *arguments, "training.epochs=30")
    comparison = pd.read_csv(run / "comparison.csv")
    curve = pd.read_csv(run / "curve.csv")
    column = "retrain_accuracy" if mode == "retrain" else "update_accuracy"
    assert comparison[column].tolist() == curve["accuracy"].tolist()[1:]
    assert comparison["before_accuracy"].tolist() == curve["accuracy"].tolist()[:-1]
    assert comparison["agreement"].between(0, 1).all()
    assert curve["tempered_ece"].isna().all() == (backbone == "cnn")
    ratio = comparison["retrain_seconds"] / comparison["update_seconds"]
    np.testing.assert_allclose(comparison["speedup"], ratio, rtol=0.05)


@pytest.mark.parametrize("mode", ["first_order", "second_order", "monte_carlo", "map"])
def test_every_update_learns(mode, monkeypatch, tmp_path):
    """Better than the first model after forty more labels, with a step that suits the features."""
    gamma = {"first_order": 0.01, "second_order": 3, "monte_carlo": 1, "map": 1}[mode]
    arguments = (f"update={mode}", f"update.gamma={gamma}", "strategy=random", "batch.size=10")
    settings = ("training.epochs=200", "n_cycles=4", "update.n_hypotheses=2000", "n_initial=50")
    run = curve_of(monkeypatch, tmp_path, *arguments, *settings)
    accuracy = pd.read_csv(run / "curve.csv")["accuracy"].tolist()
    assert accuracy[-1] > accuracy[0] - (0.2 if mode == "monte_carlo" else -0.01)


def test_an_automatic_step_size_is_chosen_and_timed(monkeypatch, tmp_path):
    run = curve_of(monkeypatch, tmp_path, "update=map", "update.gamma=auto")
    seconds = pd.read_csv(run / "timings.csv").query("phase == 'step_size'")["seconds"]
    assert len(seconds) == 2
    assert (seconds > 0).all()


@pytest.mark.parametrize("predictive", ["mean_field", "monte_carlo"])
def test_predictives_change_confidence_more_than_decisions(predictive, monkeypatch, tmp_path):
    runs = [
        curve_of(
            monkeypatch, tmp_path / name, f"posterior.predictive={name}", "training.epochs=100"
        )
        for name in ("map", predictive)
    ]
    plain, other = (pd.read_csv(run / "curve.csv") for run in runs)
    assert (plain["nll"] != other["nll"]).all()
    assert plain["tempered_ece"].notna().all()
    assert other["tempered_ece"].isna().all()
    assert (plain["accuracy"] - other["accuracy"]).abs().max() < 0.1


def test_comparing_does_not_change_the_curve(monkeypatch, tmp_path):
    plain = curve_of(monkeypatch, tmp_path / "plain")
    compared = curve_of(monkeypatch, tmp_path / "compared", "update.compare=true")
    first, second = (
        pd.read_csv(run / "curve.csv").drop(columns="run") for run in (plain, compared)
    )
    pd.testing.assert_frame_equal(first, second)


def test_oracles_are_marked_in_table_status_and_log(monkeypatch, tmp_path, capsys):
    assert run_small(monkeypatch, tmp_path, "strategy=lookahead") == 0
    run = only_run(tmp_path)
    assert pd.read_csv(run / "curve.csv")["oracle"].all()
    for text in (
        (run / "run.log").read_text(),
        (run / "status.json").read_text(),
        capsys.readouterr().err,
    ):
        assert "oracle" in text
    assert not pd.read_csv(curve_of(monkeypatch, tmp_path / "m") / "curve.csv")["oracle"].any()


def test_lookahead_on_a_holdout_never_buys_from_it(monkeypatch, tmp_path):
    arguments = ("strategy=lookahead", "strategy.evaluate_on=holdout", "strategy.holdout=1250")
    run = curve_of(monkeypatch, tmp_path, *arguments, "subset=null", "n_cycles=4")
    bought = set(pd.read_csv(run / "queries.csv")["pool_index"])
    everything = curve_of(monkeypatch, tmp_path / "m", "n_cycles=0")
    assert len(bought) == 22
    initial = pd.read_csv(everything / "queries.csv")["pool_index"].tolist()
    assert set(initial) <= bought
    assert len(list((tmp_path / "results").glob("*/*/curve.csv"))) == 1


def test_a_finished_run_is_skipped_unless_forced(monkeypatch, tmp_path, capsys):
    run = curve_of(monkeypatch, tmp_path)
    before = (run / "curve.csv").stat().st_mtime_ns
    assert run_small(monkeypatch, tmp_path) == 0
    assert "already done" in capsys.readouterr().err
    assert (run / "curve.csv").stat().st_mtime_ns == before
    assert run_small(monkeypatch, tmp_path, "force=true") == 0
    assert (run / "curve.csv").stat().st_mtime_ns > before


def test_whole_pool_can_be_bought(monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    rows = rng.normal(size=(40, 3)) + labels[:, None]
    np.savez(tmp_path / "d.npz", X_train=rows, y_train=labels, X_test=rows, y_test=labels)
    arguments = ("dataset=npz", "dataset.path=d.npz", "backbone=identity", "n_cycles=10")
    run = curve_of(monkeypatch, tmp_path, *arguments, "subset=null")
    assert pd.read_csv(run / "curve.csv")["n_labelled"].tolist()[-1] == 40
    assert sorted(pd.read_csv(run / "queries.csv")["pool_index"]) == list(range(40))
