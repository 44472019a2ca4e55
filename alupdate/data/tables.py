"""Tables of instances and labels, and texts in CSV, TSV and JSONL files (UTF-8)."""

import hashlib
from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as checked_dataclass
from typing_extensions import override

from alupdate.config.values import SETTINGS, PathText, Share, Text
from alupdate.data.dataset import (
    Dataset,
    DatasetOption,
    Instances,
    Texts,
    make_dataset,
    stratified_split,
)
from alupdate.data.labels import as_strings
from alupdate.data.text_tables import read_text_table
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.files import file_digest

INT64_DIGITS = 18
"""Every number of so many digits fits into 64 bits."""


@dataclass(frozen=True)
class LabelledRows:
    """The instances and labels of one file.

    Attributes:
        instances: N of them.
        labels: (N,), strings or integers.
        columns: what the entries of feature vectors are called; empty for texts.
        notes: what a user should know about the file, a line each.
    """

    instances: Instances
    labels: NDArray[Any]
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@checked_dataclass(frozen=True, config=SETTINGS, kw_only=True)
class TableFiles(DatasetOption):
    """A table in one file with a test share, or in a training and a test file.

    Attributes:
        path: the one file.
        train, test: the two files.
        label_column: the column of labels.
        test_share: how much of every class is held out of the one file.
    """

    places: ClassVar[frozenset[str]] = frozenset({"path", "train", "test"})
    path: PathText | None = None
    train: PathText | None = None
    test: PathText | None = None
    label_column: Text = "label"
    test_share: Share = 0.2

    @abstractmethod
    def read_file(self, path: str, where: str) -> LabelledRows:
        """Return the rows of a file.

        Args:
            path: of the file.
            where: how to call it in an error message.

        Raises:
            InputError: it is missing or malformed.
        """

    @override
    def check(self) -> None:
        wanted = "give dataset.path=FILE, or dataset.train=FILE and dataset.test=FILE"
        parts = {"train": self.train, "test": self.test}
        given = [key for key, path in parts.items() if path is not None]
        if self.path is not None and given:
            raise InputError(f"dataset.path and dataset.{given[0]}: exclude each other; {wanted}")
        if self.path is None and len(given) < len(parts):
            missing = "dataset.path" if not given else f"dataset.{({*parts} - {*given}).pop()}"
            raise InputError(f"{missing}: a value is required; {wanted}")

    @override
    def read(self, cache: Path, display: Display) -> Dataset:
        if self.path is not None:
            return self._split_file(self.path)
        assert self.train is not None
        assert self.test is not None
        train = self.read_file(self.train, f"dataset.train={self.train}")
        test = self.read_file(self.test, f"dataset.test={self.test}")
        where = f"dataset.train={self.train} with {self.test}"
        if train.columns != test.columns:
            raise InputError(f"{where}: {_difference(train.columns, test.columns)}")
        labels, test_labels = common_labels(train.labels, test.labels, where)
        dataset = make_dataset(
            self.display_name, train.instances, labels, test.instances, test_labels, where
        )
        more = (note for note in test.notes if note not in train.notes)
        return _with_notes(dataset, (*train.notes, *more))

    def _split_file(self, path: str) -> Dataset:
        """Return the data set of one file, of which a share is held out."""
        where = f"dataset.path={path}"
        rows = self.read_file(path, where)
        (labels,) = integers_if_all(rows.labels)
        kept, held_out = stratified_split(labels, self.test_share, where)
        train, test = rows.instances.take(kept), rows.instances.take(held_out)
        dataset = make_dataset(
            self.display_name, train, labels[kept], test, labels[held_out], where
        )
        return _with_notes(dataset, rows.notes)

    @override
    def digest(self, cache: Path, display: Display) -> str:
        named = {"path": self.path, "train": self.train, "test": self.test}
        parts = [file_digest(f"dataset.{key}", path) for key, path in named.items() if path]
        return hashlib.sha256("".join(parts).encode()).hexdigest()


@checked_dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Csv(TableFiles):
    """Texts in CSV, TSV or JSONL files.

    Labels that are all integers are sorted as integers. Nothing is taken for a missing value: the
    text "NA" stays what it is.

    Attributes:
        text_column: the column of texts.
    """

    name: Literal["csv"] = "csv"
    text_column: Text = "text"

    @override
    def read_file(self, path: str, where: str) -> LabelledRows:
        table = read_text_table(path, where)
        labels = as_strings(table.texts(self.label_column, "dataset.label_column"))
        texts = table.texts(self.text_column, "dataset.text_column")
        return LabelledRows(Texts(tuple(texts)), labels, notes=table.notes)


def _difference(train: tuple[str, ...], test: tuple[str, ...]) -> str:
    lacking = [column for column in train if column not in test]
    if lacking:
        return f"the test file lacks the feature column {lacking[0]}"
    extra = [column for column in test if column not in train]
    if extra:
        return f"the training file lacks the feature column {extra[0]}"
    return "the feature columns come in another order in the test file"


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
    return "strings" if labels.dtype.kind in "UO" else "numbers"


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
