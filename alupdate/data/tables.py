"""Files of rows with named columns: CSV, TSV and JSONL in UTF-8."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alupdate.data.instances import Texts
from alupdate.data.parts import Part
from alupdate.errors import InputError, suggestion

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
