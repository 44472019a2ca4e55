"""MLflow's client, made to give up soon instead of retrying for minutes, and its local file."""

import logging
import os
from pathlib import Path

from alupdate.errors import InputError

SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # MLflow's 7 take minutes; the next cycle tries again
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",  # seconds, instead of 120
    "MLFLOW_DISABLE_TELEMETRY": "true",  # a run calls nobody whom the user has not named
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # the run's table is all that belongs there
}
"""Environment variables, which are MLflow's only way of setting these; a user's own value wins."""
for name, value in SETTINGS.items():
    os.environ.setdefault(name, value)

try:
    from mlflow.entities import Metric, Param, Run, RunTag
    from mlflow.tracking import MlflowClient
except ImportError as error:
    raise InputError(f"tracker=mlflow: {error}; pip install 'alupdate[mlflow]'") from error

for noisy in ("mlflow", "alembic"):  # a run warns itself, in one line
    logging.getLogger(noisy).setLevel(logging.CRITICAL)

__all__ = [
    "Metric",
    "MlflowClient",
    "Param",
    "Run",
    "RunTag",
    "create_file",
    "import_database_store",
    "is_database",
    "sqlite_file",
]
SQLITE = "sqlite:///"


def is_database(uri: str) -> bool:
    """Return whether a URI is a database that this process opens itself."""
    return not uri.startswith(("http://", "https://", "databricks"))


def import_database_store() -> None:
    """Import what opening a database needs, ahead of the time-limited calls.

    Raises:
        InputError: it is not installed.
    """
    try:
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    except ImportError as error:
        raise InputError(f"tracker=mlflow: {error}; pip install 'alupdate[mlflow]'") from error


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a plain SQLite URI."""
    is_plain = uri.startswith(SQLITE) and "?" not in uri
    return Path(uri.removeprefix(SQLITE)) if is_plain else None


def create_file(file: Path) -> None:
    """Create the tables of a store; the file appears when it is whole.

    To be called by one process at a time: two that set up one file would spoil it.
    """
    if file.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    partial.unlink(missing_ok=True)
    store = SqlAlchemyStore(f"{SQLITE}{partial}", str(file.parent / "mlflow-artifacts"))
    store.engine.dispose()
    partial.replace(file)
