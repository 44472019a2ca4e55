"""Calls that fail and hang, without any tracker."""

import threading

import pytest

from alupdate.trackers import tracker as guard
from alupdate.trackers.tracker import Guard


def failing(message="down"):
    raise OSError(message)


@pytest.fixture
def said():
    return []


def test_it_warns_once_and_goes_on_calling(said, caplog):
    caplog.set_level("WARNING")
    guarded, calls = Guard("tracker=x", said.append), []
    guarded.attempt(failing)
    guarded.attempt(failing)
    guarded.attempt(lambda: calls.append(1))
    assert calls == [1]
    (line,) = said
    assert line.startswith("warning: tracker=x: down; the run goes on")
    assert [r.levelname for r in caplog.records] == ["WARNING"]


def test_it_says_in_the_log_when_trouble_is_over(said, caplog):
    caplog.set_level("INFO")
    guarded = Guard("tracker=x", said.append)
    for call in (failing, int, int):
        guarded.attempt(call)
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]


def test_a_call_that_hangs_is_left_behind_and_not_joined_by_another(said, monkeypatch):
    monkeypatch.setattr(guard, "LIMIT", 0.05)
    guarded, release, done, calls = Guard("x", said.append), threading.Event(), [], []
    guarded.attempt(lambda: (release.wait(), done.append(1)))
    guarded.attempt(lambda: calls.append(1))
    assert calls == []
    assert "no answer within" in said[0]
    release.set()
    guarded._last.join()
    guarded.attempt(lambda: calls.append(2))
    assert (done, calls) == ([1], [2])


def test_patience_has_an_end(said, monkeypatch):
    monkeypatch.setattr(guard, "LIMIT", 0.05)
    monkeypatch.setattr(guard, "PATIENCE", 0.06)
    guarded, calls = Guard("x", said.append), []

    def hangs():
        calls.append(1)
        threading.Event().wait(0.1)

    for _ in range(5):
        guarded.attempt(hangs)
        guarded._last.join()
    assert len(calls) in (1, 2)  # one, where a busy machine makes the first wait longer


def test_calls_that_work_do_not_use_patience_up(said, monkeypatch):
    monkeypatch.setattr(guard, "PATIENCE", 0.05)
    monkeypatch.setattr(guard, "LIMIT", 60)
    guarded, calls = Guard("x", said.append), []
    for _ in range(5):
        guarded.attempt(lambda: (threading.Event().wait(0.02), calls.append(1)))
    assert (len(calls), said) == (5, [])


def test_extra_seconds_are_granted(said, monkeypatch):
    monkeypatch.setattr(guard, "LIMIT", 0.01)
    Guard("x", said.append).attempt(lambda: threading.Event().wait(0.1), extra=60)
    assert said == []


def test_passwords_and_further_lines_are_not_shown(said):
    Guard("x", said.append).attempt(lambda: failing("https://me:secret@host/api gone\nTraceback"))
    assert "https://host/api gone; " in said[0]
    assert "secret" not in said[0]
    assert "Traceback" not in said[0]


def test_an_error_without_words_is_named(said):
    Guard("x", said.append).attempt(lambda: failing(""))
    assert said[0].startswith("warning: x: OSError; ")


def test_the_cause_of_a_failed_request_is_named(said):
    message = "API request to http://h/api failed: Max retries (Caused by ReadTimeoutError('12'))"
    Guard("x", said.append).attempt(lambda: failing(message))
    assert said[0].startswith("warning: x: no connection, or no answer (ReadTimeoutError); the run")
