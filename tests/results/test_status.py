"""The status of a run is read from its files, and the dead are told from the living."""

import errno
import json
import multiprocessing
import os
import signal

import pytest
from filelock import FileLock

from alupdate.results.status import (
    LOCK,
    RunStatus,
    is_held,
    mark_crashed,
    read_status,
    run_state,
)
from tests.support.locks import take_no_locks


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


RUNNING = RunStatus("running")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EIO])
def test_a_run_whose_lock_cannot_be_read_is_not_called_dead(number, monkeypatch, tmp_path):
    (tmp_path / LOCK).touch()

    def refused(path, flags, *arguments):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("alupdate.utils.files.os.open", refused)
    state, reason = run_state(tmp_path, RUNNING)
    assert state == "unknown"
    assert os.strerror(number) in reason


def test_a_run_on_a_file_system_without_locks_is_not_called_dead(monkeypatch, tmp_path):
    (tmp_path / LOCK).touch()
    take_no_locks(monkeypatch)
    assert run_state(tmp_path, RUNNING)[0] == "unknown"


def test_the_living_and_the_dead_are_told_apart_without_writing(holder, monkeypatch, tmp_path):
    """As on a read-only mount, or by another account."""
    real = os.open

    def read_only(path, flags, *arguments):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, flags, *arguments)

    monkeypatch.setattr("os.open", read_only)
    assert run_state(tmp_path, RUNNING)[0] == "running"
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert run_state(tmp_path, RUNNING)[0] == "interrupted"


def test_a_status_that_cannot_be_read_is_not_called_missing(tmp_path):
    (tmp_path / "status.json").mkdir()
    assert run_state(tmp_path, read_status(tmp_path))[0] == "unknown"
    assert run_state(tmp_path / "nowhere", RunStatus(None))[0] == "waiting"
