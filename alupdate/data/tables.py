"""Tables of instances and labels, and texts in CSV, TSV and JSONL files (UTF-8)."""

import csv
import hashlib
import io
import json
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
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
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError, suggestion
from alupdate.utils.files import file_digest, regular_bytes

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
SEPARATORS = (",", ";", "|", "\t")
JSON_LINES = (".jsonl", ".ndjson", ".json")
TABLE_ENDINGS = (*DELIMITERS, *JSON_LINES)
LARGEST_CELL = 2**31 - 1
PLAIN_QUOTES = "quotation marks are taken as characters: as quotes they join or break rows"
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
    def check(self) -> None:
        super().check()
        refuse_same_column("text_column", self.text_column, self.label_column)

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


@dataclass(frozen=True)
class Table:
    """A file's rows.

    Attributes:
        where: how to call the file in an error message.
        unit: what a row is called: row or line.
        columns: their names.
        rows: each row's number as a person counts in the file, and its cells by column.
        notes: what a user should know about the file, a line each.
    """

    where: str
    unit: str
    columns: tuple[str, ...]
    rows: list[tuple[int, dict[str, Any]]]
    notes: tuple[str, ...] = ()

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


def read_text_table(path: str, where: str) -> Table:
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


def _content(path: str, where: str) -> str:
    """Return a file's text, without a byte order mark."""
    try:
        raw = regular_bytes(Path(path))
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
    """Parse CSV or TSV; rows are counted as a spreadsheet does, the header being row 1.

    In many TSV files a quotation mark is a character like any other, so that one at the start of
    a cell would swallow the rows up to the next one. Where marks that quote are no valid reading,
    or make one row of several lines each of which is a whole row by itself, they are characters.
    In CSV files marks quote; a row of several such lines is named.
    """
    plain = _unquoted(content, delimiter, where)
    try:
        quoted = _parsed(content, delimiter, where, csv.QUOTE_MINIMAL)
    except InputError:
        if plain is None or delimiter == ",":
            raise
        return replace(plain, notes=(PLAIN_QUOTES,))
    if plain is None or len(plain.rows) == len(quoted.rows):
        return quoted
    if delimiter == ",":
        return replace(quoted, notes=(_joined_note(quoted, plain),))
    return replace(plain, notes=(PLAIN_QUOTES,))


def _unquoted(content: str, delimiter: str, where: str) -> Table | None:
    """Parse a file as if quotation marks were characters; None where that gives no table."""
    if '"' not in content:
        return None
    try:
        return _parsed(content, delimiter, where, csv.QUOTE_NONE)
    except InputError:
        return None


def _joined_note(quoted: Table, plain: Table) -> str:
    """Name the first row that is made of several lines."""
    breaks = (any("\n" in cell for cell in cells.values()) for _, cells in quoted.rows)
    first = next((row[0] for row, joined in zip(quoted.rows, breaks, strict=True) if joined), 1)
    return (
        f"row {first} opens a quotation that goes over several lines, each of which would be a "
        f"whole row ({len(quoted.rows)} rows instead of {len(plain.rows)}); double the mark if it "
        "is a character"
    )


def _parsed(content: str, delimiter: str, where: str, quoting: Literal[0, 3]) -> Table:
    """Parse by one meaning of quotation marks.

    Raises:
        InputError: a row cannot be read, or has another number of cells than the header.
    """
    reader = csv.reader(
        io.StringIO(content, newline=""), delimiter=delimiter, strict=True, quoting=quoting
    )
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
                    _refuse_other_separator(columns, f"{where}: row {number}")
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


def _refuse_other_separator(columns: tuple[str, ...], here: str) -> None:
    """Refuse a header of one column, whose name has what separates cells in other files."""
    found = [character for character in SEPARATORS if character in columns[0]]
    if len(columns) == 1 and found:
        raise InputError(
            f"{here}: cells are separated by {found[0]!r}; save it as .csv with commas, or as "
            ".tsv with tabs"
        )


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
        value = json.loads(line, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        reason = str(error).split(":")[0]
        raise InputError(f"{here} is not valid JSON ({reason})") from error
    if not isinstance(value, dict):
        raise InputError(f'{here} must be a JSON object such as {{"text": ..., "label": ...}}')
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of a JSON object; of two with one name, JSON readers keep any.

    Raises:
        ValueError: two have the same name.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def refuse_same_column(key: str, column: str | None, label_column: str) -> None:
    """Refuse labels as instances.

    Raises:
        InputError: both settings name one column.
    """
    if column == label_column:
        raise InputError(f"dataset.{key}={column}: is the column of labels; name another one")


def require_column(column: str, available: tuple[str, ...], where: str, key: str) -> None:
    """Refuse a column that is not there, or there twice.

    Raises:
        InputError: naming the columns that there are.
    """
    count = available.count(column)
    if count == 1:
        return
    problem = "there are two of this name" if count else "no such column"
    hint = "" if count else suggestion(column, available)
    raise InputError(
        f"{key}={column}: {problem} in {where}; {hint}available: {', '.join(available)}"
    )
