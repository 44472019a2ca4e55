"""sweep.csv: every run that an experiment has been asked for, how it stands, and how to make it."""

import csv
import io
import logging
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from filelock import FileLock

from alupdate.errors import InputError
from alupdate.files import replace_file
from alupdate.results.status import RunStatus, is_held, read_status
from alupdate.results.tables import csv_text

MANIFEST = "sweep.csv"
WRITTEN_AGAIN = "the sweep's own command writes it again"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ManifestRow:
    """One run.

    Attributes:
        run: name of its directory.
        state: waiting | running | completed | failed | refused | interrupted.
        failures: how often it has failed.
        seconds: of its last attempt; empty if that is not known.
        reason: why it is not completed, in one line.
        overrides: arguments of ``python -m alupdate.run`` that make it.
    """

    run: str
    state: str
    failures: int
    seconds: str
    reason: str
    overrides: str


COLUMNS = tuple(field.name for field in fields(ManifestRow))


def current_row(path: Path, overrides: Sequence[str], refusal: str | None = None) -> ManifestRow:
    """Return how a run stands now.

    Args:
        path: its directory.
        overrides: that make it.
        refusal: what was wrong with its input, if it was refused.
    """
    status = read_status(path)
    seconds = "" if status.seconds is None else f"{status.seconds:.1f}"
    state, reason = standing(path, status)
    if refusal is not None and state != "completed":
        state, reason = "refused", refusal
    command = shlex.join(overrides)
    return ManifestRow(path.name, state, status.failures, seconds, reason, command)


def variant(run: str) -> str:
    """Return a run's name without seed and hash."""
    return run.rpartition("-s")[0] or run


def standing(path: Path, status: RunStatus) -> tuple[str, str]:
    """Return the state of a run with the reason if it is not completed.

    A run that says it is running, but that no process holds, was cut off.
    """
    if status.state == "running" and not is_held(path):
        return "interrupted", "its process is gone; the same command resumes it"
    return status.state or "waiting", status.error or ""


def write_manifest(folder: Path, rows: Iterable[ManifestRow]) -> None:
    """Put rows into an experiment's sweep.csv, in the place of older ones of the same runs.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".sweep.lock"):
        merged = {row.run: row for row in _kept(folder)} | {row.run: row for row in rows}
        content = csv_text(COLUMNS, [astuple(row) for row in merged.values()])
        replace_file(folder / MANIFEST, content)


def read_manifest(folder: Path) -> list[ManifestRow]:
    """Return the rows of an experiment's sweep.csv.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = folder / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise InputError(f"{path}: {reason}; a sweep (-m) writes it") from error
    try:
        lines = list(csv.reader(io.StringIO(text)))
    except csv.Error as error:
        raise InputError(f"{path}: {error}; {WRITTEN_AGAIN}") from error
    if not lines or tuple(lines[0]) != COLUMNS:
        raise InputError(f"{path}, row 1: must be {','.join(COLUMNS)}")
    return [_row(path, number, cells) for number, cells in enumerate(lines[1:], start=2)]


def _row(path: Path, number: int, cells: list[str]) -> ManifestRow:
    if len(cells) != len(COLUMNS) or not cells[2].isdecimal() or not _is_command(cells[-1]):
        raise InputError(f"{path}, row {number}: is damaged; {WRITTEN_AGAIN}")
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
