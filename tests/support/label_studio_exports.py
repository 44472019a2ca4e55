"""Exports as Label Studio 1.23 writes them, made by its rules and not copied from a server."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FORMATS = {"json": ".json", "json_min": ".json", "csv": ".csv", "tsv": ".csv"}
"""Each format, and the ending that its file gets."""


@dataclass(frozen=True)
class Given:
    """An annotation: choices, minute of creation and of the last change, and whether it skips."""

    choices: tuple[str, ...]
    created: int = 0
    updated: int | None = None
    skips: bool = False


@dataclass(frozen=True)
class Task:
    """A task with its data and annotations."""

    number: int
    data: Mapping[str, Any]
    given: Sequence[Given] = field(default_factory=tuple)


def answered(number: int, data: Mapping[str, Any], label: str, created: int = 0) -> Task:
    """Return a task with one annotation."""
    return Task(number, data, [Given((label,), created)])


def exported(kind: str, tasks: Sequence[Task], control: str = "choice") -> bytes:
    """Return an export in one of FORMATS."""
    if kind == "json":
        return json.dumps([_full(task, control) for task in tasks], ensure_ascii=False).encode()
    records = [record for task in tasks for record in _records(task, control)]
    if kind == "json_min":
        return json.dumps(records, indent=2, ensure_ascii=False).encode()
    always = {"annotator", "annotation_id", "created_at", "updated_at", "lead_time"}
    text = io.StringIO(newline="")
    writer = csv.DictWriter(
        text,
        sorted({*always, *(key for record in records for key in record)}),
        quoting=csv.QUOTE_NONNUMERIC,
        delimiter="," if kind == "csv" else "\t",
    )
    writer.writeheader()
    for record in records:
        cells = {
            key: json.dumps(value, separators=(",", ":")) if isinstance(value, dict) else value
            for key, value in record.items()
        }
        writer.writerow(cells | {"annotator": str(record["annotator"])})
    return text.getvalue().encode()


def write_export(path: Any, kind: str, tasks: Sequence[Task], control: str = "choice") -> Any:
    """Write an export beside ``path`` with the ending that Label Studio gives it."""
    file = path.with_name(f"{path.name}-{kind}{FORMATS[kind]}")
    file.write_bytes(exported(kind, tasks, control))
    return file


def _time(minute: int) -> str:
    return f"2026-11-28T{minute // 60:02}:{minute % 60:02}:06.951748Z"


def _result(choices: Sequence[str], control: str) -> list[dict[str, Any]]:
    if not choices:
        return []
    value = {"choices": list(choices)}
    return [{"from_name": control, "to_name": "text", "type": "choices", "value": value}]


def _numbered(task: Task) -> list[tuple[int, Given]]:
    return [(100 * task.number + place, one) for place, one in enumerate(task.given)]


def _full(task: Task, control: str) -> dict[str, Any]:
    annotations = [
        {
            "id": number,
            "completed_by": 1,
            "result": _result(one.choices, control),
            "was_cancelled": one.skips,
            "ground_truth": False,
            "created_at": _time(one.created),
            "updated_at": _time(one.created if one.updated is None else one.updated),
            "draft_created_at": None,
            "lead_time": 3.5,
            "prediction": {"result": _result(("predicted",), control), "score": 0.5},
            "task": task.number,
        }
        for number, one in _numbered(task)
    ]
    draft = {"id": 1, "result": _result(("drafted",), control), "created_at": _time(0)}
    return {
        "id": task.number,
        "annotations": annotations,
        "drafts": [draft],
        "predictions": [7],
        "data": dict(task.data),
        "meta": {},
        "created_at": _time(0),
        "updated_at": _time(0),
        "inner_id": 1,
    }


def _records(task: Task, control: str) -> list[dict[str, Any]]:
    """Return the records of a task, the newest first; none where it was only skipped."""
    made = [pair for pair in _numbered(task) if not pair[1].skips]
    if not task.given:
        nothing = dict.fromkeys(("annotation_id", "created_at", "updated_at", "lead_time"))
        return [{**task.data, "id": task.number, "annotator": None, **nothing}]
    records = []
    for number, one in sorted(made, key=lambda pair: pair[1].created, reverse=True):
        choices: Any = one.choices[0] if len(one.choices) == 1 else {"choices": [*one.choices]}
        records.append(
            {
                **task.data,
                "id": task.number,
                **({control: choices} if one.choices else {}),
                "annotator": 1,
                "annotation_id": number,
                "created_at": _time(one.created),
                "updated_at": _time(one.created if one.updated is None else one.updated),
                "lead_time": None,
            }
        )
    return records
