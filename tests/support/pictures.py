"""Runs whose pictures are empty files: to draw one takes a third of the time of a small run.

The processes of a sweep's jobs import this module, so it imports nothing that they have not.
"""

from pathlib import Path
from typing import Any

from alupdate.experiment import job
from alupdate.sweep import worker
from alupdate.utils.display import Display


def empty_picture(draw: object, path: Path, display: Display) -> None:
    """Takes the place of what saves a run's picture."""
    path.touch()


def work_without_picture(*arguments: Any) -> None:
    """Takes the place of what the process of a sweep's job calls."""
    job._save_figure = empty_picture
    worker._work(*arguments)
