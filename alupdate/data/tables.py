"""Tables of instances and labels, and texts in CSV, TSV and JSONL files (UTF-8)."""

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as checked_dataclass
from typing_extensions import override

from alupdate.config.values import SETTINGS, PathText, Share, Text, TextLength
from alupdate.data.costs import COLUMN_KEY, PricedTexts, costs_of_cells
from alupdate.data.dataset import Dataset, Instances, Texts, make_dataset
from alupdate.data.labels import as_strings, few, integers_if_all, shortened
from alupdate.data.own_data import PARTLY, OwnData, OwnInstances, all_or_none
from alupdate.data.splits import stratified_split
from alupdate.data.text_tables import read_text_table, require_column
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.files import file_digest

DEFAULT_LABEL = "label"
"""The column of labels where none is named: a pool without labels need not have it."""


@dataclass(frozen=True)
class LabelledRows:
    """The instances and labels of one file.

    Attributes:
        instances: N of them.
        labels: (N,), strings or integers; where labels may be missing objects, None for none.
        names: (N,), what each is called in a labels file; no two alike.
        columns: what the entries of feature vectors are called; empty for texts.
        notes: what a user should know about the file, a line each.
    """

    instances: Instances
    labels: NDArray[Any]
    names: tuple[str, ...]
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@checked_dataclass(frozen=True, config=SETTINGS, kw_only=True)
class TableFiles(OwnData):
    """A table in one file with a test share, or in a training and a test file.

    Attributes:
        path: the one file.
        train, test: the two files.
        label_column: the column of labels.
        instance_column: the column that names the instances; None for the numbers of rows.
        test_share: how much of every class is held out of the one file.
        cost_column: the column that says what the label of an instance of the pool costs; None for
            one each.
    """

    places: ClassVar[frozenset[str]] = frozenset({"path", "train", "test", "labels"})
    path: PathText | None = None
    train: PathText | None = None
    test: PathText | None = None
    label_column: Text = DEFAULT_LABEL
    instance_column: Text | None = None
    test_share: Share = 0.2
    cost_column: Text | None = None

    @abstractmethod
    def read_file(self, path: str, where: str, is_pool: bool, partly: bool = False) -> LabelledRows:
        """Return the rows of a file.

        Args:
            path: of the file.
            where: how to call it in an error message.
            is_pool: whether it holds the pool, and so the names and costs of instances.
            partly: whether labels may be missing.

        Raises:
            InputError: it is missing or malformed.
        """

    @override
    def check(self) -> None:
        super().check()
        wanted = "give dataset.path=FILE, or dataset.train=FILE and dataset.test=FILE"
        if self.cost_column is not None:
            refuse_same_column("cost_column", self.cost_column, self.label_column)
        parts = {"train": self.train, "test": self.test}
        given = [key for key, path in parts.items() if path is not None]
        if self.path is not None and given:
            raise InputError(f"dataset.path and dataset.{given[0]}: exclude each other; {wanted}")
        if self.path is None and len(given) < len(parts):
            missing = "dataset.path" if not given else f"dataset.{({*parts} - {*given}).pop()}"
            raise InputError(f"{missing}: a value is required; {wanted}")

    @override
    def read_labelled(self, cache: Path, display: Display) -> Dataset:
        if self.path is not None:
            return self._split_file(self.path)
        assert self.train is not None
        assert self.test is not None
        where = f"dataset.train={self.train} with {self.test}"
        train, test = self._two_files(self.train, self.test, where, partly=False)
        labels, test_labels = common_labels(train.labels, test.labels, where)
        dataset = make_dataset(
            self.display_name, train.instances, labels, test.instances, test_labels, where
        )
        return _with_notes(dataset, _all_notes(train, test))

    def _two_files(
        self, train_path: str, test_path: str, where: str, partly: bool
    ) -> tuple[LabelledRows, LabelledRows]:
        """Return the rows of the pool's and the test set's file, which must go together."""
        train_key, test_key = f"dataset.train={train_path}", f"dataset.test={test_path}"
        train = self.read_file(train_path, train_key, True, partly)
        test = self.read_file(test_path, test_key, False, partly)
        if train.columns != test.columns:
            raise InputError(f"{where}: {_difference(train.columns, test.columns)}")
        return train, test

    @override
    def instances(self, cache: Path, display: Display) -> OwnInstances:
        if self.path is not None:
            where = f"dataset.path={self.path}"
            rows = self.read_file(self.path, where, True, partly=True)
            return OwnInstances(
                where, rows.instances, rows.names, rows.labels.tolist(), notes=rows.notes
            )
        assert self.train is not None
        assert self.test is not None
        where = f"dataset.train={self.train} with {self.test}"
        train, test = self._two_files(self.train, self.test, where, partly=True)
        return OwnInstances(
            where,
            train.instances,
            train.names,
            train.labels.tolist(),
            test=test.instances,
            test_labels=all_or_none(
                test.labels.tolist(),
                [f"row {name}" for name in test.names],
                f"dataset.test={self.test}",
            ),
            notes=_all_notes(train, test),
        )

    @override
    def held_out(self) -> float:
        return self.test_share

    def lacks_labels(self, columns: Sequence[str]) -> bool:
        """Return whether a file has no column of labels; one that is named must be there."""
        return self.label_column == DEFAULT_LABEL and DEFAULT_LABEL not in columns

    def _split_file(self, path: str) -> Dataset:
        """Return the data set of one file, of which a share is held out."""
        where = f"dataset.path={path}"
        rows = self.read_file(path, where, True)
        (labels,) = integers_if_all(rows.labels)
        kept, held_out = stratified_split(labels, self.test_share, where)
        train, test = rows.instances.take(kept), rows.instances.take(held_out)
        dataset = make_dataset(
            self.display_name, train, labels[kept], test, labels[held_out], where
        )
        return _with_notes(dataset, rows.notes)

    @override
    def digest_of_data(self, cache: Path, display: Display) -> str:
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
        cost: what the label of a text costs, by its length; None for one each.
    """

    name: Literal["csv"] = "csv"
    text_column: Text = "text"
    cost: TextLength | None = None

    @override
    def check(self) -> None:
        super().check()
        refuse_same_column("text_column", self.text_column, self.label_column)
        if self.cost is not None and self.cost_column is not None:
            raise InputError(
                f"dataset.cost={self.cost} and dataset.cost_column: exclude each other; give one"
            )

    @override
    def read_file(self, path: str, where: str, is_pool: bool, partly: bool = False) -> LabelledRows:
        table = read_text_table(path, where)
        texts = Texts(tuple(table.texts(self.text_column, "dataset.text_column")))
        numbers = [number for number, _ in table.rows]
        names = self.instance_column if is_pool else None
        called = names and table.texts(names, "dataset.instance_column")
        named = distinct_names(called or numbers, numbers, f"{where}: {table.unit}")
        if is_pool and self.cost_column is not None:
            require_column(self.cost_column, table.columns, where, COLUMN_KEY)
            cells = [(number, row.get(self.cost_column)) for number, row in table.rows]
            unit = f"{where}: {table.unit}"
            costs = costs_of_cells(cells, self.cost_column, unit)
            texts = PricedTexts(texts.strings, costs=costs)
        key = "dataset.label_column"
        notes = table.notes
        if not partly:
            labels = as_strings(table.texts(self.label_column, key, PARTLY))
        elif self.lacks_labels(table.columns):
            labels = as_strings([None] * len(numbers))
            notes = (*notes, missing_note(self.label_column, table.columns, where))
        else:
            labels = as_strings(table.texts_if_any(self.label_column, key))
        return LabelledRows(texts, labels, named, notes=notes)


def _difference(train: tuple[str, ...], test: tuple[str, ...]) -> str:
    lacking = [column for column in train if column not in test]
    if lacking:
        return f"the test file lacks the feature column {lacking[0]}"
    extra = [column for column in test if column not in train]
    if extra:
        return f"the training file lacks the feature column {extra[0]}"
    return "the feature columns come in another order in the test file"


def _all_notes(train: LabelledRows, test: LabelledRows) -> tuple[str, ...]:
    return (*train.notes, *(note for note in test.notes if note not in train.notes))


def distinct_names(names: Sequence[object], rows: Sequence[int], unit: str) -> tuple[str, ...]:
    """Return what instances (N,) are called as strings.

    Args:
        names: (N,), any values whose strings tell them apart.
        rows: (N,), the number of each one's row.
        unit: how to call a row in an error message.

    Raises:
        InputError: two have the same name.
    """
    strings = tuple(str(name) for name in names)
    first: dict[str, int] = {}
    for name, row in zip(strings, rows, strict=True):
        if first.setdefault(name, row) != row:
            raise InputError(
                f"{unit} {row}: the instance {shortened(name)} is in {first[name]}, too; names in "
                "dataset.instance_column must differ"
            )
    return strings


def missing_note(column: str, columns: Sequence[str], where: str) -> str:
    """Say that a file has no column of labels."""
    return f"{where}: no column is called {column}, so it holds no labels (of {few(columns)})"


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


def refuse_same_column(key: str, column: str | None, label_column: str) -> None:
    """Refuse labels as instances.

    Raises:
        InputError: both settings name one column.
    """
    if column == label_column:
        raise InputError(f"dataset.{key}={column}: is the column of labels; name another one")


def _kind(labels: NDArray[Any]) -> str:
    return "strings" if labels.dtype.kind in "UO" else "numbers"
