"""Labels as strings or integers, and what a user should know about classes."""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAMED = 3
"""How many names a message lists before it says how many more there are."""
LONGEST_NAME = 60
"""Of a class, in a message."""


def as_strings(values: Sequence[str]) -> NDArray[Any]:
    """Return strings as an array of objects (N,): one of fixed width would repeat the longest."""
    strings = np.empty(len(values), dtype=object)
    strings[:] = values
    return strings


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


def label_notes(classes: NDArray[Any], test_ids: NDArray[np.int64]) -> list[str]:
    """Say which classes are never tested, look alike, or are integers.

    Args:
        classes: (C,), sorted.
        test_ids: class indices of the test instances.
    """
    notes = []
    absent = np.setdiff1d(np.arange(len(classes)), test_ids)
    if len(absent):
        notes.append(f"{_few(classes[absent])}: no test instance has this class")
    if classes.dtype.kind in "iu" and not np.array_equal(classes, np.arange(len(classes))):
        notes.append(f"labels are the integers {_few(classes)}: taken as classes in this order")
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
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}..."


def _few(names: NDArray[Any]) -> str:
    listed = ", ".join(shortened(name) for name in names[:NAMED])
    more = len(names) - NAMED
    return f"{listed} and {more} more" if more > 0 else listed
