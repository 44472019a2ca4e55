"""What a data set is, and the checks that every one must pass."""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from alupdate.errors import InputError

IntArray = NDArray[np.int64]
Instances = NDArray[np.float32] | NDArray[np.uint8]


@dataclass(frozen=True)
class Dataset:
    """A pool to choose from and a test set.

    Attributes:
        name: as shown in tables and figures.
        kind: ``images``, uint8 (N, H, W, channels), or ``vectors``, float32 (N, D).
        train: the pool's instances.
        train_labels: (N,), class indices 0..C-1.
        test, test_labels: the same for the T test instances.
        classes: the C class names.
    """

    name: str
    kind: Literal["images", "vectors"]
    train: Instances
    train_labels: IntArray
    test: Instances
    test_labels: IntArray
    classes: tuple[str, ...]

    def fingerprint(self) -> str:
        """Return a SHA-256 over all instances (the labels do not enter features)."""
        digest = hashlib.sha256()
        for array in (self.train, self.test):
            digest.update(f"{array.shape}{array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def make_dataset(
    name: str,
    train: NDArray[Any],
    train_labels: NDArray[Any],
    test: NDArray[Any],
    test_labels: NDArray[Any],
    where: str,
) -> Dataset:
    """Check raw arrays and bring them into the form of ``Dataset``.

    Instances are images if they are uint8 with 3 or 4 axes, and vectors otherwise (further axes
    are flattened). Labels may be any integers or strings; classes are sorted.

    Args:
        where: how to call the source in an error message, such as ``dataset.path=F``.

    Raises:
        InputError: lengths differ, something is empty or not finite, or there is one class only.
    """
    train, test = np.asarray(train), np.asarray(test)
    for part, rows, labels in (("train", train, train_labels), ("test", test, test_labels)):
        _check_part(where, part, rows, labels)
    if train.shape[1:] != test.shape[1:]:
        raise InputError(
            f"{where}: instances have shape {train.shape[1:]} in train and {test.shape[1:]} in "
            "test; they must agree"
        )
    classes, train_ids, test_ids = _class_indices(where, train_labels, test_labels)
    images = train.dtype == np.uint8 and test.dtype == np.uint8 and train.ndim in (3, 4)
    shape = _as_images if images else _as_vectors
    return Dataset(
        name=name,
        kind="images" if images else "vectors",
        train=shape(train),
        train_labels=train_ids,
        test=shape(test),
        test_labels=test_ids,
        classes=classes,
    )


def _check_part(where: str, part: str, rows: NDArray[Any], labels: NDArray[Any]) -> None:
    if rows.ndim < 2:
        raise InputError(f"{where}: X_{part} has {rows.ndim} axes; it must be (N, D) or images")
    if labels.ndim != 1 or len(labels) != len(rows):
        raise InputError(
            f"{where}: y_{part} has shape {labels.shape}; it must hold one label for each of the "
            f"{len(rows)} rows of X_{part}"
        )
    if rows.size == 0:
        raise InputError(f"{where}: X_{part} is empty")
    if rows.dtype.kind not in "fiub":
        raise InputError(f"{where}: X_{part} holds {rows.dtype}; it must hold numbers")
    if labels.dtype.kind not in "iuUSb":
        raise InputError(
            f"{where}: y_{part} holds {labels.dtype}; labels must be integers or strings"
        )
    if rows.dtype.kind == "f":
        finite = np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
        if not finite.all():
            first = int(np.argmin(finite))
            count = int((~finite).sum())
            raise InputError(
                f"{where}: X_{part} has NaN or infinite values in {count} rows, the first is row "
                f"{first}; remove or fill them"
            )


def _class_indices(
    where: str, train_labels: NDArray[Any], test_labels: NDArray[Any]
) -> tuple[tuple[str, ...], IntArray, IntArray]:
    classes = np.unique(train_labels)
    if len(classes) < 2:
        raise InputError(f"{where}: y_train has one class only ({classes[0]}); need two or more")
    known = np.isin(test_labels, classes)
    if not known.all():
        raise InputError(
            f"{where}: y_test has classes that y_train lacks, such as {test_labels[~known][0]} "
            f"in row {int(np.argmin(known))}"
        )
    train_ids, test_ids = (
        np.searchsorted(classes, labels).astype(np.int64) for labels in (train_labels, test_labels)
    )
    return tuple(str(name) for name in classes), train_ids, test_ids


def _as_images(rows: NDArray[Any]) -> NDArray[np.uint8]:
    return rows if rows.ndim == 4 else rows[..., None]


def _as_vectors(rows: NDArray[Any]) -> NDArray[np.float32]:
    return rows.reshape(len(rows), -1).astype(np.float32)
