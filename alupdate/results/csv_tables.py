"""The kinds of CSV files with results, and a strict parser that names damage by file and line."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alupdate.results.annotations import ANNOTATION_COLUMNS
from alupdate.results.costs import COST_COLUMNS
from alupdate.results.picks import COUNTED, PICK_COLUMNS
from alupdate.results.records import (
    COMPARISON_COLUMNS,
    CURVE_COLUMNS,
    FORECAST_TABLE,
    QUERY_COLUMNS,
    TIMING_COLUMNS,
    UPDATE_COLUMNS,
)
from alupdate.results.stopping import STOPPING_COLUMNS
from alupdate.utils.errors import InputError, cannot_read
from alupdate.utils.files import regular_bytes
from alupdate.utils.metrics import ACCURACY, LATER_METRICS, METRIC_NAMES

TEXT = frozenset({
    "run", "experiment", "dataset", "backbone", "strategy", "batch", "update", "method",
    "likelihood", "step_size", "phase", "section", "what", "against", "variable", "state", "reason",
    "overrides", "unit", "rule", "disturbance",
})  # fmt: skip
WHOLE = frozenset({
    "seed", "cycle", "n_labelled", "n_initial", "n_new", "position", "pool_index", "label",
    "labels", "ahead", "n_instances", "n_again", "n_changed", *COUNTED.values(),
})  # fmt: skip
BOOLEAN = frozenset({"oracle", "stop", "ended"})
"""Columns by type, in whatever file they are; all others hold real numbers."""


@dataclass(frozen=True)
class TableKind:
    """One kind of CSV file.

    Attributes:
        mark: the column by which a file of gathered rows is recognised.
        columns: must be there; a file may have others, which are not read.
        gaps: those in which a value may be missing.
        optional: columns that may be missing as a whole, which is read as gaps in every row.
        file: the name in a run directory; empty if no run has such a table.
        keys: no two rows have the same values in all of these; empty if rows may be alike.
    """

    mark: str
    columns: tuple[str, ...]
    gaps: frozenset[str] = frozenset()
    optional: tuple[str, ...] = ()
    file: str = ""
    keys: tuple[str, ...] = ()


UNDEFINED = frozenset(METRIC_NAMES) - {ACCURACY}
"""Metrics that some predictions do not have, as those of a network whose training diverged."""


def _kind_with_metrics(
    file: str,
    mark: str,
    columns: Iterable[str],
    gaps: frozenset[str] = frozenset(),
    keys: tuple[str, ...] = (),
) -> TableKind:
    needed = tuple(column for column in columns if column not in LATER_METRICS)
    return TableKind(mark, needed, UNDEFINED | gaps, LATER_METRICS, file, keys)


BY_CYCLE = ("run", "cycle")
"""Columns that tell the rows of tables by cycle apart."""

KINDS: Mapping[str, TableKind] = {
    "areas": TableKind(
        "area",
        ("dataset", "backbone", "strategy", "batch", "update", "oracle", "seed", "area"),
        optional=("experiment", "labels", "query_seconds"),
        keys=(
            "experiment", "dataset", "backbone", "strategy", "batch", "update", "oracle", "seed",
        ),
    ),
    "updates": _kind_with_metrics(
        "updates.csv",
        "method",
        UPDATE_COLUMNS,
        frozenset({"likelihood", "step_size", "prior_precision", "gamma"}),
    ),
    "benchmark": TableKind(
        "section",
        (
            "section", "what", "against", "seconds", "other_seconds", "ratio", "mib", "variable",
            "value",
        ),
        gaps=frozenset({
            "against", "seconds", "other_seconds", "ratio", "mib", "variable", "value",
        }),
    ),
    "timings": TableKind("phase", TIMING_COLUMNS, file="timings.csv", keys=(*BY_CYCLE, "phase")),
    "queries": TableKind(
        "pool_index", QUERY_COLUMNS, file="queries.csv", keys=("run", "pool_index")
    ),
    "comparisons": TableKind(
        "update_seconds", COMPARISON_COLUMNS, file="comparison.csv", keys=BY_CYCLE
    ),
    "costs": TableKind("cost", COST_COLUMNS, file="costs.csv", keys=BY_CYCLE),
    "annotations": TableKind(
        "n_again", ANNOTATION_COLUMNS, frozenset({"label_accuracy"}), file="annotations.csv",
        keys=BY_CYCLE,
    ),
    "stopping": TableKind(
        "rule", STOPPING_COLUMNS, frozenset({"value"}), file="stopping.csv",
        keys=(*BY_CYCLE, "rule"),
    ),
    "forecasts": TableKind(
        "ahead", FORECAST_TABLE, frozenset({ACCURACY}), file="forecast.csv",
        keys=(*BY_CYCLE, "ahead"),
    ),
    "disturbances": TableKind(
        "disturbance",
        PICK_COLUMNS,
        optional=tuple(COUNTED.values()),
        file="disturbances.csv",
        keys=BY_CYCLE,
    ),
    "curves": _kind_with_metrics("curve.csv", "cycle", CURVE_COLUMNS, keys=BY_CYCLE),
}  # fmt: skip
"""By field of ``Results``, in an order in which the first mark that a file has tells its kind."""
RUN_TABLES = {kind.file: kind for kind in KINDS.values() if kind.file}
"""By name of the file in a run directory."""
SWEEP = TableKind(
    "overrides",
    ("run", "state", "reason", "overrides"),
    gaps=frozenset({"reason", "overrides"}),
    file="sweep.csv",
)
"""The list of the runs that a sweep was asked for."""


def read_gathered(path: Path) -> tuple[str, pd.DataFrame]:
    """Return the kind and the rows of a file in which runs were gathered.

    Raises:
        InputError: it is no file of a known kind, or it is damaged.
    """
    header, _ = _parsed(path)
    for name, kind in KINDS.items():
        if kind.mark in header:
            return name, read_csv_table(path, kind)
    marks = ", ".join(f"{kind.mark} ({name})" for name, kind in KINDS.items())
    raise InputError(f"{path}: is no table of results; its columns should have one of {marks}")


def read_run_table(path: Path) -> pd.DataFrame:
    """Return the rows of a CSV file in a run directory; its name tells the kind.

    Raises:
        InputError: as ``read_csv_table``.
    """
    return read_csv_table(path, RUN_TABLES[path.name])


def read_csv_table(path: Path, kind: TableKind) -> pd.DataFrame:
    """Return the columns of a CSV file: text as it stands, numbers and truth values as such.

    Raises:
        InputError: the file cannot be read, lacks a column, breaks off, or has a value of the
            wrong type, the same row twice, or labels that do not grow; the message names file and
            line.
    """
    header, rows = _parsed(path)
    for name in kind.columns:
        if name not in header:
            raise InputError(f"{path}: has no column {name}; needed: {', '.join(kind.columns)}")
    if not rows:
        raise InputError(f"{path}: has no rows")
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(f"{path}: line {line} has {len(row)} cells, not {len(header)}")
    columns = {}
    for name in (*kind.columns, *kind.optional):
        may_miss = name in kind.gaps or name in kind.optional
        place = header.index(name) if name in header else None
        cells = ((line, "" if place is None else row[place]) for line, row in rows)
        columns[name] = _typed(cells, name, path, may_miss=may_miss)
    table = pd.DataFrame(columns)
    lines = [line for line, _ in rows]
    _refuse_repeated(table, kind.keys, lines, path)
    if kind.keys == BY_CYCLE:
        _refuse_falling(table, lines, path)
    return table


def _refuse_repeated(
    table: pd.DataFrame, keys: tuple[str, ...], lines: list[int], path: Path
) -> None:
    """Refuse a table in which a row is there twice: it would count as one more run or cycle."""
    repeated = table.duplicated(list(keys)) if keys else np.zeros(len(table), bool)
    if not repeated.any():
        return
    place = int(repeated.argmax())
    same = (table[list(keys)] == table.loc[place, list(keys)]).all(axis=1)
    what = ", ".join(f"{key} {value}" for key, value in table.loc[place, list(keys)].items())
    raise InputError(
        f"{path}: line {lines[place]} is about the same as line {lines[int(same.argmax())]} "
        f"({what}); remove one"
    )


def _refuse_falling(table: pd.DataFrame, lines: list[int], path: Path) -> None:
    """Refuse a run whose labels do not grow from cycle to cycle: its curve has no area."""
    steps = table.sort_values("cycle", kind="stable").groupby("run")["n_labelled"].diff()
    wrong = steps.index[steps <= 0]
    if len(wrong):
        raise InputError(
            f"{path}: line {lines[int(wrong.min())]}: n_labelled must be more than in the cycle "
            "before"
        )


def _parsed(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header, and line number and cells of each row."""
    try:
        text = regular_bytes(path).decode("utf-8-sig")
    except OSError as error:
        raise cannot_read(str(path), error) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text file") from error
    if not text.endswith("\n"):
        raise InputError(f"{path}: breaks off within line {text.count(chr(10)) + 1}")
    reader = csv.reader(io.StringIO(text))
    try:
        header = next(reader)
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from error
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise InputError(f"{path}: has two columns {twice[0]}")
    return header, rows


def _typed(cells: Iterable[tuple[int, str]], name: str, path: Path, *, may_miss: bool) -> list[Any]:
    convert, gap = _converter(name)
    values = []
    for line, cell in cells:
        if may_miss and (not cell or (cell == "nan" and convert is not _text)):
            values.append(gap)
            continue
        try:
            values.append(convert(cell))
        except (ValueError, KeyError) as error:
            raise InputError(f"{path}: line {line}: {name} cannot be {cell!r}") from error
    return values


def _converter(name: str) -> tuple[Callable[[str], Any], Any]:
    """Return what reads a cell of a column, and what stands for a missing one."""
    if name in TEXT:
        return _text, ""
    if name in BOOLEAN:
        return _boolean, None
    return (_whole if name in WHOLE else _number), math.nan


def _text(cell: str) -> str:
    if not cell:
        raise ValueError
    return cell


def _number(cell: str) -> float:
    value = float(cell)
    if math.isnan(value) or "_" in cell:  # Python reads 1_000
        raise ValueError
    return value


def _whole(cell: str) -> int:
    """Return an integer, which other programs may have written as 10.0."""
    if cell.removeprefix("-").isdecimal():
        return int(cell)
    value = _number(cell)
    if not value.is_integer():
        raise ValueError
    return int(value)


def _boolean(cell: str) -> bool:
    return {"true": True, "false": False}[cell.lower()]
