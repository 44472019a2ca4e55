"""The status of a run is read from its files, and the dead are told from the living."""

import json
import multiprocessing
import os
import signal

import pytest
from filelock import FileLock

from alupdate.results.status import LOCK, RunStatus, is_held, mark_crashed, read_status


def hold(folder, ready):
    with FileLock(folder / LOCK):
        ready.set()
        signal.pause()


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    context = multiprocessing.get_context("forkserver")
    ready = context.Event()
    process = context.Process(target=hold, args=(tmp_path, ready), daemon=True)
    process.start()
    assert ready.wait(60)
    yield process
    process.kill()


def write(folder, **document):
    (folder / "status.json").write_text(json.dumps(document))


def test_a_lock_is_held_until_its_process_dies(holder, tmp_path):
    assert is_held(tmp_path)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert not is_held(tmp_path)


def test_a_run_that_another_process_took_over_is_left_alone(holder, tmp_path):
    write(tmp_path, state="running", failures=0)
    mark_crashed(tmp_path, "killed")
    assert read_status(tmp_path).state == "running"


def test_nothing_there_is_not_held(tmp_path):
    assert not is_held(tmp_path / "nowhere")
    assert read_status(tmp_path / "nowhere") == RunStatus(None)


def test_a_death_counts_as_a_failure_and_keeps_the_facts(tmp_path):
    write(tmp_path, state="running", failures=1, host="here", started="2026-01-01T00:00:00+00:00")
    mark_crashed(tmp_path, "killed")
    status = read_status(tmp_path)
    assert (status.state, status.error, status.failures) == ("failed", "killed", 2)
    assert status.seconds > 0
    assert json.loads((tmp_path / "status.json").read_text())["host"] == "here"


def test_a_death_before_anything_was_written_counts_too(tmp_path):
    for times in (1, 2):
        mark_crashed(tmp_path / "new", "killed")
        assert read_status(tmp_path / "new").failures == times


def test_a_complete_run_stays_complete(tmp_path):
    write(tmp_path, state="completed")
    mark_crashed(tmp_path, "killed")
    assert read_status(tmp_path).state == "completed"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"state": "asleep"}', '{"state": ["running"]}', "\x00\xff"]
)
def test_a_damaged_status_is_none(text, tmp_path):
    (tmp_path / "status.json").write_text(text, encoding="latin-1")
    assert read_status(tmp_path) == RunStatus(None)


def test_odd_values_are_left_out(tmp_path):
    write(tmp_path, state="failed", failures="often", started="yesterday", error=7)
    assert read_status(tmp_path) == RunStatus("failed", "7")
