"""What a tracker holds, and ways for it to be down."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pandas as pd
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from alupdate.utils.metrics import score
from tests.support.runs import only_run


def mlflow_run(uri: str) -> Run:
    """Return the only MLflow run of the only experiment that has any."""
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("default")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def mlflow_history(uri: str, name: str) -> list[tuple[int, float]]:
    """Return the steps and values of a metric, also such as are there twice."""
    client = MlflowClient(tracking_uri=uri)
    metrics = client.get_metric_history(mlflow_run(uri).info.run_id, name)
    return sorted((metric.step, metric.value) for metric in metrics)


def curve(folder: Path, name: str) -> list[tuple[int, Any]]:
    """Return the numbers of labels and a column of the only run's curve.csv, to its precision."""
    table = pd.read_csv(only_run(folder) / "curve.csv")
    values = [pytest.approx(value, rel=1e-6) for value in table[name]]
    return list(zip(table["n_labelled"], values, strict=True))


def call_at(monkeypatch: pytest.MonkeyPatch, cycle: int, action: Callable[[], object]) -> None:
    """Do something in the middle of a cycle, just before it is evaluated."""
    calls = []

    def watched(*arguments):
        calls.append(1)
        if len(calls) == cycle + 1:
            action()
        return score(*arguments)

    monkeypatch.setattr("alupdate.experiment.learning.score", watched)


def set_patience(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Set how long a run waits for its tracker: each time, and a little longer in all."""
    monkeypatch.setattr("alupdate.trackers.tracker.LIMIT", seconds)
    monkeypatch.setattr("alupdate.trackers.tracker.PATIENCE", 1.2 * seconds)


@contextmanager
def closed_port(_folder: Path) -> Iterator[str]:
    """A server that is not there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{free.getsockname()[1]}"


@contextmanager
def silent_server(_folder: Path) -> Iterator[str]:
    """A server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def locked_file(folder: Path) -> Iterator[str]:
    """A database that another process holds."""
    connection = sqlite3.connect(folder / "mlflow.db")
    connection.execute("BEGIN EXCLUSIVE")
    yield f"sqlite:///{folder}/mlflow.db"
    connection.rollback()
    connection.close()


@contextmanager
def read_only_file(folder: Path) -> Iterator[str]:
    """A database that may only be read, for root, too."""
    yield f"sqlite:///file:{folder}/mlflow.db?mode=ro&uri=true"


@contextmanager
def no_database(folder: Path) -> Iterator[str]:
    """A file that is something else."""
    (folder / "mlflow.db").write_text("not a database\n" * 100)
    yield f"sqlite:///{folder}/mlflow.db"


@contextmanager
def full_disk(folder: Path) -> Iterator[str]:
    """A database on a file system of its own that is full."""
    small = folder / "small"
    with tmpfs(small, "1200k"):
        shutil.copy(folder / "mlflow.db", small)
        with (small / "filler").open("wb", buffering=0) as filler:
            while shutil.disk_usage(small).free:
                filler.write(bytes(min(4096, shutil.disk_usage(small).free)))
        yield f"sqlite:///{small}/mlflow.db"


@contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[None]:
    """A small file system; skips the test where mounting is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let tests mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Server:
    """A real ``mlflow server`` on a free port, with a SQLite file below ``folder``."""

    def __init__(self, folder: Path) -> None:
        with closed_port(folder) as uri:
            self.uri = uri
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"),
            *("--port", uri.rpartition(":")[2]),
            *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
            *("--artifacts-destination", str(folder / "artifacts")),
        ]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        self._log = (folder / "server.log").open("w")
        self._process = subprocess.Popen(
            command,
            env=os.environ | quiet,
            cwd=folder,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._wait(folder / "server.log")

    def _wait(self, log: Path) -> None:
        while self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                    return
            except (URLError, OSError):
                time.sleep(0.1)
        raise AssertionError(log.read_text())

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and its worker."""
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End it at once, whatever state it is in."""
        if self._process.poll() is None:
            self.signal(signal.SIGKILL)
            self._process.wait()
        self._log.close()
