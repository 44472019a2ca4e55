"""Labels files: what people said of instances, row after row, read and written.

A labels file is a table with the columns ``instance`` (or ``file``), ``label`` and perhaps
``status``; other columns are ignored. It is only ever appended to: later rows are newer. A program
may append to it at this very moment, and may have been killed within a row.
"""

import codecs
import csv
import io
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import FileIO
from pathlib import Path
from typing import NamedTuple, Self

from alupdate.data.label_studio_exports import (
    Annotation,
    is_table_export,
    read_json_export,
    read_table_export,
)
from alupdate.data.labels import shortened
from alupdate.data.text_tables import (
    DELIMITERS,
    cells_of_any_length,
    is_encodable,
    naming_file,
    separated,
    utf8_text,
)
from alupdate.utils.errors import InputError, suggestion
from alupdate.utils.files import lock_opened, regular_bytes, require_regular

INSTANCE_COLUMNS = ("instance", "file")
"""What the column of instances may be called."""
LABEL_COLUMN, STATUS_COLUMN = "label", "status"
LABELLED, SKIPPED, UNKNOWN, REMOVED = "labelled", "skipped", "unknown", "removed"
STATUSES = (LABELLED, SKIPPED, UNKNOWN, REMOVED)
NEW_HEADER = (INSTANCE_COLUMNS[0], LABEL_COLUMN, STATUS_COLUMN)
"""Of a new file: a row that was cut within its label has too few cells, and so is known as cut."""
SECONDS_FOR_LINE_END, SECONDS_FOR_GROWTH, SECONDS_BETWEEN_READS = 0.3, 3.0, 0.02
"""How long to wait for the end of a last row, and for a file that does not stop growing."""


@dataclass(frozen=True)
class Answer:
    """What was said of an instance.

    Attributes:
        instance: its name.
        label: the class; empty for none.
        status: empty (or ``labelled``) with a label; ``skipped`` by who did not want to label it;
            ``unknown`` by who could not; ``removed`` takes back what was said before.
    """

    instance: str
    label: str = ""
    status: str = ""


@dataclass(frozen=True)
class LabelsFile:
    """The answers of a labels file.

    Attributes:
        where: how to call it in an error message.
        rows: each answer with the number of its row, the header being row 1; in an export of Label
            Studio with the number of its task.
        is_cut: whether there is a part of one more row.
        notes: what a user should know about the file, a line each.
        is_export: whether Label Studio has written the file.
        contents: in an export, the data of tasks that do not name their instance, by their numbers.
    """

    where: str
    rows: tuple[tuple[int, Answer], ...]
    is_cut: bool = False
    notes: tuple[str, ...] = ()
    is_export: bool = False
    contents: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """What a row is called."""
        return "task" if self.is_export else "row"


def read_labels_file(path: str, where: str) -> LabelsFile:
    """Read a labels file; which kind it is its ending says.

    Rows without label and status are not answered yet and are passed over. A last row that was cut
    is, too, and a note says so. A file may be empty. Exports of Label Studio are told apart from
    other tables by their columns.

    Args:
        path: of the file.
        where: how to call it in an error message.

    Raises:
        InputError: no such file, another ending, not UTF-8, malformed, a column is missing, or a
            row holds an unknown status or one that contradicts its label.
    """
    return READERS[labels_ending(path, where)](_settled(Path(path), where), where)


def labels_ending(path: str, where: str) -> str:
    """Return the ending of a labels file's name, which says of what kind it is.

    Raises:
        InputError: it is another one.
    """
    ending = Path(path).suffix.lower()
    if ending not in READERS:
        raise InputError(f"{where}: a labels file must end in one of {', '.join(READERS)}")
    return ending


def refuse_export(path: Path, where: str) -> None:
    """Refuse a labels file to which no answers can be appended; it need not exist.

    Raises:
        InputError: it is an export of Label Studio, has another ending, or cannot be read.
    """
    with naming_file(where):
        raw = regular_bytes(path) if path.exists() else b""
    _refuse_content(raw, labels_ending(str(path), where), where)


def _refuse_content(raw: bytes, ending: str, where: str) -> None:
    if ending == JSON or is_table_export(raw):
        raise InputError(
            f"{where}: is an export of Label Studio, to which no answers are added; give it by "
            "task.answers, and another file (or none) by dataset.labels"
        )


def _settled(path: Path, where: str) -> bytes:
    """Return a file's content at a moment when nobody is writing it.

    A file that is only appended to loses nothing: where it does not stop growing, these are the
    lines that it held when it was read last.
    """
    with naming_file(where):
        require_regular(path)
        start = changed = time.monotonic()
        former = None
        while True:
            before = _state(path)
            raw = path.read_bytes()
            after, now = _state(path), time.monotonic()
            is_still = before == after and len(raw) == before[0]
            if not is_still or before != former:
                changed = now
            is_ended = not raw or raw.endswith((b"\n", b"\r"))
            if is_still and (is_ended or now - changed > SECONDS_FOR_LINE_END):
                return raw
            if now - start > SECONDS_FOR_GROWTH:
                return raw[: raw.rfind(b"\n") + 1]
            former = after
            time.sleep(SECONDS_BETWEEN_READS)


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


class _Rows(NamedTuple):
    """A file's text up to its last whole row, what follows it, and whether a line end is last."""

    whole: str
    cut: str
    is_ended: bool


def _whole_rows(raw: bytes, delimiter: str, where: str) -> _Rows:
    """Set apart a last row that was cut: within a character, within quotes, or before a cell."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        content = decoder.decode(raw)
    except UnicodeDecodeError:
        content = utf8_text(raw, where)  # says which line it is
    lines = io.StringIO(content, newline="").readlines()
    is_ended = not lines or lines[-1].endswith(("\n", "\r"))
    done = _whole_lines(lines, delimiter, is_ended)
    if decoder.getstate()[0] and not is_ended:
        done = min(done, len(lines) - 1)
    return _Rows("".join(lines[:done]), "".join(lines[done:]), is_ended)


def _whole_lines(lines: list[str], delimiter: str, is_ended: bool) -> int:
    """Return how many lines make whole rows; all of them if the file is wrong elsewhere."""
    width = done = 0
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        with cells_of_any_length():
            for cells in reader:
                width = width or len(cells)
                if reader.line_num == len(lines) and not is_ended and len(cells) < width:
                    return done
                done = reader.line_num
    except csv.Error:
        swallowed = lines[done + 1 :]
        if (
            delimiter != ","
            or reader.line_num < len(lines)
            or any(_is_whole_row(line, width) for line in swallowed)
        ):
            return len(lines)
    return done


def _is_whole_row(line: str, width: int) -> bool:
    """Return whether a line of CSV is a row by itself, and not the end of a quoted cell."""
    try:
        return line.count('"') % 2 == 0 and len(next(csv.reader([line], strict=True))) == width
    except csv.Error:
        return False


def _read_separated(raw: bytes, where: str, delimiter: str) -> LabelsFile:
    """Read a CSV or TSV file."""
    if is_table_export(raw):
        return _exported(read_table_export(raw, where), where)
    text = _whole_rows(raw, delimiter, where)
    table = separated(text.whole, delimiter, where)
    if not table.columns:
        return LabelsFile(where, (), bool(text.cut), _cut_notes(text.cut))
    columns = _Columns.of(table.columns, where)
    cut, found = text.cut, list[tuple[int, Answer]]()
    is_open = not text.is_ended and not cut
    for number, cells in table.rows:
        is_last = number == table.rows[-1][0]
        try:
            answer = columns.answer(cells, f"{where}: row {number}")
        except InputError:
            if not (is_open and is_last):
                raise
            cut = delimiter.join(cells.values())
            break
        if answer.label or answer.status:
            found.append((number, answer))
    notes = [*table.notes, *_cut_notes(cut)]
    if is_open and not cut and table.columns[-1] == LABEL_COLUMN and found:
        number, answer = found[-1]
        if number == table.rows[-1][0]:
            notes.append(f"row {number}, the last, has no line end: its label is {answer.label!r}")
    return LabelsFile(where, tuple(found), bool(cut), tuple(notes))


def _cut_notes(cut: str) -> tuple[str, ...]:
    if not cut:
        return ()
    return (f"the last row is cut off ({shortened(cut)!r}) and passed over; complete or remove it",)


def _read_json(raw: bytes, where: str) -> LabelsFile:
    """Read a JSON file, which only Label Studio writes."""
    return _exported(read_json_export(raw, where), where)


def _exported(annotations: Sequence[Annotation], where: str) -> LabelsFile:
    """Return what annotations say; a task without an instance's name has an empty one."""
    return LabelsFile(
        where,
        tuple(
            (one.task, Answer(one.instance or "", one.label, "" if one.label else SKIPPED))
            for one in annotations
        ),
        is_export=True,
        contents={one.task: one.contents for one in annotations if one.instance is None},
    )


JSON = ".json"
READERS: Mapping[str, Callable[[bytes, str], LabelsFile]] = {
    **{
        ending: partial(_read_separated, delimiter=delimiter)
        for ending, delimiter in DELIMITERS.items()
    },
    JSON: _read_json,
}
"""What reads each kind of file, by its ending."""


@dataclass(frozen=True)
class _Columns:
    """What the columns of a labels file are called; it need not have one of statuses."""

    instance: str
    status: str | None

    @classmethod
    def of(cls, columns: tuple[str, ...], where: str) -> Self:
        """Find the columns.

        Raises:
            InputError: one is missing, there twice, or there under two names.
        """
        named = [name for name in INSTANCE_COLUMNS if name in columns] or [INSTANCE_COLUMNS[0]]
        if len(named) > 1:
            raise InputError(f"{where}: has the columns {' and '.join(named)}; remove one of them")
        has_status = STATUS_COLUMN in columns
        for column in (named[0], LABEL_COLUMN, *([STATUS_COLUMN] if has_status else [])):
            if column not in columns:
                raise InputError(
                    f"{where}: has no column {column}; {suggestion(column, columns)}it has "
                    f"{', '.join(columns)}"
                )
            if columns.count(column) > 1:
                raise InputError(f"{where}: has two columns called {column}; remove one of them")
        return cls(named[0], STATUS_COLUMN if has_status else None)

    def answer(self, cells: Mapping[str, str], here: str) -> Answer:
        """Return what a row says.

        Raises:
            InputError: its status is unknown or contradicts its label, or it names no instance.
        """
        instance, label = cells[self.instance], cells[LABEL_COLUMN]
        label = label if label.strip() else ""
        status = "" if self.status is None else cells[self.status].strip()
        if status and status not in STATUSES:
            raise InputError(
                f"{here}: no such status {shortened(status)}; {suggestion(status, STATUSES)}"
                f"available: {', '.join(STATUSES)}, or none"
            )
        if status == LABELLED and not label:
            raise InputError(f"{here}: has the status {LABELLED}, but no label")
        if status in (SKIPPED, UNKNOWN) and label:
            raise InputError(
                f"{here}: has the status {status} and the label {shortened(label)}; remove one"
            )
        if (label or status) and not instance.strip():
            raise InputError(f"{here}: {self.instance} is empty; fill it or remove the row")
        return Answer(instance, label, "" if status == LABELLED else status)

    def cells(self, answer: Answer, where: str) -> dict[str, str]:
        """Return the cells that hold an answer.

        Raises:
            InputError: it has a status, and there is no column for it.
        """
        cells = {self.instance: answer.instance, LABEL_COLUMN: answer.label}
        if self.status is not None:
            cells[self.status] = answer.status
        elif answer.status not in ("", LABELLED):
            raise InputError(
                f"{where}: has no column {STATUS_COLUMN}, which {answer.status} instances need; "
                "add it to the header, and an empty cell to every row"
            )
        return cells


def append_answers(path: Path, answers: Sequence[Answer]) -> None:
    """Write answers behind those that a labels file has; they are on the disk on return.

    A new or empty file gets a header first, even without answers. The columns of a file stay:
    cells that are no part of an answer are left empty.

    Raises:
        InputError: the file cannot be written, its last row is cut off, it lacks a column that the
            answers need, or an answer cannot be written so that it is read again.
    """
    where = str(path)
    ending = labels_ending(where, where)
    _refuse_content(b"", ending, where)
    delimiter = DELIMITERS[ending]
    for answer in answers:
        _refuse_unreadable(answer, delimiter, where)
    with naming_file(where, writing=True):
        if path.exists():
            require_regular(path)
        with path.open("ab+", buffering=0) as file:
            lock_opened(file.fileno(), path)
            file.seek(0)
            raw = file.read()
            _append(file, len(raw), _continuation(raw, answers, delimiter, where))


def _append(file: FileIO, size: int, content: bytes) -> None:
    """Write content behind the ``size`` bytes that a file has: all of it, or nothing."""
    try:
        written = 0
        while written < len(content):
            written += file.write(content[written:])
        os.fsync(file.fileno())
    except BaseException:
        file.truncate(size)
        raise


def _refuse_unreadable(answer: Answer, delimiter: str, where: str) -> None:
    """Refuse an answer that would be read as another one, or not at all."""
    columns = _Columns(INSTANCE_COLUMNS[0], STATUS_COLUMN)
    here = f"{where}: the answer to {shortened(answer.instance)!r}"
    read = columns.answer(columns.cells(answer, where), here)
    if read.label != answer.label or not (read.label or read.status):
        raise InputError(f"{here}: has neither label nor status")
    for cell in (answer.instance, answer.label):
        if not is_encodable(cell):
            raise InputError(f"{here}: holds half of a surrogate pair; rename it")
        if delimiter != "," and set(cell) & set(f'{delimiter}"\r\n'):
            raise InputError(f"{here}: {cell!r} has a tab, a mark or a line end; use a .csv file")


def _continuation(raw: bytes, answers: Sequence[Answer], delimiter: str, where: str) -> bytes:
    """Return what comes behind the content of a file."""
    _refuse_content(raw, "", where)
    text = _whole_rows(raw, delimiter, where)
    columns, line_end = _header(text.whole, delimiter)
    buffer = io.StringIO(newline="")
    if text.cut or (not text.is_ended and _read_separated(raw, where, delimiter).is_cut):
        raise InputError(
            f"{where}: the last row is cut off; complete or remove it before more are written"
        )
    if not text.is_ended:
        buffer.write(line_end)
    if not columns:
        columns = NEW_HEADER
        buffer.write(f"{delimiter.join(columns)}{line_end}")
    found = _Columns.of(columns, where)
    # Where a label is the last cell, its quotes tell whether it is whole. Not all versions of
    # Python quote a carriage return by themselves.
    is_last = columns[-1] in (found.instance, LABEL_COLUMN) and delimiter == ","
    has_return = any("\r" in answer.instance + answer.label for answer in answers)
    writer = csv.DictWriter(
        buffer,
        columns,
        restval="",
        delimiter=delimiter,
        lineterminator=line_end,
        quoting=csv.QUOTE_ALL if is_last or has_return else csv.QUOTE_MINIMAL,
    )
    writer.writerows(found.cells(answer, where) for answer in answers)
    return buffer.getvalue().encode()


def _header(content: str, delimiter: str) -> tuple[tuple[str, ...], str]:
    """Return the columns, none where there is no header, and how lines end."""
    lines = io.StringIO(content, newline="")
    with cells_of_any_length():
        cells = next((row for row in csv.reader(lines, delimiter=delimiter) if row), [])
    return tuple(cells), "\r\n" if "\r\n" in content[: lines.tell()] else "\n"
