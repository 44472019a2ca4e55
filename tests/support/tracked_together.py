"""What each of several processes that start together does; imports as little as it can."""

from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from alupdate.trackers.mlflow import MlflowRun, import_database_store
from alupdate.trackers.tracker import Point

import_database_store()


def track(results: Path, name: str, barrier: Barrier) -> None:
    """Begin, send and end a run of one step."""
    store: Any = SimpleNamespace(name=name, path=results, settings={"seed": 0}, status=dict)
    tracker = MlflowRun(f"sqlite:///{results}/mlflow.db", results, "default", store)
    barrier.wait()
    tracker.begin(anew=False)
    tracker.send([Point(10, 0.0, {"cycle": 0.0, "accuracy": 0.5})])
    tracker.end("completed")
