"""Launching what is left of a sweep until every run has ended."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.utils import JobReturn

from alupdate.results.status import is_held, read_status
from alupdate.sweep.isolated import Ending
from alupdate.sweep.plan import PlannedRun

Launch = Callable[[Sequence[Sequence[str]]], Sequence[JobReturn]]
SECONDS_BETWEEN_LOOKS = 1.0
MAX_BREAKDOWNS = 3
"""How often in a row the launcher may break down without any run having ended."""


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
    """
    breakdowns = 0
    for run in runs:
        if run.is_finished:
            settled.endings[run.path] = Ending("done", "already done")
        elif run.is_given_up:
            settled.endings[run.path] = Ending("failed", run.before.error)
    while left := _unsettled(runs, settled):
        free = [run for run in left if not is_held(run.path)]
        if not free:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            continue
        try:
            returns: Sequence[JobReturn] = launch([run.overrides for run in free])
        except Exception as error:  # whatever a launcher raises: its worker died, no such queue
            settled.breakdown = f"{type(error).__name__}: {_first_line(error)}"
            moved = len(_unsettled(runs, settled)) < len(left)
            breakdowns = 0 if moved else breakdowns + 1
            if breakdowns == MAX_BREAKDOWNS:
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)
        else:
            settled.breakdown, breakdowns = None, 0
            _settle_returned(free, returns, settled)


def ending_of(result: JobReturn) -> Ending:
    """Return how a launched job ended."""
    try:
        ending = result.return_value
    except Exception as error:
        return Ending("failed", f"{type(error).__name__}: {_first_line(error)}")
    if not isinstance(ending, Ending):
        return Ending("failed", f"the launcher returned {ending!r}")
    return ending


def _settle_returned(
    runs: Sequence[PlannedRun], returns: Sequence[JobReturn], settled: Settled
) -> None:
    """Take note of the runs that ended; one that was busy or interrupted comes up again."""
    for run, result in zip(runs, returns, strict=True):
        ending = ending_of(result)
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


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or "no message"
