"""MLflow tracker: each run is one MLflow run, found again by its tag.

No step is there twice: every process first reads which steps MLflow has, and a step that is sent
again all the same has the same time, so that MLflow takes it for the same entry. The time is that
of the MLflow run's start plus the seconds that the steps took.
"""

import getpass
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from alupdate.results.status import State
from alupdate.results.store import RunStore
from alupdate.trackers.mlflow_files import (
    create_file,
    is_database,
    require_database,
    require_writable,
    sqlite_file,
)
from alupdate.trackers.tracker import Point
from alupdate.utils.errors import InputError
from alupdate.utils.files import locked_file

CLIENT_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # MLflow's 7 take minutes; the next cycle tries again
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",  # seconds, instead of 120
    "MLFLOW_DISABLE_TELEMETRY": "true",  # a run calls nobody whom the user has not named
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # the run's table is all that belongs there
}
"""Environment variables, which are MLflow's only way of setting these; a user's own value wins."""
for name, value in CLIENT_SETTINGS.items():
    os.environ.setdefault(name, value)

try:
    from mlflow.entities import LifecycleStage, Metric, Param, Run, RunTag
    from mlflow.tracking import MlflowClient
except ImportError as error:
    raise InputError(f"tracker=mlflow: {error}; pip install 'alupdate[mlflow]'") from error

for noisy in ("mlflow", "alembic"):  # a run warns itself, in one line
    logging.getLogger(noisy).setLevel(logging.CRITICAL)

MLFLOW_STATUS = {"completed": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
ARTIFACTS = ("config.yaml", "status.json", "run.log", "*.csv", "*.png")
RUN_TAG = "alupdate.run"
log = logging.getLogger(__name__)
METRICS_PER_CALL, PARAMS_PER_CALL, PARAM_LENGTH = 1000, 100, 500  # limits of MLflow's servers
SECONDS_TO_CREATE = 60.0
"""What creating the tables of a local file may take."""


class MlflowRun:
    """The MLflow run of one run, in the MLflow experiment of the experiment's name."""

    def __init__(self, uri: str, results_dir: Path, experiment: str, store: RunStore) -> None:
        self._uri, self._store, self._experiment_name = uri, store, experiment
        self._file, self._lock = sqlite_file(uri), results_dir / ".mlflow.lock"
        self._artifacts: str | None = None
        if is_database(uri):
            import_database_store()
            self._artifacts = (results_dir / "mlflow-artifacts" / experiment).absolute().as_uri()
        self._run: Run | None = None
        self._begun = False
        self._steps = set[int]()

    @property
    def name(self) -> str:
        """Its name in a warning."""
        return f"tracker=mlflow, {self._uri}"

    @property
    def place(self) -> str:
        """The address of its store."""
        return self._uri

    @property
    def extra_seconds(self) -> float:
        """How much longer than usual the next call may take: to create a local file."""
        return SECONDS_TO_CREATE if self._file is not None and not self._file.exists() else 0.0

    def check(self) -> None:
        """Find out quickly whether the store answers, and a file can be written."""
        if self._file is not None:
            require_writable(self._file)
        else:
            self._client().search_experiments(max_results=1)

    def begin(self, anew: bool) -> None:
        """Find the MLflow run or add it, with the settings as parameters."""
        if self._begun:
            return
        client = self._found_or_added(anew and self._run is None)
        run_id = self._run_id
        self._steps = {metric.step for metric in client.get_metric_history(run_id, "cycle")}
        if self._run is not None and self._run.info.status != "RUNNING":
            client.update_run(run_id, status="RUNNING")
        self._describe(client)
        self._begun = True

    def send(self, points: Sequence[Point]) -> None:
        """Log the steps that MLflow does not have; after trouble the run is looked up again."""
        assert self._run is not None
        start = self._run.info.start_time
        ends = accumulate(point.seconds for point in points)
        missing = [
            _metrics(point, start + int(1000 * seconds))
            for point, seconds in zip(points, ends, strict=True)
            if point.step not in self._steps
        ]
        self._begun = False
        for batch in _batches(missing):
            self._client().log_batch(self._run_id, metrics=batch)
        self._begun = True
        self._steps |= {point.step for point in points}

    def end(self, state: State) -> None:
        """Set the matching status, and add the run's files as artifacts."""
        if self._run is None:
            return
        client = self._client()
        client.set_terminated(self._run_id, MLFLOW_STATUS[state])
        for pattern in ARTIFACTS:
            for path in sorted(self._store.path.glob(pattern)):
                client.log_artifact(self._run_id, str(path))

    def is_complete(self) -> bool:
        """Return whether MLflow has the run as finished."""
        if self._file is not None and not self._file.exists():
            return False
        client = self._client()
        experiment = client.get_experiment_by_name(self._experiment_name)
        if experiment is None or experiment.lifecycle_stage == LifecycleStage.DELETED:
            return False
        run = self._find(client, experiment.experiment_id)
        return run is not None and run.info.status == "FINISHED"

    @property
    def _run_id(self) -> str:
        assert self._run is not None
        return str(self._run.info.run_id)

    def _client(self) -> MlflowClient:
        if self._file is not None:
            require_database(self._file)
        return MlflowClient(tracking_uri=self._uri)

    def _found_or_added(self, anew: bool) -> MlflowClient:
        """One process at a time, so that two that start together share file and experiment."""
        if self._file is not None:
            require_writable(self._file)
        with locked_file(self._lock):
            if self._file is not None:
                create_file(self._file)
            client = self._client()
            experiment = self._experiment(client)
            run, name = self._find(client, experiment), self._store.name
            if anew and run is not None:
                client.delete_run(run.info.run_id)
                run = None
            if run is None:
                run = client.create_run(experiment, tags={RUN_TAG: name}, run_name=name)
            self._run = run
        return client

    def _experiment(self, client: MlflowClient) -> str:
        """Return the id of the experiment, which is added, or restored if it was deleted."""
        found = client.get_experiment_by_name(self._experiment_name)
        if found is not None:
            if found.lifecycle_stage == LifecycleStage.DELETED:
                client.restore_experiment(found.experiment_id)
                log.info("%s: restored the deleted experiment %s", self.name, found.name)
            return str(found.experiment_id)
        return str(client.create_experiment(self._experiment_name, self._artifacts))

    def _find(self, client: MlflowClient, experiment: str) -> Run | None:
        wanted = f"tags.`{RUN_TAG}` = '{self._store.name}'"
        runs = client.search_runs([experiment], wanted, max_results=1)
        return runs[0] if runs else None

    def _describe(self, client: MlflowClient) -> None:
        """Log the settings that are not there yet (MLflow never changes one), and set the tags."""
        assert self._run is not None
        known = self._run.data.params
        params = [
            Param(key, text[:PARAM_LENGTH])
            for key, text in _flat(self._store.settings)
            if key not in known
        ]
        for start in range(0, len(params), PARAMS_PER_CALL):
            client.log_batch(self._run_id, params=params[start : start + PARAMS_PER_CALL])
        tags = [RunTag(key, str(value)) for key, value in self._tags().items()]
        client.log_batch(self._run_id, tags=tags)

    def _tags(self) -> dict[str, Any]:
        status, name = self._store.status(), self._store.name
        revision = status.get("git_revision") or "unknown"
        return {
            RUN_TAG: name,
            "alupdate.hash": name.rpartition("-")[2],
            "alupdate.directory": self._store.path.absolute(),
            "alupdate.git_revision": revision,
            "alupdate.host": status.get("host"),
            "alupdate.device": status.get("device"),
            "mlflow.source.name": "alupdate",
            "mlflow.source.git.commit": revision.removesuffix("-dirty"),
            "mlflow.user": user_name(),
        }


def import_database_store() -> None:
    """Import what opening a database needs, ahead of the time-limited calls.

    Raises:
        InputError: it is not installed.
    """
    try:
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    except ImportError as error:
        raise InputError(f"tracker=mlflow: {error}; pip install 'alupdate[mlflow]'") from error


def user_name() -> str:
    """Return the user's name, or its number where there is none, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _metrics(point: Point, moment: int) -> list[Metric]:
    """Return a point's metrics; ``cycle``, which marks the step as there, is the last."""
    names = sorted(point.values, key=lambda name: (name == "cycle", name))
    return [Metric(name, point.values[name], moment, point.step) for name in names]


def _batches(points: Sequence[list[Metric]]) -> Iterator[list[Metric]]:
    """Join the metrics of points to few calls; a point is split only where it exceeds a call."""
    batch: list[Metric] = []
    for metrics in points:
        if len(batch) + len(metrics) > METRICS_PER_CALL:
            yield from _parts(batch)
            batch = []
        batch = batch + metrics
    yield from _parts(batch)


def _parts(metrics: list[Metric]) -> Iterator[list[Metric]]:
    for start in range(0, len(metrics), METRICS_PER_CALL):
        yield metrics[start : start + METRICS_PER_CALL]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted keys and values as text; lists as JSON."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            yield f"{prefix}{key}", text
