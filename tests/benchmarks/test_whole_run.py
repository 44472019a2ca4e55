import math
import subprocess
import sys

import pytest

from benchmarks import whole_run
from benchmarks.whole_run import DIGITS, EVERYTHING, help_row, run_rows

SMALL = (*DIGITS, "n_cycles=2", "training.epochs=3")


@pytest.fixture(scope="module")
def rows():
    return list(run_rows("digits", (*SMALL, "update=second_order"), 1))


def test_phases_and_the_rest_are_the_whole_run(rows):
    everything, *parts = rows
    assert everything.what == f"whole run, digits: {EVERYTHING}"
    assert {row.what.split(": ")[1] for row in parts} == {
        "features", "select", "retrain", "update", "evaluate", "elsewhere"
    }  # fmt: skip
    assert sum(row.ours.seconds for row in parts) == pytest.approx(everything.ours.seconds)
    assert sum(row.value for row in parts) == pytest.approx(everything.value) == 1
    assert all(row.ours.seconds > 0 for row in rows)


def test_memory_is_that_of_the_whole_run(rows):
    assert [math.isnan(row.ours.mib) for row in rows] == [False] + [True] * (len(rows) - 1)


def test_a_run_leaves_nothing_behind_and_says_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    whole_run.run((*SMALL, f"cache_dir={tmp_path}"))
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_help_is_measured_as_a_process_of_its_own(monkeypatch):
    assert whole_run.HELP[1:] == ("-m", "alupdate.run", "--help")
    monkeypatch.setattr(whole_run, "HELP", whole_run.NOTHING)
    row = help_row(1)
    assert min(row.ours.seconds, row.other.seconds) > 0
    assert math.isnan(row.ours.mib)


def test_a_process_that_fails_is_no_measurement(monkeypatch):
    monkeypatch.setattr(whole_run, "HELP", (sys.executable, "-c", "raise SystemExit(3)"))
    with pytest.raises(subprocess.CalledProcessError):
        help_row(1)
