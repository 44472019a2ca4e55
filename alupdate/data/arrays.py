"""Your own arrays in one NumPy archive."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from alupdate.data.dataset import Dataset, from_arrays
from alupdate.errors import InputError

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
