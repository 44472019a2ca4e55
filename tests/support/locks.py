"""File systems that take no locks."""

import errno
import os

import pytest


def take_no_locks(monkeypatch: pytest.MonkeyPatch, number: int = errno.ENOLCK) -> None:
    """Let no file of this process be locked, as where a file server refuses to."""

    def refused(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refused)
