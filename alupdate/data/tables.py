"""Files of rows with named columns: CSV, TSV and JSONL in UTF-8."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from alupdate.config import CsvDataset, ParquetDataset
from alupdate.data.dataset import Dataset, Texts, Vectors, make_dataset, stratified_split
from alupdate.utils.errors import InputError, suggestion

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


DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
JSON_LINES = (".jsonl", ".ndjson", ".json")
TABLE_ENDINGS = (*DELIMITERS, *JSON_LINES)
LARGEST_CELL = 2**31 - 1


@dataclass(frozen=True)
class Table:
    """A file's rows.

    Attributes:
        where: how to call the file in an error message.
        unit: what a row is called: row or line.
        columns: their names.
        rows: each row's number as a person counts in the file, and its cells by column.
    """

    where: str
    unit: str
    columns: tuple[str, ...]
    rows: list[tuple[int, dict[str, Any]]]

    def texts(self, column: str, key: str) -> list[str]:
        """Return a column whose cells must be texts; ``key`` is the setting that names it.

        Raises:
            InputError: there is no such column, or a cell is empty or no text.
        """
        require_column(column, self.columns, self.where, key)
        return [self._text(number, cells.get(column), column) for number, cells in self.rows]

    def _text(self, number: int, value: Any, column: str) -> str:
        here = f"{self.where}: {self.unit} {number}"
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is None:
            raise InputError(f"{here} has no {column}")
        if not isinstance(value, str):
            kind = type(value).__name__
            raise InputError(f"{here}: {column} must be a string or an integer, not {kind}")
        if not value.strip():
            raise InputError(f"{here}: {column} is empty; fill or remove it")
        if not _encodable(value):
            raise InputError(f"{here}: {column} holds half of a surrogate pair; repair it")
        return value


def require_column(column: str, available: tuple[str, ...], where: str, key: str) -> None:
    """Refuse a column that is not there, or there twice.

    Raises:
        InputError: naming the columns that there are.
    """
    count = available.count(column)
    if count == 1:
        return
    problem = "there are two of this name" if count else "no such column"
    raise InputError(
        f"{key}={column}: {problem} in {where}; {suggestion(column, available)}"
        f"available: {', '.join(available)}"
    )


def read_table(path: str, where: str) -> Table:
    """Read a CSV, TSV or JSONL file; which one its ending says.

    Raises:
        InputError: no such file, another ending, not UTF-8, malformed, or without rows.
    """
    ending = Path(path).suffix.lower()
    if ending not in TABLE_ENDINGS:
        raise InputError(f"{where}: must end in one of {', '.join(TABLE_ENDINGS)}")
    content = _content(path, where)
    if ending in DELIMITERS:
        table = _separated(content, DELIMITERS[ending], where)
    else:
        table = _json_lines(content, where)
    if not table.rows:
        raise InputError(f"{where}: has no rows")
    return table


def labelled_texts(table: Table, text: tuple[str, str], label: tuple[str, str]) -> Part[Texts]:
    """Return the texts and labels of a table, each from a (column, key that names it).

    Raises:
        InputError: a column is missing, or a cell is empty or no text.
    """
    labels: NDArray[np.str_] = np.array(table.texts(*label))
    return Part(Texts(tuple(table.texts(*text))), labels)


def _content(path: str, where: str) -> str:
    """Return a file's text, without a byte order mark."""
    try:
        raw = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{where}: no such file") from error
    except OSError as error:
        raise InputError(f"{where}: {error.strerror}") from error
    if not raw:
        raise InputError(f"{where}: is empty")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        byte = raw[error.start]
        raise InputError(
            f"{where}: line {line} is not UTF-8 (byte 0x{byte:02x}); save the file as UTF-8"
        ) from error


def _separated(content: str, delimiter: str, where: str) -> Table:
    """Parse CSV or TSV; rows are counted as a spreadsheet does, the header being row 1."""
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    number = 0
    columns: tuple[str, ...] = ()
    rows: list[tuple[int, dict[str, Any]]] = []
    try:
        with _cells_of_any_length():
            for number, cells in enumerate(reader, start=1):
                if not cells:
                    continue
                if not columns:
                    columns = tuple(cells)
                elif len(cells) != len(columns):
                    raise InputError(
                        f"{where}: row {number} has {len(cells)} cells, but the header has "
                        f"{len(columns)}; put texts that contain the delimiter in quotes"
                    )
                else:
                    rows.append((number, dict(zip(columns, cells, strict=True))))
    except csv.Error as error:
        raise InputError(f"{where}: row {number + 1} cannot be read ({error})") from error
    return Table(where, "row", columns, rows)


@contextmanager
def _cells_of_any_length() -> Iterator[None]:
    """Lift the csv module's limit of 128 KiB for a while: a cell may hold a whole book."""
    limit = csv.field_size_limit(LARGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _json_lines(content: str, where: str) -> Table:
    """Parse one JSON object per line; not ``splitlines``, which would break within strings."""
    rows = []
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            rows.append((number, _json_object(line, f"{where}: line {number}")))
    columns = dict.fromkeys(column for _, cells in rows for column in cells)
    return Table(where, "line", tuple(columns), rows)


def _json_object(line: str, here: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = str(error).split(":")[0]
        raise InputError(f"{here} is not valid JSON ({reason})") from error
    if not isinstance(value, dict):
        raise InputError(f'{here} must be a JSON object such as {{"text": ..., "label": ...}}')
    return value


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_texts(config: CsvDataset, name: str) -> Dataset:
    """Read a text and a label column; labels that are all integers are sorted as integers.

    Nothing is taken for a missing value: the text "NA" stays what it is.

    Raises:
        InputError: naming key, file and row.
    """
    text = (config.text_column, "dataset.text_column")
    label = (config.label_column, "dataset.label_column")

    def read(path: str, where: str) -> Part[Texts]:
        return labelled_texts(read_table(path, where), text, label)

    return joined(config, name, read)
