"""TensorBoard tracker: the scalars of a run in an event file of its own.

The file is written anew by every process that works on the run, from the points that the run has
committed: no step can be there twice, and half a record of a killed process does no harm.
"""

import io
import shutil
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from alupdate.results.status import State
from alupdate.trackers.tracker import Point
from alupdate.utils.errors import InputError

try:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter
except ImportError as error:
    raise InputError(
        f"tracker=tensorboard: {error}; pip install 'alupdate[tensorboard]'"
    ) from error


class TensorboardEvents:
    """The event file of one run."""

    extra_seconds = 0.0

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: Path | None = None
        self._sent = 0

    @property
    def name(self) -> str:
        """Its name in a warning."""
        return f"tracker=tensorboard, {self._folder}"

    @property
    def place(self) -> str:
        """The folder of its file."""
        return str(self._folder)

    def check(self) -> None:
        """Nothing can be wrong that is not wrong with the run's own folder."""

    def begin(self, anew: bool) -> None:
        """Start an empty file in place of any earlier one."""
        if self._file is not None:
            return
        if self._folder.exists():
            shutil.rmtree(self._folder)
        self._folder.mkdir(parents=True)
        name = f"events.out.tfevents.{time.time_ns() // 10**9:010d}.{socket.gethostname()}"
        file = self._folder / name
        file.write_bytes(_records([Event(wall_time=time.time(), file_version="brain.Event:2")]))
        self._file = file

    def send(self, points: Sequence[Point]) -> None:
        """Append the new points; of an append that fails nothing stays."""
        assert self._file is not None
        events = [_event(point) for point in points[self._sent :]]
        size = self._file.stat().st_size
        try:
            with self._file.open("ab") as file:
                file.write(_records(events))
        except OSError:
            with self._file.open("ab") as file:
                file.truncate(size)
            raise
        self._sent = len(points)

    def end(self, state: State) -> None:
        """Mark a completed run."""
        if state == "completed":
            self._mark.touch()

    def is_complete(self) -> bool:
        """Return whether the mark is there."""
        return self._mark.exists()

    @property
    def _mark(self) -> Path:
        return self._folder / "complete"


def _event(point: Point) -> Event:
    scalars = [Summary.Value(tag=name, simple_value=value) for name, value in point.values.items()]
    return Event(wall_time=time.time(), step=point.step, summary=Summary(value=scalars))


def _records(events: Sequence[Event]) -> bytes:
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for event in events:
        writer.write(event.SerializeToString())
    return buffer.getvalue()
