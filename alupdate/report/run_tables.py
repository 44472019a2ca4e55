"""Reading the CSV files of a run, with every damage named by file and line."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from alupdate.errors import InputError
from alupdate.results.records import (
    COMPARISON_COLUMNS,
    CURVE_COLUMNS,
    QUERY_COLUMNS,
    TIMING_COLUMNS,
)
from alupdate.results.update_records import COLUMNS as UPDATE_COLUMNS

FIRST_LINE = 2
"""Line of the first row: the header is line 1."""


@dataclass(frozen=True)
class TableKind:
    """One kind of CSV file.

    Attributes:
        columns: must be there; others are kept as text.
        text: columns that are not numbers.
        gaps: columns in which a value may be missing.
    """

    columns: tuple[str, ...]
    text: frozenset[str]
    gaps: frozenset[str] = frozenset()


VARIANT_NAMES = frozenset({"run", "dataset", "backbone", "strategy", "batch", "update"})
KINDS = {
    "curve.csv": TableKind(CURVE_COLUMNS, VARIANT_NAMES | {"oracle"}),
    "timings.csv": TableKind(TIMING_COLUMNS, frozenset({"run", "phase"})),
    "queries.csv": TableKind(QUERY_COLUMNS, frozenset({"run", "label"})),
    "comparison.csv": TableKind(COMPARISON_COLUMNS, frozenset({"run"})),
    "updates.csv": TableKind(
        UPDATE_COLUMNS,
        frozenset({"run", "dataset", "backbone", "method", "likelihood", "step_size"}),
        gaps=frozenset({"likelihood", "step_size", "prior_precision", "gamma"}),
    ),
}
MAIN_TABLES = ("curve.csv", "updates.csv")
BOOLEANS = {"true": True, "false": False}


def read_table(path: Path, kind: TableKind) -> pd.DataFrame:
    """Return the rows of a CSV file: numbers as floats, ``oracle`` as booleans, the rest as text.

    Raises:
        InputError: the file cannot be read, lacks a column, breaks off, or has a value of the
            wrong type; the message names file and line.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text file") from error
    if not text.endswith("\n"):
        raise InputError(f"{path}: breaks off within line {text.count(chr(10)) + 1}")
    try:
        frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, na_values=[])
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
    missing = [name for name in kind.columns if name not in frame.columns]
    if missing:
        raise InputError(f"{path}: has no column {missing[0]}; needed: {', '.join(kind.columns)}")
    if frame.empty:
        raise InputError(f"{path}: has no rows")
    for name in kind.columns:
        frame[name] = _typed(frame[name], name, path, kind)
    return frame


def _typed(column: pd.Series, name: str, path: Path, kind: TableKind) -> pd.Series:
    column = column.fillna("")
    may_miss = name in kind.gaps
    typed: pd.Series = column
    if name == "oracle":
        typed = column.str.lower().map(BOOLEANS)
        wrong, right = typed.isna(), "true or false"
    elif name in kind.text:
        wrong, right = (column == "") & (not may_miss), "a name"
    else:
        typed = pd.to_numeric(column, errors="coerce").astype(float)
        missing = column.str.lower().isin(["", "nan"])
        wrong, right = typed.isna() & ~(missing & may_miss), "a number"
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        raise InputError(
            f"{path}: line {row + FIRST_LINE}: {name} is {column.iloc[row]!r}, not {right}"
        )
    return typed.astype(bool) if name == "oracle" else typed
