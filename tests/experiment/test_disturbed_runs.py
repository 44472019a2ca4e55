"""Runs on disturbed data: instances that nobody can label, and wrong labels by confusion."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

import alupdate
from alupdate.config.options import make_option, options
from alupdate.config.values import NO_LABEL
from alupdate.data.arrays import Digits
from alupdate.data.dataset import Dataset, Vectors
from alupdate.data.disturbances import Disturbances
from alupdate.data.pool import Pool
from alupdate.experiment.setup import card
from alupdate.models.confusion import probe_confusion, with_confused_labels
from alupdate.report.charts import acquired_classes
from alupdate.results.records import run_tables
from alupdate.results.store import ADDED, RunStore
from alupdate.utils.display import Display
from alupdate.utils.seeds import Stream, generator
from tests.strategies.test_contract import FEW
from tests.support.runs import run_small

SMALL = ["dataset=digits", "backbone=pixels", "n_initial=10", "n_cycles=3", "subset=60",
         "batch.size=4", "training.epochs=3", "progress=false"]  # fmt: skip
OUTLIERS = "disturbance=outliers"
TRUTH = Digits(outliers=0.3).load(Path("cache"), Display(enabled=False)).train_labels
OUTSIDE = np.flatnonzero(TRUTH == NO_LABEL)


def run(folder, *arguments):
    return alupdate.run([*SMALL, OUTLIERS, f"results_dir={folder}", *arguments])


def test_a_pool_keeps_what_nobody_can_label_apart():
    pool = Pool.unlabelled(5).label(np.array([3, 1, 4]), np.array([0, NO_LABEL, 2]))
    assert pool.indices.tolist() == [3, 4]
    assert pool.labels.tolist() == [0, 2]
    assert pool.candidates().tolist() == [0, 2]
    assert pool.n_asked == 3
    with pytest.raises(ValueError, match="not distinct unlabelled"):
        pool.label(np.array([1]), np.array([0]))


@pytest.mark.parametrize("batch", ["top_b", "sequential"])
def test_asking_for_an_outlier_costs_a_label_and_teaches_nothing(batch, tmp_path):
    found = run(tmp_path, "strategy=random", f"batch={batch}", "update=second_order")
    queries = found.queries
    np.testing.assert_array_equal(queries["label"], TRUTH[queries["pool_index"]])
    assert queries["pool_index"].is_unique
    assert (queries["label"] == NO_LABEL).sum() > 2
    assert found.curve["n_labelled"].tolist() == [10, 14, 18, 22]
    assert found.curve["dataset"].unique().tolist() == ["digits_outliers0.3"]
    assert acquired_classes(queries)["classes"].iloc[-1] == len({*queries["label"]}) - 1


def test_a_batch_without_any_label_leaves_the_model_as_it_is(tmp_path, monkeypatch):
    from alupdate.experiment.selection import Selector

    def select(self, cycle, pool, model, annotate):
        return np.intersect1d(pool.candidates(), OUTSIDE)[:4]

    monkeypatch.setattr(Selector, "select", select)
    found = run(tmp_path, "update=second_order", "update.compare=true")
    assert found.curve["nll"].nunique() == 1
    assert found.curve["n_labelled"].tolist() == [10, 14, 18, 22]
    assert not (found.path / "comparison.csv").exists()


@pytest.mark.parametrize("update", ["retrain", "second_order"])
def test_a_run_with_outliers_resumes_to_the_same_curve(update, tmp_path):
    arguments = ("batch=sequential", f"update={update}")
    whole = run(tmp_path, *arguments)
    curve = (whole.path / "curve.csv").read_bytes()
    store = RunStore(whole.config)
    steps = json.loads((whole.path / "state.json").read_text())["steps"][:2]
    assert any(NO_LABEL in step["labels"] for step in steps)
    with store.locked():
        store.begin({"device": "cpu"})
        store.save(steps, run_tables(store.name, whole.config, False, steps))
        store.set_state("interrupted")
    again = run(tmp_path, *arguments)
    assert (again.path / "curve.csv").read_bytes() == curve
    assert "damaged" not in (again.path / "run.log").read_text()


def test_every_strategy_runs_on_a_pool_with_outliers(monkeypatch, tmp_path):
    """Oracles, which see that there is no label, never ask for one."""
    (tmp_path / "own_strategy.py").write_text(
        "from alupdate.strategies.uncertainty import Margin\nmake_strategy = lambda _: Margin()\n"
    )
    names = sorted(options("strategy"))
    for name in names:
        settings = dict(FEW.get(name, {}))
        if name == "plugin":
            settings["module"] = "own_strategy"
        extra = [f"strategy.{k}={json.dumps(v)}" for k, v in settings.items()]
        arguments = (OUTLIERS, f"strategy={name}", "batch=sequential", "n_cycles=1", *extra)
        assert run_small(monkeypatch, tmp_path, *arguments, "progress=false") == 0, name
    results = alupdate.load_results(tmp_path / "results")
    assert len(results.runs) == len(names)
    later = results.queries.query("cycle > 0").set_index("run")
    oracles = results.curves.query("oracle")["run"].unique()
    assert len(oracles) >= 4
    assert (later.loc[oracles, "label"] != NO_LABEL).all()
    assert (later["label"] == NO_LABEL).any()


def test_first_picks_of_outliers_alone_are_refused(monkeypatch, tmp_path, capsys):
    arguments = (OUTLIERS, "dataset.outliers=0.6", "dataset.outlier_classes=8", "n_initial=2")
    outside = Digits(outliers=0.6, outlier_classes=8).load(Path("cache"), Display(enabled=False))
    orders = (
        generator(seed, Stream.INITIAL_LABELS).permutation(len(outside.train_labels))[:2]
        for seed in range(99)
    )
    seed = next(i for i, o in enumerate(orders) if (outside.train_labels[o] == NO_LABEL).all())
    assert run_small(monkeypatch, tmp_path, *arguments, f"seed={seed}") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: n_initial=2: 2 of these instances are outliers without a label")
    assert not (tmp_path / "results").exists()


def test_an_oracle_is_not_promised_outliers(monkeypatch, tmp_path, capsys):
    arguments = ("dataset.n_train=100", "strategy=lookahead", "strategy.n_batches=3", "n_cycles=30")
    assert run_small(monkeypatch, tmp_path, OUTLIERS, *arguments) == 2
    assert "n_cycles can be" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((OUTLIERS, "task=updating"), "dataset.outliers=0.3: task=updating compares"),
        (("disturbance=long_tail", "task=label"), "dataset.imbalance=50: is for simulations"),
        (("disturbance=long_tail", "task=suggest"), "dataset.imbalance=50: is for simulations"),
        (("dataset.imbalance=0.5",), "dataset.imbalance=0.5: must be greater than or equal to 1"),
        (("dataset.label_noise=1",), "dataset.label_noise=1: must be less than 1"),
        (("dataset.outlier_classes=[1]",), "dataset.outlier_classes: has no effect without"),
        (
            (OUTLIERS, "dataset.outlier_classes=x"),
            "dataset.outlier_classes=x: must be a number of classes",
        ),
        (
            ("disturbance=label_noise", "dataset.label_noise_kind=confusion", "backbone=cnn"),
            "dataset.label_noise_kind=confusion: is that of a linear probe",
        ),
        (("disturbance=noise",), "disturbance=noise: no such disturbance"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, message, monkeypatch, tmp_path, capsys):
    assert run_small(monkeypatch, tmp_path, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "results").exists()


def test_settings_that_leave_the_data_as_they_are_name_the_run_as_before():
    added = {f"dataset.{key}": value for key, value in asdict(Disturbances()).items()}
    assert added.items() <= ADDED.items()


def test_features_are_those_of_the_whole_data_set():
    display, device = Display(enabled=False), torch.device("cpu")
    plain = Digits().load(Path("cache"), display)
    other = Digits(imbalance=20.0, duplicates=0.3, outliers=0.2).load(Path("cache"), display)
    backbone = make_option("backbone", {"name": "pixels"})
    whole, found = (backbone.features(data, device, "cache", display) for data in (plain, other))
    rows = whole.pool[other.source.train_positions]
    again = (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-9)
    varied = rows.std(axis=0) > 1e-3
    np.testing.assert_allclose(found.pool[:, varied], again[:, varied], atol=1e-3)
    assert len(found.test) == len(other.test)


def blobs(seed=0):
    """Four classes in the plane, of which 0 and 1 are near each other, and 2 and 3."""
    labels = np.arange(400) % 4
    centres = np.array([[0.0, 0.0], [1.0, 0.0], [9.0, 9.0], [9.0, 10.0]])
    noise = np.random.default_rng(seed).normal(size=(400, 2))
    return (centres[labels] + noise).astype(np.float32), labels


def test_a_probe_confuses_classes_that_are_near_each_other():
    rows, labels = blobs()
    features = torch.from_numpy(np.column_stack([rows, np.ones(len(rows), np.float32)]))
    found = probe_confusion(features, labels, 4, np.random.default_rng(0))
    assert (np.diag(found) == 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-3)
    assert min(found[0, 1], found[1, 0], found[2, 3], found[3, 2]) > 0.8
    absent = probe_confusion(features, labels, 5, np.random.default_rng(0))
    np.testing.assert_allclose(absent[4], [0.25, 0.25, 0.25, 0.25, 0], atol=1e-4)


def test_wrong_labels_by_confusion_are_those_of_the_probe():
    rows, labels = blobs()
    features = torch.from_numpy(np.column_stack([rows, np.ones(len(rows), np.float32)]))
    data = Dataset("d", Vectors(rows), labels, Vectors(rows), labels, tuple("abcd"))
    settings = Disturbances(label_noise=0.25, label_noise_kind="confusion")
    noisy = with_confused_labels(settings, data, features)
    wrong = noisy.train_labels != labels
    assert wrong.sum() == 100
    assert (noisy.train_labels[wrong] // 2 == labels[wrong] // 2).mean() > 0.8
    assert noisy.notes == ("100 of 400 labels of the pool are wrong (confusion)",)
    np.testing.assert_array_equal(noisy.test_labels, labels)


def test_a_run_learns_the_wrong_labels_and_is_scored_by_the_true_ones(tmp_path):
    arguments = [*SMALL, "disturbance=label_noise", "dataset.label_noise_kind=confusion"]
    found = alupdate.run([*arguments, "n_initial=300", f"results_dir={tmp_path}"])
    truth = Digits().load(Path("cache"), Display(enabled=False)).train_labels
    wrong = (found.queries["label"] != truth[found.queries["pool_index"]]).mean()
    assert 0.12 < wrong < 0.28
    log = (found.path / "run.log").read_text()
    assert "259 of 1297 labels of the pool are wrong (confusion)" in log


def test_a_card_counts_the_labels_that_there_are():
    lines = dict(card(Digits(outliers=0.3).load(Path("cache"), Display(enabled=False))))
    assert int(lines["pool"]) == len(TRUTH)
    assert lines["classes"] == str(TRUTH.max() + 1)


def test_describe_says_what_was_done(monkeypatch, tmp_path, capsys):
    assert run_small(monkeypatch, tmp_path, "task=describe", OUTLIERS) == 0
    output = capsys.readouterr().out
    assert f"{len(OUTSIDE)} of {len(TRUTH)} instances of the pool are outliers" in output


def test_runs_whose_disturbances_have_their_seed_are_repetitions(tmp_path):
    arguments = [*SMALL, "disturbance=long_tail", "n_cycles=1", f"results_dir={tmp_path}"]
    for seed in (0, 1):
        alupdate.run([*arguments, f"seed={seed}", "dataset.disturbance_seed=${seed}"])
    assert alupdate.load_results(tmp_path).curves["strategy"].unique().tolist() == ["margin"]
    alupdate.run([*arguments, "seed=2", "dataset.disturbance_seed=7"])
    named = alupdate.load_results(tmp_path).curves["strategy"]
    assert named.nunique() == 3


def test_a_saved_model_of_a_run_with_outliers_is_not_made_again(tmp_path):
    from alupdate.experiment.kept_model import has_model

    found = run(tmp_path, "keep_model=true")
    assert has_model(found.path, found.config)
