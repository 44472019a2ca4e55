"""Annotations in files that Label Studio has exported: JSON, JSON-MIN, CSV and TSV.

An export is never written to. Only a choice of one class is a label; predictions, drafts and
remarks in text fields are none. Annotations come in the order in which they were made.
"""

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from alupdate.data.labels import few, shortened
from alupdate.data.text_tables import distinct_members, is_encodable, separated, utf8_text
from alupdate.utils.errors import InputError

CONTROL = "choice"
"""What the choice of a class is called in the labelling configuration."""
NOTE = "model"
"""What the field is called that says what the model thinks; it is no annotation."""
INSTANCE = "instance"
"""What the name of an instance is called in a task's data."""
SHOWN = ("image", "text")
"""What is shown of a task is usually called like this in its data."""
IN_EVERY_TABLE = frozenset({"annotator", "annotation_id", "created_at", "updated_at", "lead_time"})
"""Columns by which an exported table is known; a labels file has none of these."""
OF_ANNOTATIONS = frozenset({*IN_EVERY_TABLE, NOTE, "id", "agreement", "history"})
"""Columns, and members of JSON-MIN, that are neither a task's data nor a control's."""
FORMATS = "an export of Label Studio as JSON, JSON-MIN, CSV or TSV"
MOST_BYTES_OF_HEADER = 2**16


@dataclass(frozen=True)
class Annotation:
    """What one annotator said of a task.

    Attributes:
        task: the number of the task.
        instance: the name in the task's data; None for a task that was made by others.
        contents: the texts in the task's data.
        label: the class; empty where the task was skipped.
        created, updated: when it was made, and changed last.
        number: of the annotation.
    """

    task: int
    instance: str | None
    contents: tuple[str, ...]
    label: str
    created: datetime
    updated: datetime
    number: int

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells one instance from another."""
        return (*self.contents,) if self.instance is None else (INSTANCE, self.instance)


def in_order(annotations: Iterable[Annotation]) -> list[Annotation]:
    """Return annotations in the order in which instances were answered first.

    Those of one instance follow each other: first those that skip it, then those that label it,
    the one that was changed last behind them, so that it counts.
    """
    groups = defaultdict[tuple[str, ...], list[Annotation]](list)
    for annotation in annotations:
        groups[annotation.identity].append(annotation)
    for group in groups.values():
        group.sort(key=lambda one: (bool(one.label), one.updated, one.number))
    return [one for group in sorted(groups.values(), key=_answered) for one in group]


def _answered(group: list[Annotation]) -> tuple[datetime, int]:
    """Return when an instance was labelled first, or else skipped first."""
    labelled = [one for one in group if one.label] or group
    return min((one.created, one.number) for one in labelled)


def read_json_export(raw: bytes, where: str) -> list[Annotation]:
    """Read a JSON or JSON-MIN export.

    Args:
        raw: the file's content.
        where: how to call the file in an error message.

    Raises:
        InputError: it is no such export, or an annotation is no choice of one class.
    """
    try:
        tasks = json.loads(
            utf8_text(raw, where),
            object_pairs_hook=distinct_members,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"{where}: is not valid JSON ({reason})") from error
    if not isinstance(tasks, list):
        raise InputError(f"{where}: must be a list of tasks; give {FORMATS}")
    for position, task in enumerate(tasks, start=1):
        if not isinstance(task, dict):
            raise InputError(f"{where}: the task at position {position} is no JSON object")
    control = _control({key for task in tasks if "annotation_id" in task for key in task}, where)
    found = list[Annotation]()
    for position, task in enumerate(tasks, start=1):
        number = _integer(task, "id", f"{where}: the task at position {position}")
        here = f"{where}: task {number}"
        if isinstance(task.get("annotations"), list) and isinstance(task.get("data"), dict):
            found += annotations_of(task, number, here)
        elif "annotation_id" in task:
            found += _minimal(task, number, control, here)
        else:
            raise InputError(f"{here}: has no annotations; give {FORMATS}, not a file to import")
    return in_order(found)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def annotations_of(task: Mapping[str, Any], number: int, here: str) -> list[Annotation]:
    """Return the annotations of a task, as a JSON export and the HTTP API describe it.

    Args:
        task: with its data and annotations.
        number: of the task.
        here: how to call the task in an error message.

    Raises:
        InputError: an annotation is no choice of one class.
    """
    found = []
    for annotation in task["annotations"]:
        if not isinstance(annotation, dict):
            raise InputError(f"{here}: an annotation is no JSON object")
        skipped = annotation.get("was_cancelled", False)
        if not isinstance(skipped, bool):
            raise InputError(f"{here}: was_cancelled must be true or false")
        label = "" if skipped else _choice(annotation.get("result"), here)
        identifier = _integer(annotation, "id", f"{here}: an annotation")
        found.append(_annotation(task["data"], annotation, label, (number, identifier), here))
    return found


def _choice(result: object, here: str) -> str:
    """Return the class that an annotation chooses.

    Raises:
        InputError: there is none, or more than one, or the annotation holds something else.
    """
    if not isinstance(result, list):
        raise InputError(f"{here}: an annotation has no list called result")
    chosen = list[object]()
    for region in result:
        kind = region.get("type") if isinstance(region, dict) else None
        if kind == "textarea":  # a remark, or what the model thinks
            continue
        value = region.get("value") if isinstance(region, dict) else None
        if not isinstance(kind, str) or kind.lower() != "choices":
            raise InputError(
                f"{here}: an annotation holds {shortened(kind)}; only one control of the type "
                "Choices is read"
            )
        choices = value.get("choices") if isinstance(value, dict) else None
        if not isinstance(choices, list):
            raise InputError(f"{here}: an annotation has no list called choices")
        chosen += choices
    return _only(chosen, here)


def _only(chosen: Sequence[object], here: str) -> str:
    """Return the one class that was chosen.

    Raises:
        InputError: there is none, or more than one, or it is no text.
    """
    if not chosen:
        raise InputError(
            f"{here}: an annotation has no choice; choose a class, or skip the task, and export "
            "again"
        )
    if len(chosen) > 1:
        raise InputError(
            f"{here}: an annotation has {len(chosen)} choices ({few(chosen)}); an instance has one "
            "class: leave one, and export again"
        )
    return _text(chosen[0], "the choice", here)


def _text(value: object, what: str, here: str) -> str:
    """Return a text that can be written to a file."""
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{here}: {what} must be a text that is not empty")
    if not is_encodable(value):
        raise InputError(f"{here}: {what} holds half of a surrogate pair; repair it")
    return value


def _minimal(
    task: Mapping[str, Any], number: int, control: str | None, here: str
) -> list[Annotation]:
    """Return the annotation of a record of a JSON-MIN export; none where nobody has made one."""
    if task["annotation_id"] is None:
        return []
    value = None if control is None else task.get(control)
    if isinstance(value, dict) and isinstance(value.get("choices"), list):
        label = _only(value["choices"], here)
    elif value is None or isinstance(value, str):
        label = _only([value] if value else [], here)
    else:
        raise InputError(f"{here}: {control} is no choice of a class; use a control of that type")
    data = _data(task, control)
    identifier = _integer(task, "annotation_id", here)
    return [_annotation(data, task, label, (number, identifier), here)]


def is_table_export(raw: bytes) -> bool:
    """Return whether a file is a table that Label Studio has exported."""
    return _delimiter(raw) is not None


def _delimiter(raw: bytes) -> str | None:
    """Return what separates the cells of an exported table; None for any other file.

    A table with tabs is exported under the ending .csv, too.
    """
    header = raw[:MOST_BYTES_OF_HEADER].split(b"\n", 1)[0].decode("utf-8-sig", "replace")
    for delimiter in (",", "\t"):
        try:
            columns = next(csv.reader([header], delimiter=delimiter), [])
        except csv.Error:
            continue
        if set(columns) >= IN_EVERY_TABLE:
            return delimiter
    return None


def read_table_export(raw: bytes, where: str) -> list[Annotation]:
    """Read a CSV or TSV export; arguments and errors are those of ``read_json_export``."""
    table = separated(utf8_text(raw, where), _delimiter(raw) or ",", where)
    for column in sorted(set(table.columns)):
        if table.columns.count(column) > 1:
            raise InputError(f"{where}: has two columns called {column}; export again")
    control = _control(table.columns, where)
    found = []
    for row, cells in table.rows:
        number = _integer(cells, "id", f"{where}: row {row}")
        here = f"{where}: task {number}"
        if not cells["annotation_id"]:
            continue
        value = "" if control is None else cells[control]
        if value.startswith(('{"', '[{"')):
            raise InputError(
                f"{here}: {control} is no choice of one class ({shortened(value)}); correct it, "
                "and export again"
            )
        data = _data(cells, control)
        label = _only([value] if value else [], here)
        identifier = _integer(cells, "annotation_id", here)
        found.append(_annotation(data, cells, label, (number, identifier), here))
    return in_order(found)


def _control(columns: Iterable[str], where: str) -> str | None:
    """Return the column of labels: ours, or the only one that may be; None where there is none.

    Raises:
        InputError: there are several.
    """
    if CONTROL in columns:
        return CONTROL
    data = {name for name in columns if name.startswith("_data_") or name in (INSTANCE, *SHOWN)}
    others = sorted({*columns} - OF_ANNOTATIONS - data)
    if len(others) > 1:
        raise InputError(
            f"{where}: cannot tell which of {few(others)} holds the labels; export as JSON"
        )
    return others[0] if others else None


def _data(facts: Mapping[str, Any], control: str | None) -> dict[str, Any]:
    """Return the data of a task in a record that holds its annotation, too."""
    return {key: value for key, value in facts.items() if key not in {control, *OF_ANNOTATIONS}}


def _annotation(
    data: Mapping[str, Any],
    facts: Mapping[str, Any],
    label: str,
    numbers: tuple[int, int],
    here: str,
) -> Annotation:
    """Return an annotation.

    Args:
        data: of the task.
        facts: where the times are.
        label: the class; empty for none.
        numbers: of the task and of the annotation.
        here: how to call the task in an error message.
    """
    name = name_in(data)
    return Annotation(
        task=numbers[0],
        instance=None if name is None else _text(name, INSTANCE, here),
        contents=tuple(
            text for key, text in sorted(data.items()) if isinstance(text, str) and key != INSTANCE
        ),
        label=label,
        created=_time(facts, "created_at", here),
        updated=_time(facts, "updated_at", here),
        number=numbers[1],
    )


def name_in(data: Mapping[str, Any]) -> Any:
    """Return the instance that a task's data name; None for none. A number is its digits."""
    given = data.get(INSTANCE)
    return str(given) if isinstance(given, int) and not isinstance(given, bool) else given


def _integer(facts: Mapping[str, Any], key: str, here: str) -> int:
    value = facts.get(key)
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{here}: {key} must be the number that Label Studio gave it")
    return value


def _time(facts: Mapping[str, Any], key: str, here: str) -> datetime:
    value = facts.get(key)
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None:
        raise InputError(f"{here}: {key} must be a time such as 2026-11-27T10:00:00.000000Z")
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
