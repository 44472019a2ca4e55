"""Locks, and file systems that have none."""

import errno
import os

import pytest
from filelock import Timeout

from alupdate.utils.files import WARNED, holder, locked_file
from tests.support.locks import take_no_locks


@pytest.fixture(autouse=True)
def not_warned(monkeypatch):
    monkeypatch.setenv(WARNED, "")


def test_a_lock_is_held_once(tmp_path):
    path = tmp_path / "x.lock"
    assert holder(path) == ("gone", "")
    with locked_file(path):
        assert holder(path) == ("alive", "")
        with pytest.raises(Timeout), locked_file(path, timeout=0):
            pass
    assert holder(path) == ("gone", "")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_the_work_goes_on_after_one_warning(number, monkeypatch, tmp_path, capsys):
    take_no_locks(monkeypatch, number)
    for name in ("a", "b", "a"):
        with locked_file(tmp_path / name):
            pass
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {tmp_path}/a: the file system takes no locks")
    assert os.strerror(number) in line
    assert holder(tmp_path / "a") == ("unknown", os.strerror(number))


def test_other_trouble_is_an_error(monkeypatch, tmp_path):
    take_no_locks(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output"), locked_file(tmp_path / "a"):
        pass
