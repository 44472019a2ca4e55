"""Reading Parquet files with pyarrow, which is an optional dependency."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alupdate.errors import InputError


def read_parquet_file(path: str, where: str, extra: str) -> Any:
    """Return a Parquet file as a ``pyarrow.Table``.

    Args:
        path: of the file.
        where: how to call it in an error message.
        extra: the extra that installs pyarrow.

    Raises:
        InputError: pyarrow is not installed, no such file, not a Parquet file, or no rows.
    """
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError(
            f"{where}: reading Parquet needs pyarrow; run pip install 'alupdate[{extra}]'"
        ) from error
    if not Path(path).is_file():
        raise InputError(f"{where}: no such file")
    try:
        table = pq.read_table(path, partitioning=None)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{where}: cannot be read as a Parquet file ({reason})") from error
    if not table.num_rows:
        raise InputError(f"{where}: has no rows")
    return table


def refuse_missing(column: Any, name: str, where: str) -> None:
    """Refuse a ``pyarrow`` column in which a value is missing; rows are counted from 1.

    Raises:
        InputError: naming column and row.
    """
    if column.null_count:
        row = column.is_null().to_pylist().index(True) + 1
        raise InputError(
            f"{where}: column {name} has {column.null_count} missing values, the first in row "
            f"{row}; fill or remove them"
        )


def label_values(column: Any, name: str, where: str) -> NDArray[Any]:
    """Return a ``pyarrow`` column of labels (N,) as integers or strings.

    Raises:
        InputError: it holds something else, or a value is missing.
    """
    from pyarrow import types

    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    known = (types.is_integer, types.is_boolean, types.is_string, types.is_large_string)
    if not any(is_kind(kind) for is_kind in known):
        raise InputError(f"{where}: column {name} holds {kind}; labels must be integers or strings")
    refuse_missing(column, name, where)
    labels: NDArray[Any] = np.array(column.to_pylist())
    return labels


def class_names(table: Any, column: str) -> list[str] | None:
    """Return what the integers of a label column stand for, where the Hub's metadata say so."""
    metadata = (table.schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return None
    try:
        names = json.loads(metadata)["info"]["features"][column]["names"]
    except (ValueError, KeyError, TypeError):
        return None
    return [str(name) for name in names]
