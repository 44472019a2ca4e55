"""One progress display over all runs of a sweep, whoever works on them."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from alupdate.display import Advance, Display
from alupdate.results.status import RunStatus, read_status
from alupdate.sweep.plan import PlannedRun

SECONDS_BETWEEN_LOOKS = 0.5
LOOKS_PER_SECOND = 500
"""How many files to read per second at most, since they may lie on a file server."""


@contextmanager
def watched(runs: Sequence[PlannedRun], display: Display) -> Iterator[None]:
    """Show how many of the runs have ended, and say each failure, while the body works."""
    left = {run.path: run.before for run in runs if not run.is_finished}
    finished = len(runs) - len(left)
    with display.progress("runs", len(runs), finished) as advance:
        watch = _Watch(left, advance, display)
        thread = threading.Thread(target=watch.run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            watch.stop.set()
            thread.join()
            watch.look()


class _Watch:
    """Reads the status of all runs that have not ended yet, again and again."""

    def __init__(self, left: dict[Path, RunStatus], advance: Advance, display: Display) -> None:
        self.stop = threading.Event()
        self._left, self._advance, self._display = left, advance, display
        self._failed = 0

    def run(self) -> None:
        while not self.stop.wait(max(SECONDS_BETWEEN_LOOKS, len(self._left) / LOOKS_PER_SECOND)):
            self.look()

    def look(self) -> None:
        """Take note of the runs that have ended since the last look."""
        found = {path: read_status(path) for path in self._left}
        changed = {path: status for path, status in found.items() if status != self._left[path]}
        running = sum(status.state == "running" for status in changed.values())
        ended = 0
        for path, status in changed.items():
            if status.state in ("completed", "failed"):
                del self._left[path]
                ended += 1
                if status.state == "failed":
                    self._failed += 1
                    self._display.say(f"failed: {path.name}: {status.error}")
        counts = {"running": running, "failed": self._failed}
        self._advance(
            ended, ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        )
