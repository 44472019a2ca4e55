"""Sweeps skip what is done, go on after failures, and say what failed and why."""

import json
import os
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from alupdate.results.status import LOCK
from alupdate.run import exit_code
from alupdate.sweep.status import read_manifest
from tests.support.runs import run_small

STRATEGY = """
import os, signal, sys
from alupdate.strategies.uncertainty import Margin

def make_strategy(settings):
    return Unlucky()

class Unlucky(Margin):
    def select(self, query, size):
        for name in ("raise", "exit", "die"):
            try:
                os.remove(name)
            except FileNotFoundError:
                continue
            if name == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if name == "exit":
                sys.exit(0)
            raise RuntimeError("an injected exception")
        return super().select(query, size)
"""
UNLUCKY = ("-m", "strategy=plugin", "strategy.module=unlucky", "n_cycles=1", "threads=1")
EXPERIMENT = Path("results/default")


@pytest.fixture
def sweep(monkeypatch, tmp_path):
    """Runs a sweep of a strategy that raises, exits or dies once if a file of that name exists."""
    (tmp_path / "unlucky.py").write_text(STRATEGY)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run_small(monkeypatch, tmp_path, *UNLUCKY, *arguments)


def states():
    return [row.state for row in read_manifest(EXPERIMENT)]


def attempts():
    """Return how often each run was started."""
    logs = [(EXPERIMENT / row.run / "run.log") for row in read_manifest(EXPERIMENT)]
    return [log.read_text().count("INFO alupdate: process") for log in logs]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("raise", "RuntimeError: an injected exception"), ("die", "killed by SIGKILL")],
)
def test_a_failure_is_told_and_only_its_run_is_done_again(fault, reason, sweep, capsys):
    Path(fault).touch()
    assert sweep("seed=0,1,2") == 1
    assert states() == ["failed", "completed", "completed"]
    said = capsys.readouterr().err
    assert reason in said
    assert "task=rerun experiment_dir=results/default" in said
    failed = EXPERIMENT / read_manifest(EXPERIMENT)[0].run
    assert reason in read_manifest(EXPERIMENT)[0].reason
    if fault == "raise":
        log = (failed / "run.log").read_text()
        assert "Traceback" in log
        assert 'raise RuntimeError("an injected exception")' in log
    assert sweep("seed=0,1,2") == 0
    assert states() == ["completed"] * 3
    assert attempts() == [2, 1, 1]
    assert sweep("seed=0,1,2", "progress=true") == 0
    assert attempts() == [2, 1, 1]
    assert "already done" in capsys.readouterr().out


def test_what_fails_too_often_is_left_alone_until_it_is_asked_for(sweep, monkeypatch, capsys):
    for _ in range(2):
        Path("raise").touch()
        assert sweep("seed=0", "max_failures=2") == 1
    capsys.readouterr()
    assert sweep("seed=0", "max_failures=2") == 1
    assert "not tried again after 2 failures" in capsys.readouterr().err
    assert attempts() == [2]
    folder = Path.cwd()
    assert run_small(monkeypatch, folder, "task=rerun") == 2  # which takes no settings of a run
    assert "cannot change with task=rerun" in capsys.readouterr().err
    assert exit_code(["task=rerun", "progress=false", "allow_plugins=true"]) == 0
    assert states() == ["completed"]
    assert exit_code(["task=rerun"]) == 2
    assert "nothing failed in it" in capsys.readouterr().err


def test_a_plug_in_that_exits_is_a_failed_run(sweep, monkeypatch, capsys):
    Path("exit").touch()
    assert run_small(monkeypatch, Path.cwd(), *UNLUCKY[1:]) == 1
    assert "SystemExit: 0" in capsys.readouterr().err
    assert "Traceback" in next(EXPERIMENT.glob("*/run.log")).read_text()


def test_a_run_of_another_process_is_waited_for(sweep):
    assert sweep("seed=0", "n_cycles=0") == 0
    assert sweep("seed=0") in (0, 1)
    run = EXPERIMENT / read_manifest(EXPERIMENT)[1].run
    (run / "status.json").unlink()
    lock = FileLock(run / LOCK, thread_local=False)
    lock.acquire()
    threading.Timer(2.0, lock.release, kwargs={"force": True}).start()
    assert sweep("seed=0,1") == 0
    assert states() == ["completed"] * 3


def test_wrong_input_of_one_job_is_found_before_any_starts(sweep, capsys):
    assert sweep("seed=0,1", "batch.size=5,0") == 2
    assert "batch.size=0: must be greater" in capsys.readouterr().err
    assert not Path("results").exists()


def test_input_that_only_the_job_can_check_is_invalid_in_the_table(sweep, capsys):
    assert sweep("seed=0", "n_initial=10,5000") == 2
    assert states() == ["completed", "invalid"]
    assert "n_initial=5000: the pool of digits has only" in capsys.readouterr().err


def test_the_same_run_asked_for_twice_is_done_once(sweep, capsys):
    assert sweep("seed=0", "device=auto,cpu", "progress=true") == 0
    assert "2 jobs are 1 different runs" in capsys.readouterr().err
    assert attempts() == [1]


def test_a_run_that_was_removed_while_it_worked_writes_nothing_into_its_successor(sweep):
    Path("unlucky.py").write_text(
        STRATEGY.replace("for name in", "remove_once()\n        for name in")
        + "def remove_once():\n"
        + "    import shutil\n"
        + "    if os.path.exists('remove'):\n"
        + "        os.remove('remove')\n"
        + "        shutil.rmtree('results/default')\n"
        + "        os.makedirs('results/default')\n"
    )
    Path("remove").touch()
    assert sweep("seed=0") == 1
    assert [path.name for path in EXPERIMENT.rglob("*.csv")] == ["sweep.csv"]
    assert sweep("seed=0") == 0
    assert states() == ["completed"]


def test_status_shows_what_is_done_and_left(sweep, capsys):
    Path("raise").touch()
    assert sweep("seed=0,1") == 1
    runs = [EXPERIMENT / row.run for row in read_manifest(EXPERIMENT)]
    document = json.loads((runs[1] / "status.json").read_text())
    (runs[1] / "status.json").write_text(json.dumps(document | {"state": "running"}))
    capsys.readouterr()
    assert exit_code(["task=status"]) == 0
    shown = capsys.readouterr()
    assert "RuntimeError: an injected exception" in shown.out
    assert "its process is gone" in shown.out
    assert "1 runs are pending" in shown.err
    with FileLock(runs[1] / LOCK):
        assert exit_code(["task=status", f"experiment_dir={os.getcwd()}/results/default"]) == 0
    assert "running" in capsys.readouterr().out
    assert exit_code(["task=status", "experiment_dir=nowhere"]) == 2
    assert capsys.readouterr().err == "error: experiment_dir=nowhere: no such directory\n"
