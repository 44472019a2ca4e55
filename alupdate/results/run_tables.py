"""Reading the CSV files of a run, with every damage named by file and line."""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from alupdate.results.records import COLUMNS as UPDATE_COLUMNS
from alupdate.results.records import (
    COMPARISON_COLUMNS,
    CURVE_COLUMNS,
    QUERY_COLUMNS,
    TIMING_COLUMNS,
)
from alupdate.utils.errors import InputError

FIRST_LINE = 2
"""Line of the first row: the header is line 1."""


@dataclass(frozen=True)
class TableKind:
    """One kind of CSV file.

    Attributes:
        columns: must be there; others are ignored.
        text: columns that are not numbers.
        gaps: columns in which a value may be missing.
    """

    columns: tuple[str, ...]
    text: frozenset[str]
    gaps: frozenset[str] = frozenset()


DIVERGED = frozenset({"nll", "brier", "ece", "ace"})
"""Scores that a network whose training diverged may lack."""
VARIANT_NAMES = frozenset({"run", "dataset", "backbone", "strategy", "batch", "update"})
KINDS = {
    "curve.csv": TableKind(CURVE_COLUMNS, VARIANT_NAMES | {"oracle"}, gaps=DIVERGED),
    "timings.csv": TableKind(TIMING_COLUMNS, frozenset({"run", "phase"})),
    "queries.csv": TableKind(QUERY_COLUMNS, frozenset({"run", "label"})),
    "comparison.csv": TableKind(COMPARISON_COLUMNS, frozenset({"run"})),
    "updates.csv": TableKind(
        UPDATE_COLUMNS,
        frozenset({"run", "dataset", "backbone", "method", "likelihood", "step_size"}),
        gaps=DIVERGED | {"likelihood", "step_size", "prior_precision", "gamma"},
    ),
}
SWEEP = TableKind(
    ("run", "state", "reason", "overrides"),
    frozenset({"run", "state", "reason", "overrides"}),
    gaps=frozenset({"reason", "overrides"}),
)
"""Columns needed of sweep.csv, which lists what a sweep was asked for."""
MAIN_TABLES = ("curve.csv", "updates.csv")
MISSING = ("", "nan")
BOOLEANS = {"true": True, "false": False}


def read_table(path: Path, kind: TableKind) -> pd.DataFrame:
    """Return a CSV file's columns of its kind: numbers as floats, ``oracle`` as booleans.

    Raises:
        InputError: the file cannot be read, lacks a column, breaks off, or has a value of the
            wrong type; the message names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text file") from error
    if not text.endswith("\n"):
        raise InputError(f"{path}: breaks off within line {text.count(chr(10)) + 1}")
    try:
        header, *rows = csv.reader(io.StringIO(text))
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from error
    missing = [name for name in kind.columns if name not in header]
    if missing:
        raise InputError(f"{path}: has no column {missing[0]}; needed: {', '.join(kind.columns)}")
    if not rows:
        raise InputError(f"{path}: has no rows")
    for line, row in enumerate(rows, start=FIRST_LINE):
        if len(row) != len(header):
            raise InputError(f"{path}: line {line} has {len(row)} cells, not {len(header)}")
    cells = dict(zip(header, zip(*rows, strict=True), strict=True))
    return pd.DataFrame({name: _typed(cells[name], name, path, kind) for name in kind.columns})


def _typed(cells: Sequence[str], name: str, path: Path, kind: TableKind) -> list[Any]:
    convert: Callable[[str], Any] = _text if name in kind.text else _number
    if name == "oracle":
        convert = _boolean
    may_miss = name in kind.gaps
    values = []
    for line, cell in enumerate(cells, start=FIRST_LINE):
        if may_miss and cell in MISSING:
            values.append("" if name in kind.text else math.nan)
            continue
        try:
            values.append(convert(cell))
        except (ValueError, KeyError) as error:
            raise InputError(f"{path}: line {line}: {name} cannot be {cell!r}") from error
    return values


def _text(cell: str) -> str:
    if not cell:
        raise ValueError
    return cell


def _number(cell: str) -> float:
    value = float(cell)
    if math.isnan(value):
        raise ValueError
    return value


def _boolean(cell: str) -> bool:
    return BOOLEANS[cell.lower()]
