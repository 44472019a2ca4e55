"""What a tracker can be told."""

from collections.abc import Sequence
from typing import Protocol

from alupdate.results.status import State
from alupdate.trackers.points import Point


class Tracker(Protocol):
    """Keeps one run. Every call may raise anything and may hang; each can be repeated."""

    @property
    def what(self) -> str:
        """How it is called in a warning."""
        ...

    @property
    def extra_seconds(self) -> float:
        """How much longer than usual the next call may take."""
        ...

    def begin(self, anew: bool) -> None:
        """Find the run or add it, the first time; ``anew`` forgets what was kept of it before."""
        ...

    def send(self, points: Sequence[Point]) -> None:
        """Add the points that are not there yet."""
        ...

    def end(self, state: State) -> None:
        """Say how the run ended."""
        ...

    def is_complete(self) -> bool:
        """Return whether the run is there with all that belongs to it."""
        ...
