"""What a data set is, and the options that read one."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from alupdate.config.options import options
from alupdate.data.dataset import ArrayImages, Texts, Vectors, from_arrays, make_dataset
from alupdate.data.parquet import Parquet
from alupdate.data.tables import Csv
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.paths import conf_dir


def test_labels_become_class_indices():
    rows = np.zeros((3, 2))
    dataset = from_arrays("d", rows, np.array([7, -1, 7]), rows, np.array([-1, 7, 7]), "here")
    assert dataset.classes == ("-1", "7")
    assert dataset.train_labels.tolist() == [1, 0, 1]
    assert dataset.test_labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("shape", "dtype", "kind", "stored"),
    [
        ((4, 5), np.float64, "vectors", (4, 5)),
        ((4, 5, 2), np.float32, "vectors", (4, 10)),
        ((4, 5), np.uint8, "vectors", (4, 5)),
        ((4, 6, 6), np.uint8, "images", (4, 6, 6, 1)),
        ((4, 6, 6, 3), np.uint8, "images", (4, 6, 6, 3)),
    ],
)
def test_kind_of_instances(shape, dtype, kind, stored):
    rows, labels = np.zeros(shape, dtype), np.arange(4) % 2
    dataset = from_arrays("d", rows, labels, rows, labels, "here")
    assert dataset.kind == kind
    assert dataset.train.rows.shape == stored


KINDS = {
    "vectors": Vectors(np.arange(12, dtype=np.float32).reshape(6, 2)),
    "images": ArrayImages(np.arange(6 * 12, dtype=np.uint8).reshape(6, 2, 2, 3)),
    "texts": Texts(("a", "b", "c", "d", "e", "f")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_instances(kind):
    instances, labels = KINDS[kind], np.array(["x", "y"] * 3)
    dataset = make_dataset("d", instances, labels, instances, labels, "here")
    assert dataset.kind == kind
    assert dataset.notes == ("6 of 6 test instances are in the pool, too (exact copies)",)
    assert len(np.unique(instances.digests())) == 6
    chosen = instances.take(np.array([4, 1]))
    assert chosen.digests().tolist() == instances.digests()[[4, 1]].tolist()
    other = make_dataset("d", instances, labels, chosen, labels[[4, 1]], "here")
    assert other.fingerprint() != dataset.fingerprint()


def test_parts_are_random_ascending_and_the_same_every_time():
    instances, labels = KINDS["vectors"], np.array(["x", "y"] * 3)
    dataset = make_dataset("d", instances, labels, instances, labels, "here")
    smaller = dataset.reduced(3, 2)
    assert smaller.fingerprint() == dataset.reduced(3, 2).fingerprint()
    assert (len(smaller.train), len(smaller.test)) == (3, 2)
    assert smaller.classes == dataset.classes
    first = smaller.train.rows[:, 0]
    assert (np.diff(first) > 0).all()
    assert smaller.train_labels.tolist() == [int(x / 2) % 2 for x in first]
    with pytest.raises(InputError, match=r"dataset\.n_train=7: there are only 6 instances"):
        dataset.reduced(7, None)


def test_notes_say_what_labels_and_classes_are():
    rows = np.arange(8.0).reshape(4, 2)
    dataset = from_arrays("d", rows, np.array([1, 3, 5, 9]), rows + 9, np.array([1] * 4), "here")
    assert dataset.notes == (
        "3, 5, 9: no test instance has this class",
        "labels are the integers 1, 3, 5 and 1 more: taken as classes in this order",
    )


def test_options_are_those_of_the_yaml_files():
    assert set(options("dataset")) == {path.stem for path in conf_dir().glob("dataset/*.yaml")}


def test_options_are_found_without_importing_anything_heavy_or_optional():
    code = (
        "import sys; from alupdate.config.options import options; options('dataset');"
        "heavy = {'torch', 'torchvision', 'sklearn', 'pandas', 'scipy', 'pyarrow', 'mlxtend',"
        "'huggingface_hub'} & set(sys.modules); sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("name", options("dataset"))
def test_places_are_settings(name):
    option = options("dataset")[name]
    assert option.places <= {field.name for field in fields(option)}
    assert {"path", "root", "train", "download", "labels"} & {
        f.name for f in fields(option)
    } <= option.places


@pytest.mark.parametrize("option", [Csv, Parquet])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "dataset.path: a value is required; give dataset.path=FILE, or dataset.train="),
        ({"train": "a"}, "dataset.test: a value is required"),
        ({"test": "a"}, "dataset.train: a value is required"),
        ({"path": "a", "test": "b"}, "dataset.path and dataset.test: exclude each other"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_from_python_too(option, settings, message):
    with pytest.raises(InputError, match=f"^{message}"):
        option(**settings).load(Path("unused"), Display(enabled=False))


def few(n_rare, n_usual):
    labels = np.array(["rare"] * n_rare + ["usual"] * n_usual)
    rows = np.arange(2.0 * len(labels)).reshape(-1, 2)
    return from_arrays("d", rows, labels, rows[: n_rare + 20], labels[: n_rare + 20], "here")


def test_notes_are_of_the_instances_that_are_used():
    whole = few(1, 400)
    assert whole.notes == ("21 of 21 test instances are in the pool, too (exact copies)",)
    smaller = few(200, 200).reduced(40, 10)
    shared = int(np.isin(smaller.test.digests(), smaller.train.digests()).sum())
    assert 0 < shared < 10
    assert smaller.notes[-1:] == (
        f"{shared} of 10 test instances are in the pool, too (exact copies)",
    )
    three = from_arrays(
        "d", np.eye(300), np.array([5] + [7, 9] * 149 + [7]), np.eye(300)[:3] + 9,
        np.array([5, 7, 9]), "here",
    ).reduced(20, None)  # fmt: skip
    assert three.notes == (
        "labels are the integers 5, 7, 9: taken as classes in this order",
        "5: no pool instance has this class",
    )


def test_a_reduction_to_one_class_is_refused():
    with pytest.raises(InputError, match=r"n_train=20: leaves one class only \(usual\) of 2"):
        few(1, 400).reduced(20, None)
