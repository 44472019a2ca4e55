"""Labelled rows that come as one file, or as a training and a test file."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from alupdate.config import CsvDataset, ParquetDataset
from alupdate.data.dataset import Dataset, make_dataset
from alupdate.data.instances import Texts, Vectors
from alupdate.data.split import stratified_split
from alupdate.errors import InputError

Rows = TypeVar("Rows", Texts, Vectors)
INT64_DIGITS = 18
"""Every number of so many digits fits into 64 bits."""


@dataclass(frozen=True)
class Part(Generic[Rows]):
    """The rows of one file.

    Attributes:
        instances: N of them.
        labels: (N,), strings or integers.
        columns: what the entries of feature vectors are called; empty for texts.
        notes: what a user should know about the file, a line each.
    """

    instances: Rows
    labels: NDArray[Any]
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def joined(
    config: CsvDataset | ParquetDataset, name: str, read: Callable[[str, str], Part[Rows]]
) -> Dataset:
    """Return the data set of ``path`` with a test share, or of ``train`` and ``test``.

    Args:
        config: where the files lie.
        name: of the data set.
        read: (path, how to call it in an error message) -> its rows.

    Raises:
        InputError: a file is malformed, or the two do not go together.
    """
    if config.path is not None:
        where = f"dataset.path={config.path}"
        whole = read(config.path, where)
        labels = integers_if_all(whole.labels)[0]
        kept, held_out = stratified_split(labels, config.test_share, where)
        train, test = whole.instances.take(kept), whole.instances.take(held_out)
        dataset = make_dataset(name, train, labels[kept], test, labels[held_out], where)
        return _with_notes(dataset, whole.notes)
    assert config.train is not None
    assert config.test is not None
    first = read(config.train, f"dataset.train={config.train}")
    second = read(config.test, f"dataset.test={config.test}")
    return _dataset_of(name, first, second, f"dataset.train={config.train} with {config.test}")


def _dataset_of(name: str, train: Part[Rows], test: Part[Rows], where: str) -> Dataset:
    """Return the data set of a training and a test part.

    Raises:
        InputError: their columns or kinds of labels differ, or as ``make_dataset``.
    """
    if train.columns != test.columns:
        raise InputError(f"{where}: {_difference(train.columns, test.columns)}")
    labels, test_labels = common_labels(train.labels, test.labels, where)
    dataset = make_dataset(name, train.instances, labels, test.instances, test_labels, where)
    return _with_notes(dataset, train.notes)


def _with_notes(dataset: Dataset, notes: tuple[str, ...]) -> Dataset:
    return replace(dataset, notes=(*notes, *dataset.notes))


def common_labels(
    train: NDArray[Any], test: NDArray[Any], where: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the labels of both parts, as integers if all of them are.

    Raises:
        InputError: one part has strings and the other one has not.
    """
    labels, test_labels = integers_if_all(train, test)
    kinds = [_kind(part) for part in (labels, test_labels)]
    if kinds[0] != kinds[1]:
        raise InputError(
            f"{where}: labels are {kinds[0]} in train and {kinds[1]} in test; they must agree"
        )
    return labels, test_labels


def _kind(labels: NDArray[Any]) -> str:
    return "strings" if labels.dtype.kind == "U" else "numbers"


def integers_if_all(*parts: NDArray[Any]) -> list[NDArray[Any]]:
    """Return strings as integers if every one of all parts is the plain spelling of one.

    "07" stays a string, and with it all others: it may be another class than "7".
    """
    if all(part.dtype.kind == "U" and _all_integers(part) for part in parts):
        return [part.astype(np.int64) for part in parts]
    return list(parts)


def _all_integers(labels: NDArray[Any]) -> bool:
    return all(
        len(label.removeprefix("-")) <= INT64_DIGITS
        and label.removeprefix("-").isdecimal()
        and str(int(label)) == label
        for label in np.unique(labels).tolist()
    )


def _difference(train: tuple[str, ...], test: tuple[str, ...]) -> str:
    lacking = [column for column in train if column not in test]
    if lacking:
        return f"the test file lacks the feature column {lacking[0]}"
    extra = [column for column in test if column not in train]
    if extra:
        return f"the training file lacks the feature column {extra[0]}"
    return "the feature columns come in another order in the test file"
