"""Launching what is left of a sweep until every run has ended."""

import time
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from pathlib import Path

from alupdate.errors import InputError, first_line
from alupdate.results.status import is_held, read_status
from alupdate.sweep.isolated import Ending
from alupdate.sweep.launch import Launch
from alupdate.sweep.plan import PlannedRun

SECONDS_BETWEEN_LOOKS = 1.0
MAX_BREAKDOWNS = 3
"""How often in a row a launch may end without any run having ended, or being held elsewhere."""
OFTEN_INTERRUPTED = (
    f"its jobs were interrupted {MAX_BREAKDOWNS} times in a row; the same command resumes them"
)


@dataclass
class Settled:
    """What is settled so far: how runs ended, and why the launcher gave up if it did."""

    endings: dict[Path, Ending] = field(default_factory=dict)
    breakdown: str | None = None


def complete(runs: Sequence[PlannedRun], launch: Launch, settled: Settled) -> None:
    """Launch every run that is not finished, and again those whose worker died with them.

    A run that another process works on is waited for, and taken over if that process dies.

    Args:
        runs: of the sweep.
        launch: starts jobs and waits for them.
        settled: is filled in as runs end, so that it holds what is known when this is interrupted.

    Raises:
        InputError: the launcher does not work at all.
    """
    breakdowns = 0
    for run in runs:
        if run.needs_nothing:
            settled.endings[run.path] = Ending("done", "already done")
        elif run.is_given_up:
            settled.endings[run.path] = Ending("failed", run.before.error)
    while left := _unsettled(runs, settled):
        free = [run for run in left if not is_held(run.path)]
        if not free:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            continue
        settled.breakdown = None
        before = [read_status(run.path) for run in free]
        try:
            endings = launch([run.overrides for run in free])
        except Exception as error:  # whatever a launcher raises: its worker died, no such queue
            settled.breakdown = f"{type(error).__name__}: {first_line(error)}"
            began = before != [read_status(run.path) for run in free]
            if not began and not isinstance(error, BrokenExecutor):
                raise InputError(f"hydra/launcher: {settled.breakdown}") from error
        else:
            _settle_returned(free, endings, settled)
        if len(_unsettled(runs, settled)) < len(left):
            breakdowns = 0
            continue
        breakdowns += all(not is_held(run.path) for run in free)
        if breakdowns == MAX_BREAKDOWNS:
            settled.breakdown = settled.breakdown or OFTEN_INTERRUPTED
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _settle_returned(
    runs: Sequence[PlannedRun], endings: Sequence[Ending], settled: Settled
) -> None:
    """Take note of the runs that ended; one that was busy or interrupted comes up again."""
    for run, ending in zip(runs, endings, strict=True):
        if ending.outcome in ("done", "failed", "killed", "refused"):
            settled.endings[run.path] = ending


def _unsettled(runs: Sequence[PlannedRun], settled: Settled) -> list[PlannedRun]:
    """Return the runs that have not ended, by what is settled and by their status files.

    The files tell of runs in another sweep, and of those whose worker ended with its launcher.
    """
    left = [run for run in runs if run.path not in settled.endings]
    for run in left:
        status = read_status(run.path)
        if status != run.before and status.state == "completed":
            settled.endings[run.path] = Ending("done")
        elif status != run.before and status.state == "failed":
            settled.endings[run.path] = Ending("failed", status.error)
    return [run for run in left if run.path not in settled.endings]
