"""Labels as strings or integers, and what a user should know about classes."""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alupdate.utils.errors import InputError

NAMED = 3
"""How many names a message lists before it says how many more there are."""
LONGEST_CLASS_NAME = 60
"""Of a class, in a message."""
INT64_DIGITS = 18
"""Every number of so many digits fits into 64 bits."""


def as_strings(values: Sequence[str | None]) -> NDArray[Any]:
    """Return strings as an array of objects (N,): one of fixed width would repeat the longest."""
    strings = np.empty(len(values), dtype=object)
    strings[:] = values
    return strings


def text_if_any(value: object) -> str | None:
    """Return a label as a string, None where it is missing, empty or only white space."""
    text = "" if value is None else str(value)
    return text if text.strip() else None


def known_labels(*parts: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the labels of all parts in one type that holds each of them exactly.

    NumPy compares signed with unsigned integers as floats, in which those above 2^53 collide.
    Bytes are taken as UTF-8.
    """
    labels = [_decoded(part) if part.dtype.kind == "S" else part for part in parts]
    if {part.dtype.kind for part in labels} != {"i", "u"}:
        return labels
    limits = np.iinfo(np.int64)
    if all(int(part.max()) <= limits.max for part in parts):
        return [part.astype(np.int64) for part in parts]
    if all(int(part.min()) >= 0 for part in parts):
        return [part.astype(np.uint64) for part in parts]
    return [part.astype(object) for part in parts]


def _decoded(labels: NDArray[Any]) -> NDArray[Any]:
    text: NDArray[Any] = np.char.decode(labels, "utf-8", "backslashreplace")
    return text


def integers_if_all(*parts: NDArray[Any]) -> list[NDArray[Any]]:
    """Return strings as integers if every one of all parts is the plain spelling of one.

    "07" stays a string, and with it all others: it may be another class than "7".
    """
    if all(part.dtype.kind in "UO" and _all_integers(part) for part in parts):
        return [part.astype(np.int64) for part in parts]
    return list(parts)


def _all_integers(labels: NDArray[Any]) -> bool:
    return all(
        len(label.removeprefix("-")) <= INT64_DIGITS
        and label.removeprefix("-").isdecimal()
        and str(int(label)) == label
        for label in set(labels.tolist())
    )


def absence_notes(
    classes: Sequence[str], train_ids: NDArray[np.int64], test_ids: NDArray[np.int64]
) -> list[str]:
    """Say which classes are never seen or never tested.

    Args:
        classes: the C names.
        train_ids, test_ids: class indices of the pool's and the test set's instances.
    """
    notes = []
    for part, ids in (("pool", train_ids), ("test", test_ids)):
        absent = np.setdiff1d(np.arange(len(classes)), ids)
        if len(absent):
            notes.append(f"{few(as_strings(classes)[absent])}: no {part} instance has this class")
    return notes


def label_notes(classes: NDArray[Any]) -> list[str]:
    """Say which classes (C,), sorted, look alike, or are integers."""
    notes = []
    if classes.dtype.kind in "iu" and not np.array_equal(classes, np.arange(len(classes))):
        notes.append(f"labels are the integers {few(classes)}: taken as classes in this order")
    return notes + _alike(classes)


def _alike(classes: NDArray[Any]) -> list[str]:
    """Name the classes that look the same when they are printed: nobody wants both."""
    if classes.dtype.kind not in "UO":
        return []
    looks: dict[str, list[str]] = defaultdict(list)
    for name in map(str, classes):
        looks[_look(name)].append(name)
    same = [names for names in looks.values() if len(names) > 1]
    if not same:
        return []
    listed = " and ".join(repr(shortened(name)) for name in same[0])
    more = f"; so do {len(same) - 1} more groups" if len(same) > 1 else ""
    return [
        f"the classes {listed} differ in white space or invisible characters only{more}: taken as "
        "different classes; correct the labels if they are one"
    ]


def _look(name: str) -> str:
    visible = (c for c in unicodedata.normalize("NFC", name) if unicodedata.category(c) != "Cf")
    return " ".join("".join(visible).split())


def shortened(name: object) -> str:
    """Return a name for a message, cut where it is long."""
    text = str(name)
    return text if len(text) <= LONGEST_CLASS_NAME else f"{text[:LONGEST_CLASS_NAME]}..."


def few(names: Sequence[object] | NDArray[Any]) -> str:
    """Return the first names for a message, and how many more there are."""
    listed = ", ".join(shortened(name) for name in names[:NAMED])
    more = len(names) - NAMED
    return f"{listed} and {more} more" if more > 0 else listed


def check_labels(where: str, part: str, count: int, labels: NDArray[Any]) -> None:
    """Refuse what is no label for each of ``count`` instances of a part, train or test.

    Raises:
        InputError: they are not as many, there are none, or no integers or strings.
    """
    if labels.ndim != 1 or len(labels) != count:
        raise InputError(
            f"{where}: y_{part} has shape {labels.shape}; it must hold one label for each of the "
            f"{count} rows of X_{part}"
        )
    if count == 0:
        raise InputError(f"{where}: there are no {part} instances")
    strings = labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels)
    if labels.dtype.kind not in "iuUSb" and not strings:
        raise InputError(
            f"{where}: y_{part} holds {labels.dtype}; labels must be integers or strings"
        )


def class_indices(
    where: str, train_labels: NDArray[Any], test_labels: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Return the classes (C,), sorted, and the labels of pool and test set as indices of them.

    Raises:
        InputError: there is one class only, or the test set has a class that the pool lacks.
    """
    classes = np.unique(train_labels)
    if len(classes) < 2:
        raise InputError(
            f"{where}: y_train has one class only ({shortened(classes[0])}); need two or more"
        )
    known = np.isin(test_labels, classes)
    if not known.all():
        raise InputError(
            f"{where}: y_test has classes that y_train lacks, such as "
            f"{shortened(test_labels[~known][0])} "
            f"in row {int(np.argmin(known))}"
        )
    train_ids, test_ids = (
        np.searchsorted(classes, labels).astype(np.int64) for labels in (train_labels, test_labels)
    )
    return classes, train_ids, test_ids
