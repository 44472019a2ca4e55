"""Runs whose pictures are empty files: to draw one takes a third of the time of a small run.

The processes of a sweep's jobs import this module, so it imports nothing that they have not.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from alupdate.experiment import job
from alupdate.sweep import worker
from alupdate.utils.display import Display

if TYPE_CHECKING:
    import pytest

_SAVE, _WORK = job._save_figure, worker._work


def leave_pictures_out(patch: "pytest.MonkeyPatch") -> None:
    """Let runs and the jobs of sweeps save empty pictures."""
    patch.setattr(job, "_save_figure", empty_picture)
    patch.setattr(worker, "_work", work_without_picture)


def draw_pictures(patch: "pytest.MonkeyPatch") -> None:
    """Let runs and the jobs of sweeps draw their pictures, as they do outside tests."""
    patch.setattr(job, "_save_figure", _SAVE)
    patch.setattr(worker, "_work", _WORK)


def empty_picture(draw: object, path: Path, display: Display) -> None:
    """Takes the place of what saves a run's picture."""
    path.touch()


def work_without_picture(*arguments: Any) -> None:
    """Takes the place of what the process of a sweep's job calls."""
    job._save_figure = empty_picture
    _WORK(*arguments)
