"""The file of an MLflow store: what it may be, and how it comes to be.

MLflow tries for more than a minute to open a file that cannot be opened, so what is wrong with one
is found out before.
"""

import errno
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from alupdate.utils.errors import InputError
from alupdate.utils.files import require_regular

SQLITE = "sqlite:///"
SECONDS_FOR_OTHERS = 3.0
"""How long to wait while another process writes."""


def is_database(uri: str) -> bool:
    """Return whether a URI is a database that this process opens itself."""
    return not uri.startswith(("http://", "https://", "databricks"))


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a plain SQLite URI.

    Raises:
        InputError: it is a directory.
    """
    if not uri.startswith(SQLITE) or "?" in uri:
        return None
    file = Path(uri.removeprefix(SQLITE))
    if os.path.isdir(file):
        raise InputError(
            f"tracker.uri={uri}: is a directory; give a file, such as {SQLITE}{file / 'mlflow.db'}"
        )
    return file


def require_database(file: Path, *, writable: bool = False) -> None:
    """Refuse a file that is no SQLite database, or cannot be read or written.

    Raises:
        OSError: there is no such file, or it is no regular one.
        sqlite3.Error: SQLite cannot use it.
    """
    require_regular(file)  # only SQLite itself may open it: closing it would free SQLite's locks
    uri = f"{file.absolute().as_uri()}?mode={'rw' if writable else 'ro'}"
    with closing(sqlite3.connect(uri, SECONDS_FOR_OTHERS, uri=True)) as connection:
        connection.execute("BEGIN IMMEDIATE" if writable else "PRAGMA schema_version")


def require_writable(file: Path) -> None:
    """Refuse a file that SQLite could not write; its folder is made where it is not there.

    Raises:
        OSError: it cannot be written, or its folder, in which SQLite keeps a journal.
        sqlite3.Error: SQLite cannot write it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists():
        require_database(file, writable=True)
        if not os.access(file, os.W_OK):  # SQLite finds that out when it writes
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
    try:
        tempfile.TemporaryFile(dir=file.parent).close()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file.parent)) from error


def create_file(file: Path) -> None:
    """Create the tables of a store; the file appears when it is whole.

    To be called by one process at a time: two that set up one file would spoil it.
    """
    if file.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    partial = file.with_name(f".{file.name}.partial")
    partial.unlink(missing_ok=True)
    store = SqlAlchemyStore(f"{SQLITE}{partial}", str(file.parent / "mlflow-artifacts"))
    store.engine.dispose()
    partial.replace(file)
