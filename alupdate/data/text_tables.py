"""CSV, TSV and JSONL files (UTF-8) as rows of cells, with what is wrong in them named by row."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from alupdate.utils.errors import InputError, cannot_read, suggestion
from alupdate.utils.files import regular_bytes

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
SEPARATORS = (",", ";", "|", "\t")
JSON_LINES = (".jsonl", ".ndjson", ".json")
TABLE_ENDINGS = (*DELIMITERS, *JSON_LINES)
LARGEST_CELL = 2**31 - 1
PLAIN_QUOTES = "quotation marks are taken as characters: as quotes they join or break rows"


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

    def texts(self, column: str, key: str, advice: str = "") -> list[str]:
        """Return a column whose cells must be texts.

        Args:
            column: its name.
            key: the setting that names it.
            advice: what else to say of what is missing.

        Raises:
            InputError: there is no such column, or a cell is empty or no text.
        """
        require_column(column, self.columns, self.where, key, advice)
        return [
            self._text(number, cells.get(column), column, advice) for number, cells in self.rows
        ]

    def texts_if_any(self, column: str, key: str) -> list[str | None]:
        """Return a column of texts, None for cells that are missing, empty or only white space.

        Raises:
            InputError: there is no such column, or a cell is no text.
        """
        require_column(column, self.columns, self.where, key)
        cells = ((number, row.get(column)) for number, row in self.rows)
        return [
            None if _is_blank(value) else self._text(number, value, column)
            for number, value in cells
        ]

    def _text(self, number: int, value: Any, column: str, advice: str = "") -> str:
        here = f"{self.where}: {self.unit} {number}"
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is None:
            raise InputError(f"{here} has no {column}{advice}")
        if not isinstance(value, str):
            kind = type(value).__name__
            raise InputError(f"{here}: {column} must be a string or an integer, not {kind}")
        if not value.strip():
            raise InputError(f"{here}: {column} is empty; fill or remove it{advice}")
        if not is_encodable(value):
            raise InputError(f"{here}: {column} holds half of a surrogate pair; repair it")
        return value


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def read_text_table(path: str, where: str) -> Table:
    """Read a CSV, TSV or JSONL file; which one its ending says.

    Raises:
        InputError: no such file, another ending, not UTF-8, malformed, or without rows.
    """
    ending = Path(path).suffix.lower()
    if ending not in TABLE_ENDINGS:
        raise InputError(f"{where}: must end in one of {', '.join(TABLE_ENDINGS)}")
    content = utf8_text(_content(path, where), where)
    if ending in DELIMITERS:
        table = separated(content, DELIMITERS[ending], where)
    else:
        table = _json_lines(content, where)
    if not table.rows:
        raise InputError(f"{where}: has no rows")
    return table


def _content(path: str, where: str) -> bytes:
    with naming_file(where):
        raw = regular_bytes(Path(path))
    if not raw:
        raise InputError(f"{where}: is empty")
    return raw


@contextmanager
def naming_file(where: str, *, writing: bool = False) -> Iterator[None]:
    """Say in one line why a file cannot be read or written.

    Raises:
        InputError: reading or writing it fails.
    """
    try:
        yield
    except OSError as error:
        if writing:
            raise InputError(f"{where}: cannot be written ({error.strerror})") from error
        raise cannot_read(where, error) from error


def utf8_text(raw: bytes, where: str) -> str:
    """Return a file's text, without a byte order mark.

    Raises:
        InputError: it is not UTF-8.
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        byte = raw[error.start]
        raise InputError(
            f"{where}: line {line} is not UTF-8 (byte 0x{byte:02x}); save the file as UTF-8"
        ) from error


def separated(content: str, delimiter: str, where: str) -> Table:
    """Parse CSV or TSV; rows are counted as a spreadsheet does, the header being row 1.

    In many TSV files a quotation mark is a character like any other, so that one at the start of
    a cell would swallow the rows up to the next one. Where marks that quote are no valid reading,
    or make one row of several lines each of which is a whole row by itself, they are characters.
    In CSV files marks quote; a row of several such lines is named.

    Raises:
        InputError: a row cannot be read, or has another number of cells than the header.
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
        with cells_of_any_length():
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
def cells_of_any_length() -> Iterator[None]:
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
        value = json.loads(line, object_pairs_hook=distinct_members)
    except (ValueError, RecursionError) as error:
        reason = str(error).split(":")[0]
        raise InputError(f"{here} is not valid JSON ({reason})") from error
    if not isinstance(value, dict):
        raise InputError(f'{here} must be a JSON object such as {{"text": ..., "label": ...}}')
    return value


def distinct_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of a JSON object; of two with one name, JSON readers keep any.

    Raises:
        ValueError: two have the same name.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def is_encodable(text: str) -> bool:
    """Return whether a text can be written as UTF-8: it has no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def require_column(
    column: str, available: tuple[str, ...], where: str, key: str, advice: str = ""
) -> None:
    """Refuse a column that is not there, or there twice.

    Args:
        column: its name.
        available: the columns that there are.
        where: how to call the file in an error message.
        key: the setting that names the column.
        advice: what else to say.

    Raises:
        InputError: naming the columns that there are.
    """
    count = available.count(column)
    if count == 1:
        return
    problem = "there are two of this name" if count else "no such column"
    hint = "" if count else suggestion(column, available)
    raise InputError(
        f"{key}={column}: {problem} in {where}; {hint}available: {', '.join(available)}{advice}"
    )
