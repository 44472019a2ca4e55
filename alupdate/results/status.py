"""The status of a run, from its status.json and its lock."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from filelock import Timeout

from alupdate.results.provenance import now
from alupdate.utils.errors import first_line
from alupdate.utils.files import holder, locked_file, regular_bytes, replace_file, require_regular

STATUS = "status.json"
LOCK = ".lock"
State = Literal["running", "completed", "failed", "interrupted"]


@dataclass(frozen=True)
class RunStatus:
    """What status.json says.

    Attributes:
        state: None where there is no readable status.
        error: one line, of a run that failed or was interrupted.
        failures: how often the run has failed.
        started, updated: in UTC, when the last attempt began, and when the status was written.
    """

    state: State | None
    error: str | None = None
    failures: int = 0
    started: datetime | None = None
    updated: datetime | None = None

    @property
    def seconds(self) -> float | None:
        """Seconds that the last attempt took, or None if that is not known."""
        if self.started is None or self.updated is None:
            return None
        return (self.updated - self.started).total_seconds()


def read_status(folder: Path) -> RunStatus:
    """Return the status of a run directory; one that is missing or damaged has no state."""
    document = read_document(folder)
    if document.get("state") not in get_args(State):
        return RunStatus(None)
    failures, error = document.get("failures", 0), document.get("error")
    return RunStatus(
        state=document["state"],
        error=None if error is None else str(error),
        failures=failures if isinstance(failures, int) else 0,
        started=_time(document.get("started")),
        updated=_time(document.get("updated")),
    )


def is_held(folder: Path) -> bool:
    """Return whether a living process is known to hold the run's lock."""
    return holder(folder / LOCK)[0] == "alive"


def run_state(folder: Path, status: RunStatus) -> tuple[str, str]:
    """Return the state of a run, with the reason if it is not completed.

    A run that says it is running, but that no process holds, was interrupted; one that has no
    status waits. Where the lock or the status cannot be read, the state is ``unknown``.
    """
    if status.state is None and (trouble := _unreadable(folder / STATUS)):
        return "unknown", f"{STATUS} cannot be read ({trouble})"
    if status.state != "running":
        return status.state or "waiting", status.error or ""
    found, trouble = holder(folder / LOCK)
    if found == "unknown":
        return "unknown", f"running, unless its process is gone: {LOCK} cannot be read ({trouble})"
    if found == "gone":
        return "interrupted", "its process is gone; the same command resumes it"
    return "running", status.error or ""


def _unreadable(path: Path) -> str:
    """Return why a file that may be there cannot be read, or nothing."""
    try:
        require_regular(path)
        path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        return error.strerror or first_line(error)
    return ""


def mark_crashed(folder: Path, error: str) -> None:
    """Mark a run whose process crashed as failed.

    A run that another process has taken over, or that is complete, stays as it is.

    Raises:
        OSError: the status cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked_file(folder / LOCK, timeout=0):
            document = read_document(folder)
            if document.get("state") == "completed":
                return
            failures = read_status(folder).failures + 1
            document |= {"state": "failed", "error": error, "failures": failures, "updated": now()}
            replace_file(folder / STATUS, json.dumps(document, indent=2) + "\n")
    except Timeout:
        return


def read_document(folder: Path) -> dict[str, Any]:
    """Return all of status.json; nothing where it is missing or damaged."""
    try:
        document = json.loads(regular_bytes(folder / STATUS))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _time(text: object) -> datetime | None:
    """Return a time in UTC, which is also meant where no zone is given."""
    try:
        time = datetime.fromisoformat(str(text))
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
