"""Reading results: the run directories below a folder, or a CSV file of gathered rows.

Only completed runs are in the tables. A run that is not completed, or that has a damaged file, is
left out and listed with the reason, so that it does not keep the others from being read.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import yaml

from alupdate.results.csv_tables import (
    KINDS,
    SWEEP,
    read_csv_table,
    read_gathered,
    read_run_table,
)
from alupdate.results.records import MAIN_TABLES
from alupdate.results.run_names import setting_text, suffixes
from alupdate.results.status import STATUS, State, read_status, run_state
from alupdate.utils.errors import InputError
from alupdate.utils.files import regular_bytes
from alupdate.utils.metrics import LATER_METRICS, find_metric

COPIES = "mlflow-artifacts"
"""A folder in which MLflow keeps copies of files that are there already."""
RUN_FILES = frozenset({STATUS, *MAIN_TABLES.values()})
"""Files that make a folder a run directory."""
NOT_PROVENANCE = frozenset({"state", "error", "failures", "oracle", "started", "updated"})
"""Keys of status.json that have fields of their own."""


@dataclass(frozen=True)
class Run:
    """One run directory.

    Attributes:
        name: in the column ``run`` of its tables; of the directory where there are none.
        state: running | completed | failed | interrupted; a run whose process is gone counts as
            interrupted, and one of which that is not known as unknown.
        reason: why it is not completed; empty where it is.
        oracle: what the strategy sees beyond acquired labels; empty for practical strategies.
        settings: from config.yaml, ``group.key`` to value as text.
        provenance: from status.json, likewise: versions, revision, machine, device.
        started, updated: times in UTC, ISO 8601; empty if not known.
        tables: curves, updates, ... to rows, as in ``Results``; empty unless it is completed.
    """

    name: str
    state: str
    reason: str
    oracle: str
    settings: Mapping[str, str]
    provenance: Mapping[str, str]
    started: str
    updated: str
    tables: Mapping[str, pd.DataFrame] = field(repr=False)


@dataclass(frozen=True)
class MissingRun:
    """A run that the tables leave out.

    Attributes:
        run: its name, or the path of what is damaged.
        state: of the run, or ``damaged``.
        reason: why it is left out.
        updated: time of its last status in UTC, ISO 8601; empty if not known.
    """

    run: str
    state: str
    reason: str
    updated: str = ""


@dataclass(frozen=True)
class Results:
    """What a folder or a file holds; a table is None where there are no such rows.

    Attributes:
        name: of the folder or file.
        curves: rows of curve.csv, one per cycle. Where runs differ in a setting that has no column,
            the strategy's name is followed by it.
        updates: rows of updates.csv, one per compared update.
        timings: rows of timings.csv, seconds per phase.
        queries: rows of queries.csv, one per acquired label.
        comparisons: rows of comparison.csv, updating against retraining in a cycle.
        costs: rows of costs.csv, what the labels have cost after each cycle.
        annotations: rows of annotations.csv, how many labels are wrong after each cycle.
        stopping: rows of stopping.csv, one per cycle and stopping rule.
        forecasts: rows of forecast.csv, one per expected accuracy.
        disturbances: rows of disturbances.csv, how many picks are wrong, outliers or repeated.
        areas: rows of scripts/areas.py, one per run.
        benchmark: rows of scripts/benchmark.py.
        runs: all run directories that could be read; none for a file of gathered rows.
        missing: the runs that the tables leave out, also those that a sweep has not started.
        changes: a line for each name that stands for several contents of files.
    """

    name: str
    curves: pd.DataFrame | None = None
    updates: pd.DataFrame | None = None
    timings: pd.DataFrame | None = None
    queries: pd.DataFrame | None = None
    comparisons: pd.DataFrame | None = None
    costs: pd.DataFrame | None = None
    annotations: pd.DataFrame | None = None
    stopping: pd.DataFrame | None = None
    forecasts: pd.DataFrame | None = None
    disturbances: pd.DataFrame | None = None
    areas: pd.DataFrame | None = None
    benchmark: pd.DataFrame | None = None
    runs: tuple[Run, ...] = ()
    missing: tuple[MissingRun, ...] = ()
    changes: tuple[str, ...] = ()

    def notes(self) -> list[str]:
        """Return a line for each run that is left out, and for each name of several contents."""
        return [*self.changes] + [f"left out {m.run} ({m.state}): {m.reason}" for m in self.missing]

    def require(self, metric: str) -> None:
        """Check that there is something to show, and that all runs have the metric.

        Raises:
            InputError: no run is completed, the metric is not known, or a run has it at no cycle.
        """
        if all(getattr(self, kind) is None for kind in KINDS):
            raise InputError(f"{self.name}: no run is completed yet")
        find_metric(metric)
        if self.curves is None or metric not in LATER_METRICS:
            return
        unknown = self.curves[metric].isna().groupby(self.curves["run"]).all()
        if unknown.any():
            raise InputError(
                f"metric {metric}: run {unknown.idxmax()} does not have it; it was made before the "
                "metric was added, and force=true makes it again, or it is not defined at any cycle"
            )

    def gaps(self, metric: str) -> list[str]:
        """Return a line for each run that lacks the metric at some of its cycles."""
        curves = pd.DataFrame(columns=["run", metric]) if self.curves is None else self.curves
        counts = curves[metric].isna().groupby(curves["run"]).agg(["sum", "size"]).itertuples()
        line = "metric {}: run {} lacks it at {} of {} cycles, and is not compared as a whole"
        return [line.format(metric, *row) for row in counts if row[1]]


def read_results(source: str | Path) -> Results:
    """Read all runs below a folder, or a CSV file of gathered rows, into DataFrames.

    Links to run directories and to folders of them are followed. What is left out is in
    ``missing``. The kind of a CSV file is recognised by its columns.

    Args:
        source: an experiment (``results/NAME``), a single run directory, a folder of several
            experiments, or a CSV file that ``alupdate gather`` wrote.

    Raises:
        InputError: there is no run, or the CSV file is damaged.

    Example:
        >>> import alupdate
        >>> small = ["dataset=digits", "backbone=pixels", "n_cycles=2", "progress=false"]
        >>> run = alupdate.run([*small, "strategy=margin", f"results_dir={results}"])
        >>> found = alupdate.load_results(results)
        >>> found.curves["n_labelled"].tolist(), len(found.queries), found.missing
        ([10, 20, 30], 30, ())
    """
    source = Path(source)
    if source.is_file():
        kind, table = read_gathered(source)
        gathered: dict[str, Any] = {kind: _by_experiment(table)}
        return Results(source.stem, **gathered)
    if not source.is_dir():
        raise InputError(f"{source}: there is no such file or folder")
    tree = _Tree(source)
    if not tree.runs:
        raise InputError(f"{source}: holds no runs; give a results/<experiment> directory")
    runs, damaged = _read_all(source, tree.runs)
    pending, damaged_lists = _pending(source, tree.sweeps, {path.name for path in tree.runs})
    unfinished = [
        MissingRun(run.name, run.state, run.reason, run.updated)
        for run in runs
        if run.state != "completed"
    ]
    missing = (*unfinished, *pending, *damaged, *damaged_lists, *tree.trouble)
    told_apart, changes = _with_contents_told_apart(runs)
    return Results(
        source.resolve().name,
        **_joined(_with_distinct_names(told_apart)),
        runs=tuple(runs),
        missing=missing,
        changes=tuple(changes),
    )


load_results = read_results  # as ``import alupdate`` names it


def _by_experiment(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of areas whose data sets are told apart by experiment.

    Runs of two experiments differ in more than the table shows. An experiment stands for its data
    set where it has one; where it has several, they keep their names, with that of the experiment
    in front if another experiment has one of them, too.

    Example:
        >>> pairs = [("a", "digits"), ("b", "digits"), ("b", "digits_noise0.2"), ("c", "mnist5k")]
        >>> table = pd.DataFrame(pairs, columns=["experiment", "dataset"])
        >>> _by_experiment(table)["dataset"].tolist()
        ['a', 'b, digits', 'b, digits_noise0.2', 'c']
    """
    if "experiment" not in table or (table["experiment"] == "").any():
        return table
    experiment, dataset = table["experiment"], table["dataset"]
    alone = dataset.groupby(experiment).transform("nunique") == 1
    shared = experiment.groupby(dataset).transform("nunique") > 1
    prefix = shared.groupby(experiment).transform("any")
    labels = dataset.mask(prefix, experiment + ", " + dataset).mask(alone, experiment)
    return table.assign(dataset=labels)


def _joined(runs: Iterable[Run]) -> dict[str, Any]:
    parts: dict[str, list[pd.DataFrame]] = {}
    for run in runs:
        for kind, table in run.tables.items():
            parts.setdefault(kind, []).append(table)
    return {kind: pd.concat(tables, ignore_index=True) for kind, tables in parts.items()}


class _Tree:
    """The run directories and the lists of sweeps below a folder, each in order of its path.

    Attributes:
        runs: run directories.
        sweeps: paths of sweep.csv.
        trouble: links and folders that are left out.
    """

    def __init__(self, source: Path) -> None:
        self._source = source
        self._seen: set[str] = set()
        self._links: list[Path] = []
        self.runs: list[Path] = []
        self.sweeps: list[Path] = []
        self.trouble: list[MissingRun] = []
        self._walk(source)
        while self._links:  # last, so that what is also there without a link has its own path
            link = self._links.pop(0)
            if link.parent.resolve().is_relative_to(link.resolve()):
                self._note(link, "is a link to a folder around it")
            else:
                self._walk(link)
        self.runs.sort()
        self.sweeps.sort()

    def _walk(self, top: Path) -> None:
        """Visit a folder and those in it, links aside; none is visited twice."""
        folders = [top]
        while folders:
            folder = folders.pop()
            real = os.path.realpath(folder)
            if real not in self._seen:
                self._seen.add(real)
                folders += self._visit(folder)

    def _visit(self, folder: Path) -> list[Path]:
        """Take note of what is in a folder and return the folders in it."""
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            self._note(folder, f"cannot be read ({error.strerror})")
            return []
        names = {entry.name for entry in entries}
        if names & RUN_FILES:
            self.runs.append(folder)
        if SWEEP.file in names:
            self.sweeps.append(folder / SWEEP.file)
        inside = [entry for entry in entries if os.path.isdir(entry) and entry.name != COPIES]
        self._links += [entry for entry in inside if entry.is_symlink()]
        return [entry for entry in inside if not entry.is_symlink()]

    def _note(self, path: Path, reason: str) -> None:
        self.trouble.append(_damaged(self._source, path, reason))


def _damaged(source: Path, path: Path, reason: str) -> MissingRun:
    name = str(path.relative_to(source)) if path != source else path.name
    return MissingRun(_printable(name), "damaged", _printable(reason))


def _read_all(source: Path, folders: Iterable[Path]) -> tuple[list[Run], list[MissingRun]]:
    """Return the runs that can be read, and the others with what is wrong."""
    runs: dict[str, Run] = {}
    damaged = []
    for folder in folders:
        try:
            run = _read_run(folder)
            if run.name in runs:
                raise InputError(f"is the same run as another folder: {run.name}")
            runs[run.name] = run
        except InputError as error:
            reason = str(error).removeprefix(f"{folder}{os.sep}")
            damaged.append(_damaged(source, folder, reason))
    return list(runs.values()), damaged


def _pending(
    source: Path, sweeps: Iterable[Path], there: set[str]
) -> tuple[list[MissingRun], list[MissingRun]]:
    """Return the runs that sweeps were asked for and that are not there; and damaged lists."""
    pending: dict[str, MissingRun] = {}
    damaged = []
    for path in sweeps:
        try:
            for row in read_csv_table(path, SWEEP).to_dict("records"):
                if row["run"] not in there:
                    reason = row["reason"] or "not started yet"
                    pending[row["run"]] = MissingRun(row["run"], row["state"], reason)
        except InputError as error:
            damaged.append(_damaged(source, path, str(error).removeprefix(f"{path}: ")))
    return list(pending.values()), damaged


def _read_run(folder: Path) -> Run:
    """Read a run directory.

    Raises:
        InputError: a file is missing or damaged; the message names it.
    """
    document = _mapping(folder / STATUS, json.loads)
    settings = _mapping(folder / "config.yaml", _safe_yaml)
    if document.get("state") not in get_args(State):
        allowed = ", ".join(get_args(State))
        raise InputError(f"{STATUS}: state is {document.get('state')}, not one of {allowed}")
    status = read_status(folder)
    state, reason = run_state(folder, status)
    if state == "running":
        reason = "at work"
    elif status.failures > 1:
        reason = f"{reason} (failed {status.failures} times)"
    tables = _tables(folder) if state == "completed" else {}
    provenance = {key: value for key, value in document.items() if key not in NOT_PROVENANCE}
    return Run(
        name=next((str(table["run"].iloc[0]) for table in tables.values()), folder.name),
        state=state,
        reason="" if state == "completed" else _printable(reason),
        oracle=_printable(str(document.get("oracle") or "")),
        settings=_flat_text("config.yaml", settings),
        provenance=_flat_text(STATUS, provenance),
        started="" if status.started is None else status.started.isoformat(timespec="milliseconds"),
        updated="" if status.updated is None else status.updated.isoformat(timespec="milliseconds"),
        tables=tables,
    )


def _mapping(path: Path, parse: Callable[[str], Any]) -> dict[Any, Any]:
    try:
        document = parse(regular_bytes(path).decode())
    except FileNotFoundError as error:
        raise InputError(f"{path.name} is missing") from error
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror})") from error
    except RecursionError as error:
        raise InputError(f"{path.name} cannot be parsed (nested too deeply)") from error
    except (ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path.name} cannot be parsed ({reason})") from error
    if not isinstance(document, dict):
        raise InputError(f"{path.name} holds no keys and values")
    return document


def _safe_yaml(text: str) -> Any:
    """Return plain data, by libyaml where PyYAML has it: in a tenth of the time."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 safe


def _flat_text(file: str, tree: Mapping[Any, Any]) -> dict[str, str]:
    """Return ``group.key`` to value as on the command line."""
    try:
        return {_printable(key): _printable(value) for key, value in _flat(tree)}
    except (ValueError, TypeError, RecursionError) as error:  # a tree that holds itself, odd keys
        raise InputError(f"{file} holds values that are no settings") from error


def _flat(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", setting_text(value)


def _printable(text: str) -> str:
    """Return the text without half characters, which JSON allows and no terminal takes."""
    return text.encode(errors="replace").decode()


def _tables(folder: Path) -> dict[str, pd.DataFrame]:
    found = [name for name, kind in KINDS.items() if kind.file and (folder / kind.file).is_file()]
    if not {KINDS[name].file for name in found} & RUN_FILES:
        raise InputError(f"is completed, but has neither {' nor '.join(MAIN_TABLES.values())}")
    return {name: read_run_table(folder / KINDS[name].file) for name in found}


CONTENTS = {"dataset": "data", "backbone": "weights", "strategy": "files"}
"""Columns that name what was read from files, and what it was."""
COLUMN_OF_DIGEST = {"dataset": "dataset", "weights": "backbone", "model": "backbone"}
"""Keys of digests in status.json; all others are of a strategy's own files and packages."""


def _with_contents_told_apart(runs: Iterable[Run]) -> tuple[list[Run], list[str]]:
    """Return the runs, where needed with the digest of their files behind the name of these.

    Files may be changed between two runs, so that one name stands for several data sets: such runs
    are neither repetitions nor comparisons of one another. A line says so for each such name.
    """
    found, lines = list(runs), []
    for column, what in CONTENTS.items():
        digests: dict[str, set[str]] = {}
        for run in found:
            for name in _names_in(run, column):
                digests.setdefault(name, set()).add(_digest(run, column))
        several = {name: texts for name, texts in digests.items() if len(texts) > 1}
        found = [_with_digest(run, column, what, several) for run in found]
        for name, texts in several.items():
            digests_found = ", ".join(sorted(texts))
            lines.append(
                f"{column} {name}: its {what} changed between runs ({digests_found}), which are "
                "shown apart"
            )
    return found, lines


def _digest(run: Run, column: str) -> str:
    """Return the digest of what a column names; one of several files is that of all."""
    found = {
        key: value
        for key, value in run.provenance.items()
        if key.startswith("sha256.")
        and COLUMN_OF_DIGEST.get(key.removeprefix("sha256."), "strategy") == column
    }
    if len(found) > 1:
        return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:8]
    return next(iter(found.values()), "unknown")[:8]


def _names_in(run: Run, column: str) -> set[str]:
    return {str(t[column].iloc[0]) for t in run.tables.values() if column in t}


def _with_digest(run: Run, column: str, what: str, names: Iterable[str]) -> Run:
    if not _names_in(run, column) & set(names):
        return run
    suffix = f" ({what} {_digest(run, column)})"
    tables = {
        kind: table.assign(**{column: table[column] + suffix}) if column in table else table
        for kind, table in run.tables.items()
    }
    return replace(run, tables=tables)


def _with_distinct_names(runs: Iterable[Run]) -> list[Run]:
    """Return the runs, where needed with the settings that distinguish them behind the strategy.

    A table of curves shows the names of strategy, batch and update only. Runs that share them but
    differ in another setting, such as ``update.gamma``, are not repetitions of one another.
    """
    groups: dict[tuple[str, ...], list[Run]] = {}
    named = []
    for run in runs:
        if "curves" in run.tables:
            groups.setdefault(_variant(run), []).append(run)
        else:
            named.append(run)
    for group in groups.values():
        named += map(_named_by, group, suffixes([run.settings for run in group]))
    return named


def _variant(run: Run) -> tuple[str, ...]:
    first = run.tables["curves"].iloc[0]
    return tuple(str(first[c]) for c in ("dataset", "backbone", "strategy", "batch", "update"))


def _named_by(run: Run, suffix: str) -> Run:
    tables = {
        kind: table.assign(strategy=table["strategy"] + suffix) if "strategy" in table else table
        for kind, table in run.tables.items()
    }
    return replace(run, tables=tables)
