"""Trackers: a run's numbers in MLflow or TensorBoard, beside its CSV files.

A tracker is told what a run has committed already, so it can change nothing in the results; and
every call to it goes through a guard, so it can neither stop a run nor hold it up.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from alupdate.config import MlflowTracker, NoTracker, RunConfig, TensorboardTracker
from alupdate.results.status import State
from alupdate.results.store import RunStore
from alupdate.trackers.tracker import SWEEP_GOES_ON, Guard, Point, Tracker, points_of
from alupdate.utils.display import Display

TRACKERS_DOWN = "ALUPDATE_TRACKERS_DOWN"
"""Environment: places of trackers that do not work, as a sweep has found; one a line."""


def make_tracker(config: RunConfig, store: RunStore) -> Tracker | None:
    """Return the configured tracker, or None; nothing is written and nobody is called yet.

    Raises:
        InputError: the tracker's package is not installed, or its address is a directory.
    """
    settings = config.tracker
    if isinstance(settings, MlflowTracker):
        results = Path(config.results_dir)
        uri = settings.uri or f"sqlite:///{(results / 'mlflow.db').absolute()}"
        if uri in _down():
            return None
        from alupdate.trackers.mlflow import MlflowRun

        return MlflowRun(uri, results, config.experiment_name, store)
    if isinstance(settings, TensorboardTracker):
        from alupdate.trackers.tensorboard import TensorboardEvents

        return TensorboardEvents(store.path / "tensorboard")
    return None


def _down() -> list[str]:
    return os.environ.get(TRACKERS_DOWN, "").splitlines()


class SweepTrackers:
    """Looks once in a sweep whether each of its trackers works, so that no run waits for it.

    One that does not is left out, by this process and by those that it starts.
    """

    def __init__(self, display: Display) -> None:
        self._say = display.complain
        self._working: dict[object, bool] = {}
        os.environ.pop(TRACKERS_DOWN, None)  # of an earlier sweep in this process

    def usable(self, config: RunConfig, store: RunStore) -> RunConfig:
        """Return the config, without its tracker if that does not work.

        Raises:
            InputError: as of ``make_tracker``.
        """
        key = (config.tracker, config.results_dir)
        if key not in self._working:
            self._working[key] = self._works(make_tracker(config, store))
        return config if self._working[key] else replace(config, tracker=NoTracker())

    def _works(self, tracker: Tracker | None) -> bool:
        if tracker is None:
            return True
        works = Guard(tracker.name, self._say, SWEEP_GOES_ON).attempt(tracker.check)
        if not works:
            os.environ[TRACKERS_DOWN] = "\n".join([*_down(), tracker.place])
        return works


@contextmanager
def tracked(
    tracker: Tracker | None, store: RunStore, display: Display, anew: bool
) -> Iterator[None]:
    """Tell the tracker of the run's start, of every commit to its store, and how it ended.

    Args:
        tracker: as made, or None.
        store: of the run, which has begun.
        display: for the one warning.
        anew: whether the run is done once more from the beginning.
    """
    if tracker is None:
        yield
        return
    guard = Guard(tracker.name, display.say)
    points: tuple[Point, ...] = ()

    def send(points: tuple[Point, ...]) -> None:
        tracker.begin(anew)
        tracker.send(points)

    def committed(steps: list[dict[str, Any]]) -> None:
        nonlocal points
        points = tuple(points_of(steps))
        guard.attempt(partial(send, points), tracker.extra_seconds)

    def end(points: tuple[Point, ...], state: State) -> None:
        try:
            send(points)
        except Exception:  # it is ended all the same, but not as a run of which all is there
            tracker.end("failed" if state == "completed" else state)
            raise
        tracker.end(state)

    guard.attempt(partial(send, points), tracker.extra_seconds)
    store.watch(committed)
    state: State = "failed"
    try:
        yield
        state = "completed"
    except KeyboardInterrupt:
        state = "interrupted"
        raise
    finally:
        guard.attempt(partial(end, points, state), tracker.extra_seconds)


def catch_up(tracker: Tracker | None, store: RunStore, display: Display) -> None:
    """Tell the tracker what it has missed of a run that is complete."""
    if tracker is None:
        return

    def fill_in() -> None:
        if not tracker.is_complete():
            tracker.begin(anew=False)
            tracker.send(points_of(store.load()))
            tracker.end("completed")

    Guard(tracker.name, display.say).attempt(fill_in, tracker.extra_seconds)
