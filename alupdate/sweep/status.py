"""The state of an experiment's runs: its manifest, its overview, and the progress of a sweep.

The manifest, ``sweep.csv``, lists every run that sweeps were asked for, with its state and the
command that makes it. ``task=status`` shows the overview.
"""

import csv
import io
import json
import logging
import os
import shlex
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import timedelta
from pathlib import Path
from statistics import median

import yaml

from alupdate.results.records import csv_text
from alupdate.results.status import STATUS, RunStatus, read_status, run_state
from alupdate.sweep.plan import PlannedRun
from alupdate.utils.display import Advance, Display
from alupdate.utils.errors import InputError, cannot_read, redacted
from alupdate.utils.files import locked_file, regular_bytes, replace_file

MANIFEST = "sweep.csv"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ManifestRow:
    """One run of an experiment, as a row of sweep.csv.

    Attributes:
        run: name of its directory.
        state: one of ``completed``, ``running``, ``waiting``, ``interrupted``, ``failed``,
            ``invalid`` (its input is wrong) and ``unknown`` (it may be running: its lock or its
            status cannot be read).
        failures: how often it has failed.
        seconds: of its last attempt; empty if that is not known.
        reason: why it is not completed, in one line; empty if there is nothing to say.
        overrides: arguments of ``python -m alupdate.run`` that make it.
    """

    run: str
    state: str
    failures: int
    seconds: str
    reason: str
    overrides: str


_COLUMNS = tuple(field.name for field in fields(ManifestRow))
UNREADABLE = (OSError, ValueError, KeyError, TypeError, RecursionError)
"""What is raised where a file of a run is missing, damaged, or holds something else."""
_STATES = ("completed", "running", "waiting", "interrupted", "unknown", "failed", "invalid")
_PENDING = ("running", "waiting", "interrupted", "unknown")
_BEGUN = ("running", "interrupted", "unknown", "failed")
_WRITTEN_AGAIN = "the sweep's own command writes it again"
_RUNS_SHOWN = 20


def current_row(path: Path, overrides: Sequence[str], problem: str | None = None) -> ManifestRow:
    """Return how a run stands now.

    Args:
        path: its directory.
        overrides: that make it.
        problem: what is wrong with its input, if it is invalid.
    """
    status = read_status(path)
    seconds = "" if status.seconds is None else f"{status.seconds:.1f}"
    state, reason = run_state(path, status)
    if problem is not None and state != "completed":
        state, reason = "invalid", problem
    command = redacted(shlex.join(overrides))
    return ManifestRow(path.name, state, status.failures, seconds, reason, command)


def variant(run: str) -> str:
    """Return a run's name without seed and hash."""
    return run.rpartition("-s")[0] or run


def write_manifest(folder: Path, rows: Iterable[ManifestRow]) -> None:
    """Write rows to an experiment's sweep.csv; they replace older rows of the same runs.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked_file(folder / ".sweep.lock"):
        merged = {row.run: row for row in _kept(folder)} | {row.run: row for row in rows}
        content = csv_text(_COLUMNS, [astuple(row) for row in merged.values()])
        replace_file(folder / MANIFEST, content)


def read_manifest(folder: Path) -> list[ManifestRow]:
    """Return the rows of an experiment's sweep.csv.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = folder / MANIFEST
    try:
        text = regular_bytes(path).decode()
    except FileNotFoundError as error:
        raise InputError(f"{path}: {error.strerror}; a sweep (-m) writes it") from error
    except OSError as error:
        raise cannot_read(str(path), error) from error
    except ValueError as error:
        raise InputError(f"{path}: is no text; {_WRITTEN_AGAIN}") from error
    try:
        lines = list(csv.reader(io.StringIO(text)))
    except csv.Error as error:
        raise InputError(f"{path}: {error}; {_WRITTEN_AGAIN}") from error
    if not lines or tuple(lines[0]) != _COLUMNS:
        raise InputError(f"{path}, row 1: must be {','.join(_COLUMNS)}")
    return [_row(path, number, cells) for number, cells in enumerate(lines[1:], start=2)]


def _row(path: Path, number: int, cells: list[str]) -> ManifestRow:
    if len(cells) != len(_COLUMNS) or not cells[2].isdecimal() or not _is_command(cells[-1]):
        raise InputError(f"{path}, row {number}: is damaged; {_WRITTEN_AGAIN}")
    run, state, failures, *rest = cells
    return ManifestRow(run, state, int(failures), *rest)


def _is_command(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError:  # a quotation mark without its counterpart
        return False
    return True


def _kept(folder: Path) -> list[ManifestRow]:
    """Return what the manifest holds; nothing of one that is damaged."""
    if not (folder / MANIFEST).exists():
        return []
    try:
        return read_manifest(folder)
    except InputError as error:
        log.warning("%s", error)
        return []


@dataclass(frozen=True)
class Overview:
    """The states of an experiment's runs, and the time left.

    Attributes:
        rows: one for each of its runs, with its state now.
        cycles: name of each run that has begun and is not completed, and its cycles done and
            wanted.
        time_left: estimate from the times of completed runs and the number of runs at once now;
            None if no run is completed or none is running.
    """

    rows: tuple[ManifestRow, ...]
    cycles: Mapping[str, tuple[int, int]]
    time_left: timedelta | None


def overview(folder: Path) -> Overview:
    """Return the state of an experiment: of the runs in its manifest, and of any others in it.

    Raises:
        InputError: it is no experiment, or its manifest is damaged.
        OSError: it cannot be listed.
    """
    if not folder.is_dir():
        raise InputError(f"experiment_dir={folder}: no such directory")
    wanted = read_manifest(folder) if (folder / MANIFEST).exists() else []
    names = {row.run for row in wanted}
    found = _run_folders(folder)
    rows = [_now(folder, row) for row in wanted]
    rows += [current_row(path, ()) for path in found if path.name not in names]
    if not rows:
        raise InputError(f"experiment_dir={folder}: holds no runs; give results/NAME")
    begun = [row.run for row in rows if row.state in _BEGUN]
    cycles = {run: _cycles(folder / run) for run in begun}
    return Overview(tuple(rows), cycles, _time_left(rows, cycles))


def _run_folders(folder: Path) -> list[Path]:
    """Return the folders in an experiment that hold a status, or that may not be entered."""
    inside = sorted(entry for entry in folder.iterdir() if os.path.isdir(entry))
    return [
        entry for entry in inside if os.path.exists(entry / STATUS) or not os.access(entry, os.X_OK)
    ]


def show_overview(folder: Path, display: Display) -> None:
    """Print the states of an experiment's runs, what is not completed and why, the time left."""
    found = overview(folder)
    variants: dict[str, Counter[str]] = {}
    for row in found.rows:
        variants.setdefault(variant(row.run), Counter())[row.state] += 1
    used = [state for state in _STATES if any(counts[state] for counts in variants.values())]
    table = [[name, *(str(counts[s]) for s in used)] for name, counts in variants.items()]
    total = Counter(row.state for row in found.rows)
    table.append([f"all {len(found.rows)}", *(str(total[state]) for state in used)])
    display.report(str(folder), ["runs", *used], table)
    unfinished = [row for row in found.rows if row.run in found.cycles or row.state == "invalid"]
    if unfinished:
        lines = [[r.run, r.state, _progress(found, r.run), r.reason] for r in unfinished]
        columns = ["run", "state", "cycles", "reason"]
        display.report("not completed", columns, lines[:_RUNS_SHOWN])
    pending = sum(row.state in _PENDING for row in found.rows)
    if pending and found.time_left is not None:
        display.say(f"time left: about {_rounded(found.time_left)}, for {pending} pending runs")
    elif pending:
        display.say(f"{pending} runs are pending; no estimate of the time while none runs")


def _now(folder: Path, row: ManifestRow) -> ManifestRow:
    problem = row.reason if row.state == "invalid" else None
    return current_row(folder / row.run, shlex.split(row.overrides), problem)


def _cycles(path: Path) -> tuple[int, int]:
    """Return how many steps of a run are done, and how many it has; 0 where that is not known."""
    try:
        done = len(json.loads(regular_bytes(path / "state.json"))["steps"])
    except UNREADABLE:
        done = 0
    try:
        config = yaml.safe_load(regular_bytes(path / "config.yaml"))
        wanted = int(config["n_cycles"]) + 1
    except (*UNREADABLE, OverflowError, yaml.YAMLError):
        wanted = 0
    return done, wanted


def _progress(found: Overview, run: str) -> str:
    done, wanted = found.cycles.get(run, (0, 0))
    return f"{done}/{wanted}" if wanted else ""


def _time_left(
    rows: Sequence[ManifestRow], cycles: Mapping[str, tuple[int, int]]
) -> timedelta | None:
    """Take the median time of a variant's completed runs, or of all, for each pending run."""
    taken: dict[str, list[float]] = {}
    for row in rows:
        if row.state == "completed" and row.seconds:
            taken.setdefault(variant(row.run), []).append(float(row.seconds))
    running = sum(row.state == "running" for row in rows)
    if not taken or not running:
        return None
    usual = median(seconds for variant in taken.values() for seconds in variant)
    work = 0.0
    for row in rows:
        if row.state in _PENDING:
            done, wanted = cycles.get(row.run, (0, 0))
            share = 1 - done / wanted if wanted else 1.0
            work += share * median(taken.get(variant(row.run), [usual]))
    return timedelta(seconds=work / running)


def _rounded(time: timedelta) -> str:
    return str(timedelta(seconds=round(time.total_seconds())))


_SECONDS_BETWEEN_POLLS = 0.5
_FILES_PER_SECOND = 500
"""How many status files are read per second at most; they may lie on a file server."""


@contextmanager
def progress_of(runs: Sequence[PlannedRun], display: Display) -> Iterator[None]:
    """Show how many of the runs have ended, and print each failure, while the body works."""
    pending = {run.path: run.before for run in runs if not run.is_finished}
    finished = len(runs) - len(pending)
    with display.progress("runs", len(runs), finished) as advance:
        poller = _StatusPoller(pending, advance, display)
        thread = threading.Thread(target=poller.run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            poller.stop.set()
            thread.join()
            poller.poll()


class _StatusPoller:
    """Reads the status files of all runs that have not ended yet, again and again."""

    def __init__(self, pending: dict[Path, RunStatus], advance: Advance, display: Display) -> None:
        self.stop = threading.Event()
        self._pending, self._advance, self._display = pending, advance, display
        self._failed = 0

    def run(self) -> None:
        while not self.stop.wait(self._seconds()):
            self.poll()

    def _seconds(self) -> float:
        return max(_SECONDS_BETWEEN_POLLS, len(self._pending) / _FILES_PER_SECOND)

    def poll(self) -> None:
        """Report the runs that have ended since the last call."""
        found = {path: read_status(path) for path in self._pending}
        changed = {path: status for path, status in found.items() if status != self._pending[path]}
        running = sum(status.state == "running" for status in changed.values())
        ended = 0
        for path, status in changed.items():
            if status.state in ("completed", "failed"):
                del self._pending[path]
                ended += 1
                if status.state == "failed":
                    self._failed += 1
                    self._display.say(f"failed: {path.name}: {status.error}")
        counts = {"running": running, "failed": self._failed}
        self._advance(
            ended, ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        )
