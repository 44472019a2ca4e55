"""Files of runs that are pipes, or hold what no run writes: nothing waits, and nothing breaks."""

import os
from pathlib import Path

import pytest

from alupdate.config.loader import check_yaml
from alupdate.data.image_sources import ListedFiles
from alupdate.results.csv_tables import SWEEP, read_csv_table, read_gathered
from alupdate.results.reader import read_results
from alupdate.results.status import read_status
from alupdate.sweep.status import overview, read_manifest
from alupdate.utils.errors import InputError
from alupdate.utils.files import regular_bytes

REFUSED = "no regular file"
pytestmark = pytest.mark.usefixtures("no_waiting")


@pytest.mark.parametrize(
    "read",
    [
        check_yaml,
        read_gathered,
        lambda path: read_csv_table(path, SWEEP),
        lambda path: read_manifest(path.parent),
        regular_bytes,
        lambda path: ListedFiles("dataset.path", path.parent, (path.name,)).read(path.name),
    ],
)
def test_a_pipe_is_refused(tmp_path, read):
    os.mkfifo(tmp_path / "sweep.csv")
    with pytest.raises((InputError, OSError), match=REFUSED):
        read(tmp_path / "sweep.csv")


def _run_directory(folder: Path, pipe: str) -> Path:
    run = folder / "digits-s0-12345678"
    run.mkdir()
    (run / "status.json").write_text('{"state": "failed", "error": "x"}')
    (run / "config.yaml").write_text("n_cycles: 3\n")
    (run / "state.json").write_text('{"steps": []}')
    (run / pipe).unlink()
    os.mkfifo(run / pipe)
    return run


@pytest.mark.parametrize("pipe", ["status.json", "config.yaml"])
def test_a_run_of_pipes_is_left_out(tmp_path, pipe):
    _run_directory(tmp_path, pipe)
    assert [REFUSED in run.reason for run in read_results(tmp_path).missing] == [True]


@pytest.mark.parametrize("pipe", ["status.json", "config.yaml", "state.json"])
def test_a_run_of_pipes_has_a_status(tmp_path, pipe):
    run = _run_directory(tmp_path, pipe)
    read_status(run)
    assert len(overview(tmp_path).rows) == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("state.json", "[" * 100_000),
        ("state.json", '{"steps": 3}'),
        ("config.yaml", "a: " + "[" * 3000 + "]" * 3000),
        ("config.yaml", "n_cycles: .inf"),
    ],
)
def test_a_run_of_odd_files_has_a_status(tmp_path, file, text):
    run = _run_directory(tmp_path, file)
    (run / file).unlink()
    (run / file).write_text(text)
    assert len(overview(tmp_path).rows) == 1
