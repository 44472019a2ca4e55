"""Running the command in this process, with small settings."""

import sys
from pathlib import Path
from typing import Any

import pytest

from alupdate.results.store import RunStore
from alupdate.run import exit_code
from tests.support.pictures import draw_pictures

SMALL = ("n_initial=10", "n_cycles=2", "subset=60", "batch.size=3", "training.epochs=3")


def run_command(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str, pictures: bool = False
) -> int:
    """Run ``python -m alupdate.run ARGUMENTS`` with ``folder`` as working directory.

    With ``pictures`` a run draws its picture, in the jobs of a sweep, too.
    """
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["alupdate", *arguments])
    with monkeypatch.context() as patch:
        if pictures:
            draw_pictures(patch)
        return exit_code(list(arguments))


def run_small(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str, pictures: bool = False
) -> int:
    """Run a few cycles on digits and pixels, unless ``arguments`` say otherwise."""
    defaults = ("dataset=digits", "backbone=pixels", *SMALL)
    chosen = {argument.split("=")[0] for argument in arguments}
    kept = [d for d in defaults if d.split("=")[0] not in chosen]
    return run_command(monkeypatch, folder, *kept, *arguments, pictures=pictures)


def run_cut(monkeypatch: pytest.MonkeyPatch, folder: Path, done: int, *arguments: str) -> None:
    """Run as ``run_small`` in a new folder, and fail once ``done`` cycles are saved."""
    folder.mkdir()
    save = RunStore.save

    def saved(
        self: RunStore, steps: list[dict[str, Any]], tables: dict[str, str], *, last: bool = False
    ) -> None:
        save(self, steps, tables, last=last)
        if len(steps) == done:
            raise RuntimeError("cut")

    with monkeypatch.context() as patch:
        patch.setattr(RunStore, "save", saved)
        assert run_small(monkeypatch, folder, *arguments) != 0


def only_run(folder: Path) -> Path:
    """Return the directory of the only run below ``folder``."""
    (status,) = (folder / "results").glob("*/*/status.json")
    return status.parent
