"""Running the command in this process, with small settings."""

import sys
from pathlib import Path

import pytest

from alupdate.run import exit_code

SMALL = ("n_initial=10", "n_cycles=2", "subset=60", "batch.size=3", "training.epochs=3")


def run_command(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """Run ``python -m alupdate.run ARGUMENTS`` with ``folder`` as working directory."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["alupdate", *arguments])
    return exit_code(list(arguments))


def run_small(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """Run a few cycles on digits and pixels, unless ``arguments`` say otherwise."""
    defaults = ("dataset=digits", "backbone=pixels", *SMALL)
    chosen = {argument.split("=")[0] for argument in arguments}
    kept = [d for d in defaults if d.split("=")[0] not in chosen]
    return run_command(monkeypatch, folder, *kept, *arguments)


def only_run(folder: Path) -> Path:
    """Return the directory of the only run below ``folder``."""
    (status,) = (folder / "results").glob("*/*/status.json")
    return status.parent
