"""Reading the runs of an experiment as one tidy table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from alupdate.results.records import COLUMNS as UPDATE_COLUMNS
from alupdate.results.records import CURVE_COLUMNS
from alupdate.utils.errors import InputError

AREA_COLUMNS = ("dataset", "backbone", "strategy", "batch", "update", "oracle", "seed", "area")
BENCHMARK_COLUMNS = (
    "section", "what", "against", "seconds", "other_seconds", "ratio", "mib", "variable", "value"
)  # fmt: skip
KINDS: Mapping[str, Sequence[str]] = {
    "curves": CURVE_COLUMNS,
    "updates": UPDATE_COLUMNS,
    "areas": AREA_COLUMNS,
    "benchmark": BENCHMARK_COLUMNS,
}
NUMBERS = {
    "seed", "cycle", "n_labelled", "accuracy", "nll", "brier", "ece", "ace", "area", "n_initial",
    "n_new", "seconds", "speedup", "other_seconds", "ratio", "mib", "value",
}  # fmt: skip


@dataclass(frozen=True)
class Results:
    """What a folder or a file of gathered runs holds; None where there is nothing of a kind.

    Attributes:
        curves: rows of curve.csv.
        updates: rows of updates.csv.
        areas: rows of scripts/areas.py.
        benchmark: rows of scripts/benchmark.py.
    """

    curves: pd.DataFrame | None = None
    updates: pd.DataFrame | None = None
    areas: pd.DataFrame | None = None
    benchmark: pd.DataFrame | None = None


def read_runs(folder: Path, name: str = "curve.csv") -> pd.DataFrame:
    """Return the rows of one kind of CSV file of all runs below a folder.

    ``folder`` may be an experiment (``results/<experiment>``), a single run, or a CSV file in
    which the runs were gathered before.

    Raises:
        InputError: there is no such file, or it is no table.
    """
    if folder.is_file():
        return _read(folder)
    files = _files(folder, name)
    if not files:
        raise InputError(f"{folder}: holds no {name}; give a results/<experiment> directory")
    return pd.concat([_read(file) for file in files], ignore_index=True)


def read_results(source: Path) -> Results:
    """Return all tables below a folder, or the one in a CSV file, recognised by its columns.

    Raises:
        InputError: there are none, or a file is no table of ours.
    """
    if source.is_file():
        table = _read(source)
        for kind, columns in KINDS.items():
            if set(columns) <= set(table.columns):
                _check(table, columns, source)
                return Results(**{kind: _by_experiment(table)})
        raise InputError(
            f"{source}: has not the columns of curve.csv, of updates.csv, of areas or of benchmark"
        )
    found = {}
    for kind, name in {"curves": "curve.csv", "updates": "updates.csv"}.items():
        tables = {file: _read(file) for file in _files(source, name)}
        for file, table in tables.items():
            _check(table, KINDS[kind], file)
        if tables:
            found[kind] = pd.concat(tables.values(), ignore_index=True)
    if not found:
        raise InputError(f"{source}: holds no curve.csv or updates.csv")
    return Results(**found)


def _files(folder: Path, name: str) -> list[Path]:
    copies = "mlflow-artifacts"  # of files that are there already
    return sorted(path for path in folder.rglob(name) if copies not in path.parts)


def _check(table: pd.DataFrame, columns: Sequence[str], file: Path) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(f"{file}: has no column {missing[0]}")
    if table.empty:
        raise InputError(f"{file}: has no rows")
    for column in {*columns} & NUMBERS:
        if not pd.api.types.is_numeric_dtype(table[column]):
            raise InputError(f"{file}: column {column} holds something that is no number")


def _by_experiment(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of areas with its experiments in place of data sets: they differ in more."""
    return table.assign(dataset=table["experiment"]) if "experiment" in table else table


def _read(file: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(file)
    except (ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{file}: cannot be read as CSV ({reason})") from error
