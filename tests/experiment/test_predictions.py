"""task=predict: a row for each instance, and the accuracy where labels are known."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic.dataclasses import dataclass

import alupdate
from alupdate.config.compose import compose_config
from alupdate.config.values import SETTINGS
from alupdate.data.dataset import ArrayImages, Texts, Vectors
from alupdate.data.own_data import OwnData, PartlyLabelled
from alupdate.experiment.predictions import FIXED, probability_columns, write_predictions
from alupdate.models.images import ImageNetwork
from alupdate.models.model_files import Inputs
from alupdate.report.commands import run_command as run_report
from alupdate.utils.display import Display
from tests.support.runs import SMALL, run_command
from tests.support.saved import backbone_of, small_model, with_backbone

FEWER = ("dataset.n_train=200", "dataset.n_test=100")
DIGITS = ("dataset=digits", "backbone=pixels", "progress=false", *FEWER, *SMALL)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    more = ("keep_model=true", "calibrate=true", f"results_dir={folder / 'results'}")
    return alupdate.run([*DIGITS, *more])


def table_of(folder, name="digits"):
    (path,) = Path(folder).glob(f"results/default/predictions-{name}-*/predictions.csv")
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return pd.DataFrame(rows, columns=header)


def predict(monkeypatch, folder, model, *more):
    path = f"model={model}"
    return run_command(monkeypatch, folder, "task=predict", path, "progress=false", *more)


@pytest.mark.parametrize("predictive", ["map", "mean_field", "monte_carlo"])
@pytest.mark.parametrize("calibrate", [False, True])
def test_predictions_of_a_run_are_those_of_its_model(
    predictive, calibrate, finished, monkeypatch, tmp_path
):
    settings = (f"posterior.predictive={predictive}", f"calibrate={str(calibrate).lower()}")
    monkeypatch.setattr("alupdate.models.saved.ROWS_AT_ONCE", 150)
    assert predict(monkeypatch, tmp_path, finished.path, "dataset=digits", *FEWER, *settings) == 0
    table = table_of(tmp_path)
    assert tuple(table.columns[:5]) == FIXED
    assert table["part"].tolist() == ["pool"] * 200 + ["test"] * 100
    test = table[table["part"] == "test"]
    if predictive == "map":
        accuracy = (test["label"] == test["true_label"]).mean()
        assert accuracy == finished.curve["accuracy"].iloc[-1]
    model = alupdate.load_model(finished.path)
    images = finished.config.dataset.load(tmp_path, None).test.rows
    expected = model.predict(images, predictive, calibrate)
    found = test.filter(like="p_").astype(float).to_numpy()
    assert found == pytest.approx(expected, abs=2e-6)
    variances = test["variance"].astype(float).to_numpy()
    assert variances == pytest.approx(model.variances(images).mean(axis=1), rel=1e-5)


def test_it_prints_the_accuracy_and_where_the_file_is(finished, monkeypatch, tmp_path, capsys):
    file = finished.path / "model.safetensors"
    arguments = ("task=predict", f"model={file}", "dataset=digits", *FEWER)
    assert run_command(monkeypatch, tmp_path, *arguments) == 0
    answer = capsys.readouterr()
    accuracy = finished.curve["accuracy"].iloc[-1]
    assert f"{accuracy:.4f}" in answer.out
    assert "predictions: results/default/predictions-digits-" in answer.err
    first = {path: path.read_bytes() for path in tmp_path.rglob("*.csv")}
    assert run_command(monkeypatch, tmp_path, *arguments, "posterior.predictive=mean_field") == 0
    assert run_command(monkeypatch, tmp_path, *arguments) == 0
    again = {path: path.read_bytes() for path in tmp_path.rglob("*.csv")}
    assert len(again) == 2
    assert first.items() <= again.items()


def test_tables_figures_and_status_pass_over_predictions(finished, monkeypatch, tmp_path, capsys):
    place = finished.path.parent
    before = alupdate.load_results(place)
    where = f"results_dir={place.parent}"
    assert predict(monkeypatch, tmp_path, finished.path, "dataset=digits", *FEWER, where) == 0
    assert [path.name[:12] for path in place.glob("pred*")] == ["predictions-"]
    after = alupdate.load_results(place)
    pd.testing.assert_frame_equal(after.curves, before.curves)
    assert not after.missing
    capsys.readouterr()
    assert run_command(monkeypatch, tmp_path, "task=status", f"experiment_dir={place}") == 0
    assert "predictions" not in capsys.readouterr().out
    for command in ("tables", "figures"):
        assert run_report([command, str(place)]) == 0


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class FakeData(OwnData):
    """Some instances, of which some are labelled."""

    name: str = "fake"

    def instances(self, cache, display):
        raise NotImplementedError

    def read_labelled(self, cache, display):
        raise NotImplementedError

    def digest_of_data(self, cache, display):
        return "0"

    def partly_labelled(self, cache, display):
        return GIVEN[0]


GIVEN: list[PartlyLabelled] = []


def partly(pool, names, indices=(), labels=(), test=None, test_labels=None, classes=("a", "b")):
    ints = (np.array(x, np.int64) for x in (indices, labels, ()))
    indices, labels, skipped = ints
    return PartlyLabelled(
        "mine", pool, tuple(names), indices, labels, skipped, classes, False, test, test_labels
    )


@pytest.fixture
def own(monkeypatch):
    """Predict with a model on data of the user's."""

    def run(model, data, folder, **changes):
        monkeypatch.setattr(f"{__name__}.GIVEN", [data])
        monkeypatch.chdir(folder)
        model.save(folder / "model")
        config = compose_config(["task=predict", "model=model", "dataset=digits"])
        config = replace(config, dataset=FakeData(), **changes)
        write_predictions(config, Display(enabled=True))
        return table_of(folder, "fake")

    return run


def test_own_data_may_lack_labels_and_a_test_set(own, tmp_path, capsys):
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    names = ["=1+1", "b,c.png", 'say "hi"\nthere', "x", "caf\u00e9"]
    data = partly(Vectors(rows), names, [3, 0], [1, 2], classes=("a", "b", "zebra"))
    table = own(small_model(), data, tmp_path)
    assert table["instance"].tolist() == names
    assert table["true_label"].tolist() == ["zebra", "", "", "b", ""]
    assert set(table["part"]) == {"pool"}
    expected = small_model().predict(rows)
    assert table[["p_a", "p_b", "p_c"]].astype(float).to_numpy() == pytest.approx(expected)
    assert table["label"].tolist() == ["abc"[i] for i in expected.argmax(axis=1)]
    said = capsys.readouterr()
    assert "has 1 classes that the model has not learnt, such as zebra" in said.err
    assert "0.5000" in said.out or "0.0000" in said.out


def test_own_data_with_a_test_set_has_two_parts(own, tmp_path):
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    data = partly(Vectors(rows), "vwxyz", [0], [1], Vectors(rows[:2]), np.array([0, 1]))
    table = own(small_model(), data, tmp_path)
    assert table["part"].tolist() == ["pool"] * 5 + ["test"] * 2
    assert table["instance"].tolist() == [*"vwxyz", "0", "1"]
    assert table["true_label"].tolist() == ["b", "", "", "", "", "a", "b"]


WRONG = {
    "mine: has 2 features, but the model takes 4": Vectors(
        np.zeros((2, 2), np.float32), ("a", "b", "c", "d")
    ),
    "mine: the model's features have names": Vectors(np.zeros((2, 4), np.float32)),
    "mine: has texts, but the model takes vectors": Texts(("a", "b")),
    "mine: has images, but the model takes": ArrayImages(np.zeros((2, 2, 2, 1), np.uint8)),
    "mine: its feature columns come in another order": Vectors(
        np.zeros((2, 4), np.float32), ("b", "a", "c", "d")
    ),
    "instance 1: is too far from the pool": Vectors(
        np.array([[0] * 4, [3e38] * 4], np.float32), ("a", "b", "c", "d")
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_data_that_the_model_does_not_take_leave_nothing(message, own, tmp_path):
    model = replace(small_model(), inputs=Inputs("vectors", 4, ("a", "b", "c", "d")))
    with pytest.raises(alupdate.InputError, match=message):
        own(model, partly(WRONG[message], "12"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_own_images_are_read_from_the_cache_the_second_time(own, tmp_path, monkeypatch):
    backbone = backbone_of(name="timm", model="test_resnet", weights="random", image_size=32)
    model = with_backbone(backbone, Inputs("images", 96))
    images = ArrayImages(np.random.default_rng(0).integers(255, size=(3, 9, 9, 3), dtype=np.uint8))
    first = own(model, partly(images, "123"), tmp_path)
    monkeypatch.setattr(ImageNetwork, "features", None)
    pd.testing.assert_frame_equal(own(model, partly(images, "123"), tmp_path), first)


def test_columns_of_probabilities_are_distinct_and_safe():
    classes = ("a", "b c", "b,c", "b_c", "=1", "caf\u00e9", "x" * 400, "x" * 401)
    columns = probability_columns(classes)
    assert len(set(columns)) == len(classes)
    assert columns[0] == "p_a"
    assert all(name.replace("-", "_").isidentifier() for name in columns)


def test_a_model_that_was_made_from_python_predicts_on_files(tmp_path, monkeypatch, capsys):
    """The whole way for npz files: run, keep, predict, update, predict."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 3))
    labels = np.where(rows[:, 0] > 0, "yes", "no")
    parts = {"X_train": rows[:40], "y_train": labels[:40], "X_test": rows[40:]}
    np.savez(tmp_path / "my.npz", y_test=labels[40:], **parts)
    data = ("dataset=npz", f"dataset.path={tmp_path / 'my.npz'}", "backbone=identity")
    small = (*SMALL[1:], "n_initial=6", "subset=20", "progress=false", "keep_model=true")
    result = alupdate.run([*data, *small, f"results_dir={tmp_path / 'runs'}"])
    assert predict(monkeypatch, tmp_path, result.path, *data[:2]) == 0
    model = alupdate.load_model(result.path)
    table = table_of(tmp_path, "npz")
    found = table.loc[table["part"] == "test", "p_yes"].astype(float).to_numpy()
    assert found == pytest.approx(model.predict(rows[40:])[:, 1], abs=1e-6)
    updated = model.update(rows[:5], labels[:5], gamma=1.0).save(tmp_path / "updated.safetensors")
    assert predict(monkeypatch, tmp_path, updated, *data[:2]) == 0
    assert len(list(tmp_path.glob("results/default/predictions-npz-*"))) == 2
    document = json.loads((tmp_path / "updated.json").read_text())
    assert document["facts"]["n_labelled"] == model.facts.n_labelled + 5


def test_missing_models_are_one_line(tmp_path, monkeypatch, capsys):
    assert predict(monkeypatch, tmp_path, tmp_path / "none", "dataset=digits") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"error: {tmp_path / 'none' / 'model.json'}: No such file or directory"
    assert not list(tmp_path.iterdir())


def test_tables_texts_and_folders_without_labels(tmp_path, monkeypatch, capsys):
    """Own data as they come: no labels, no test set."""
    monkeypatch.chdir(tmp_path)
    columns = ("b", "a")
    model = replace(small_model(dimension=2), inputs=Inputs("vectors", 2, columns))
    model.save(tmp_path / "table")
    rows = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    pd.DataFrame(rows, columns=columns).to_parquet("new.parquet")
    data = ("dataset=parquet", "dataset.path=new.parquet")
    assert predict(monkeypatch, tmp_path, "table", *data) == 0
    table = table_of(tmp_path, "parquet")
    assert table["instance"].tolist() == ["1", "2", "3", "4"]
    expected = model.predict(rows)
    assert table[["p_a", "p_b", "p_c"]].astype(float).to_numpy() == pytest.approx(
        expected, abs=1e-6
    )
    assert set(table["true_label"]) == {""}
    pd.DataFrame(rows, columns=["a", "b"]).to_parquet("other.parquet")
    capsys.readouterr()
    assert predict(monkeypatch, tmp_path, "table", data[0], "dataset.path=other.parquet") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: parquet: its feature columns come in another order than the model's"
    pixels = with_backbone(backbone_of(name="pixels"), Inputs("images", 12, (), (2, 2, 3)))
    pixels.save(tmp_path / "pixels")
    folder = tmp_path / "photos" / "unlabelled"
    folder.mkdir(parents=True)
    for i in range(3):
        Image.new("RGB", (2, 2), (i, 0, 0)).save(folder / f"{i}.png")
    photos = ("dataset=imagefolder", "dataset.path=photos")
    assert predict(monkeypatch, tmp_path, "pixels", *photos) == 0
    names = table_of(tmp_path, "imagefolder")["instance"].tolist()
    assert names == [f"unlabelled/{i}.png" for i in range(3)]
