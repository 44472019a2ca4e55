"""Runs that are killed at random moments end with the curve of an uninterrupted one."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.support.pictures import empty_picture
from tests.support.processes import start
from tests.support.runs import only_run

KILLS = 24
COMMON = ("dataset=digits", "backbone=pixels", "n_cycles=6", "subset=60", "batch.size=4")
VARIANTS = {
    "retrain": ("strategy=margin", "batch=sequential", "training.epochs=20"),
    "second_order": (
        "strategy=lookahead",
        "update=second_order",
        "update.retrain_every=3",
        "training.epochs=20",
        "update.compare=true",
    ),
    "cnn": ("backbone=cnn", "strategy=entropy", "training.epochs=3"),
}


def run_in(folder: Path, arguments: tuple[str, ...], pictures: bool) -> None:
    """The whole command, in a process of its own; without pictures, that of the run is empty."""
    import sys

    import torch

    from alupdate.experiment import job
    from alupdate.run import exit_code

    if not pictures:
        job._save_figure = empty_picture
    torch.set_num_threads(1)
    os.chdir(folder)
    command = [*COMMON, *arguments, "progress=false", "threads=1"]
    chosen = {argument.split("=")[0]: argument for argument in command}
    sys.argv = ["alupdate", *chosen.values()]
    os._exit(exit_code(sys.argv[1:]))


def run(folder, arguments, pictures=True):
    folder.mkdir(exist_ok=True)
    return start(run_in, folder, arguments, pictures)


def finish(folder, arguments, pictures=False):
    process = run(folder, arguments, pictures)
    process.join(timeout=120)
    assert process.exitcode == 0


def files_of(folder):
    """Return the files that must be identical; a kill must leave nothing half-written."""
    run = only_run(folder)
    assert not list(run.glob(".*.partial*"))
    return [(run / name).read_bytes() for name in ("curve.csv", "queries.csv")]


@pytest.fixture(scope="module")
def warm_up(tmp_path_factory):
    """Start the server of processes, and read all files once, so that times are those of runs."""
    finish(tmp_path_factory.mktemp("warm-up"), VARIANTS["retrain"])


@pytest.mark.usefixtures("warm_up")
@pytest.mark.parametrize("variant", VARIANTS)
def test_killed_runs_resume_to_the_identical_curve(variant, tmp_path):
    arguments = VARIANTS[variant]
    begin = time.monotonic()
    finish(tmp_path / "whole", arguments, pictures=True)
    duration = time.monotonic() - begin
    expected = files_of(tmp_path / "whole")
    moments, landed, resumed, enough = random.Random(0), 0, 0, KILLS // len(VARIANTS)
    for attempt in range(10 * KILLS):
        folder = tmp_path / f"killed-{attempt}"
        process = run(folder, arguments)
        time.sleep(moments.uniform(0, duration))
        process.kill()
        process.join()
        if process.exitcode != -signal.SIGKILL:
            continue  # it had finished before
        landed += 1
        resumed += bool(list(folder.glob("results/*/*/state.json")))
        finish(folder, arguments)
        assert files_of(folder) == expected
        if landed >= enough and resumed >= enough // 4:
            break
    assert landed >= enough
    assert resumed >= enough // 4, "too few kills hit a run that had finished a cycle"


def test_a_truncated_state_file_costs_only_time(tmp_path):
    arguments = VARIANTS["retrain"]
    finish(tmp_path / "whole", arguments)
    finish(tmp_path / "cut", arguments)
    run = only_run(tmp_path / "cut")
    state = run / "state.json"
    state.write_bytes(state.read_bytes()[:200])
    (run / "status.json").unlink()
    finish(tmp_path / "cut", arguments)
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")
