"""Trackers: a run's numbers in MLflow or TensorBoard, beside its CSV files.

A tracker is told what a run has committed already, so it can change nothing in the results; and
every call to it goes through a guard, so it can neither stop a run nor hold it up.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from alupdate.config import MlflowTracker, RunConfig, TensorboardTracker
from alupdate.results.status import State
from alupdate.results.store import RunStore
from alupdate.trackers.tracker import Guard, Point, Tracker, points_of
from alupdate.utils.display import Display


def make_tracker(config: RunConfig, store: RunStore) -> Tracker | None:
    """Return the configured tracker, or None; nothing is written and nobody is called yet.

    Raises:
        InputError: the tracker's package is not installed.
    """
    settings = config.tracker
    if isinstance(settings, MlflowTracker):
        from alupdate.trackers.mlflow import MlflowRun

        results = Path(config.results_dir)
        uri = settings.uri or f"sqlite:///{(results / 'mlflow.db').absolute()}"
        return MlflowRun(uri, results, config.experiment_name, store)
    if isinstance(settings, TensorboardTracker):
        from alupdate.trackers.tensorboard import TensorboardEvents

        return TensorboardEvents(store.path / "tensorboard")
    return None


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
        send(points)
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
