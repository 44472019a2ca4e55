"""All runs of an experiment: what is finished goes into figures, what is not is listed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from alupdate.config.options import options
from alupdate.results.run_folder import Run, read_run
from alupdate.results.run_tables import KINDS, MAIN_TABLES, SWEEP, read_table
from alupdate.utils.errors import InputError


def told_apart(runs: Iterable[Run]) -> list[Run]:
    """Return the runs, where needed with the settings that tell them apart behind the strategy.

    A table of curves shows the names of strategy, batch and update only. Runs that share them but
    differ in another setting, such as ``update.gamma``, are not repetitions of one another.
    """
    groups: dict[tuple[str, ...], list[Run]] = {}
    told = []
    for run in runs:
        if "curve.csv" in run.tables:
            groups.setdefault(_variant(run), []).append(run)
        else:
            told.append(run)
    for group in groups.values():
        keys = _differing(group)
        told += [_named(run, keys) for run in group] if keys else group
    return told


def _variant(run: Run) -> tuple[str, ...]:
    first = run.tables["curve.csv"].iloc[0]
    return tuple(str(first[c]) for c in ("dataset", "backbone", "strategy", "batch", "update"))


def _differing(runs: list[Run]) -> list[str]:
    """Return the keys with several values; an earlier version may lack one that is null now."""
    keys = set[str]().union(*(run.settings for run in runs)) - _may_differ()
    return sorted(k for k in keys if len({run.settings.get(k, "null") for run in runs}) > 1)


def _may_differ() -> set[str]:
    """Return the keys in which runs of one curve may differ: the seed, and where the data are."""
    places = (getattr(option, "places", ()) for option in options("dataset").values())
    return {"seed", *(f"dataset.{place}" for some in places for place in some)}


def _named(run: Run, keys: list[str]) -> Run:
    values = (f"{key.removeprefix('strategy.')}={run.settings.get(key, 'null')}" for key in keys)
    curve = run.tables["curve.csv"]
    renamed = curve.assign(strategy=curve["strategy"] + " (" + ", ".join(values) + ")")
    return replace(run, tables={**run.tables, "curve.csv": renamed})


MARKS = ("status.json", *MAIN_TABLES)
"""Files that make a folder a run directory."""
GATHERED = {"curve.csv": "strategy", "updates.csv": "method"}
"""Tables that a file of gathered runs may hold, and a column by which to know them."""


@dataclass(frozen=True)
class Experiment:
    """What a report is about.

    Attributes:
        name: of the folder or file.
        runs: all run directories that could be read; none for a file of gathered runs.
        damaged: names and reasons of those that could not.
        waiting: runs of a sweep that have no directory yet: name to state and reason.
        tables: file name (curve.csv, ...) to the rows of all finished runs.
    """

    name: str
    runs: tuple[Run, ...]
    damaged: Mapping[str, str]
    waiting: Mapping[str, tuple[str, str]]
    tables: Mapping[str, pd.DataFrame]


def read_experiment(source: Path) -> Experiment:
    """Read the runs below a folder, or a CSV file in which runs were gathered.

    Raises:
        InputError: there is no run, or the file is damaged.
    """
    if source.is_file():
        return _gathered(source)
    if not source.is_dir():
        raise InputError(f"{source}: there is no such file or folder")
    folders = sorted({path.parent for mark in MARKS for path in source.rglob(mark)})
    if not folders:
        raise InputError(f"{source}: holds no runs; give a results/<experiment> directory")
    runs, damaged = _read_all(source, folders)
    waiting, damaged_lists = _waiting(source, {folder.name for folder in folders})
    told = told_apart(runs)
    tables = {name: _joined(name, told) for name in KINDS}
    return Experiment(
        name=source.resolve().name,
        runs=tuple(runs),
        damaged=damaged | damaged_lists,
        waiting=waiting,
        tables={name: table for name, table in tables.items() if len(table)},
    )


def _read_all(source: Path, folders: Iterable[Path]) -> tuple[list[Run], dict[str, str]]:
    """Return the runs that can be read, and the names of others with what is wrong."""
    runs: dict[str, Run] = {}
    damaged = {}
    for folder in folders:
        try:
            run = read_run(folder)
            if run.name in runs:
                raise InputError(f"is the same run as another folder: {run.name}")
            runs[run.name] = run
        except InputError as error:
            name = str(folder.relative_to(source)) if folder != source else folder.name
            damaged[name] = str(error).removeprefix(f"{folder}/")
    return list(runs.values()), damaged


def _waiting(source: Path, there: set[str]) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """Return the runs that sweeps were asked for and that are not there; and damaged lists."""
    waiting, damaged = {}, {}
    for path in sorted(source.rglob("sweep.csv")):
        try:
            for row in read_table(path, SWEEP).to_dict("records"):
                if row["run"] not in there:
                    waiting[row["run"]] = (row["state"], row["reason"] or "not started yet")
        except InputError as error:
            damaged[str(path.relative_to(source))] = str(error).removeprefix(f"{path}: ")
    return waiting, damaged


def _gathered(source: Path) -> Experiment:
    try:
        with source.open(encoding="utf-8") as file:
            header = file.readline().strip().split(",")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{source}: cannot be read as text") from error
    for name, mark in GATHERED.items():
        if mark in header:
            return Experiment(source.stem, (), {}, {}, {name: read_table(source, KINDS[name])})
    raise InputError(f"{source}: is no file of gathered {' or '.join(GATHERED)} rows")


def _joined(name: str, runs: Iterable[Run]) -> pd.DataFrame:
    parts = [run.tables[name] for run in runs if name in run.tables]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
