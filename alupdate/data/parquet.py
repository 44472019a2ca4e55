"""Parquet files: your own table of features, and how columns of labels are read."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from typing_extensions import override

from alupdate.config.values import SETTINGS, Text
from alupdate.data.costs import COLUMN_KEY, PricedVectors, costs_of_cells
from alupdate.data.dataset import FloatArray, Vectors
from alupdate.data.labels import as_strings, text_if_any
from alupdate.data.numbers import is_lost, lost_notes
from alupdate.data.own_data import PARTLY
from alupdate.data.tables import (
    LabelledRows,
    TableFiles,
    distinct_names,
    missing_note,
    refuse_same_column,
)
from alupdate.data.text_tables import require_column
from alupdate.utils.errors import InputError, cannot_read
from alupdate.utils.files import require_regular

INDEX = re.compile(r"__index_level_\d+__")
"""What pandas calls the row numbers that it stores: no feature."""

BITS = 32
"""Of a feature."""


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Parquet(TableFiles):
    """A table of features.

    Attributes:
        feature_column: a column of lists of numbers; None for every numeric column but the labels.
    """

    name: Literal["parquet"] = "parquet"
    feature_column: Text | None = None

    @override
    def check(self) -> None:
        super().check()
        refuse_same_column("feature_column", self.feature_column, self.label_column)

    @override
    def read_file(self, path: str, where: str, is_pool: bool, partly: bool = False) -> LabelledRows:
        table = read_parquet_file(path, where, "parquet")
        available = tuple(table.column_names)
        labels, no_column = self._labels(table, where, partly)
        rows = range(1, table.num_rows + 1)
        called: Sequence[object] = rows
        names = self.instance_column if is_pool else None
        if names is not None:
            require_column(names, available, where, "dataset.instance_column")
            called = label_values(table.column(names), names, where).tolist()
        named = distinct_names(called, rows, f"{where}: row")
        if self.feature_column is not None:
            require_column(self.feature_column, available, where, "dataset.feature_column")
            vectors = _lists(table.column(self.feature_column), self.feature_column, where)
            found = self._priced(Vectors(vectors), table, where, is_pool)
            return LabelledRows(found, labels, named, notes=no_column)
        apart = (self.label_column, self.instance_column, self.cost_column)
        columns = _numeric_columns(table, apart, where)
        features, lost = _numbers(table, columns, where)
        unused = [c for c in available if c not in columns and c not in apart]
        left_out = [f"{', '.join(unused)}: not numeric, left out"] if unused else []
        notes = (*no_column, *left_out, *lost)
        found = self._priced(Vectors(features, columns), table, where, is_pool)
        return LabelledRows(found, labels, named, columns, notes)

    def _priced(self, vectors: Vectors, table: Any, where: str, is_pool: bool) -> Vectors:
        """Return the vectors, those of the pool with their costs if a column has them."""
        column = self.cost_column
        if column is None or not is_pool:
            return vectors
        require_column(column, tuple(table.column_names), where, COLUMN_KEY)
        cells = enumerate(table.column(column).to_pylist(), start=1)
        costs = costs_of_cells(cells, column, f"{where}: row")
        return PricedVectors(vectors.rows, vectors.columns, costs=costs)

    def _labels(self, table: Any, where: str, partly: bool) -> tuple[NDArray[Any], tuple[str, ...]]:
        """Return the labels, and a note if they may be missing and there is no column of them."""
        columns = tuple(table.column_names)
        if partly and self.lacks_labels(columns):
            note = missing_note(self.label_column, columns, where)
            return as_strings([None] * table.num_rows), (note,)
        advice = "" if partly else PARTLY
        require_column(self.label_column, columns, where, "dataset.label_column", advice)
        column = table.column(self.label_column)
        if partly:
            return labels_if_any(column, self.label_column, where), ()
        refuse_missing(column, self.label_column, where, PARTLY)
        labels = label_values(column, self.label_column, where)
        _refuse_blank(labels, self.label_column, where)
        return labels, ()


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
    try:
        require_regular(Path(path))
        table = pq.read_table(path, partitioning=None, page_checksum_verification=True)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise cannot_read(where, error) from error
        reason = " ".join(str(error).split())
        raise InputError(f"{where}: cannot be read as a Parquet file ({reason})") from error
    if not table.num_rows:
        raise InputError(f"{where}: has no rows")
    return table


def refuse_missing(column: Any, name: str, where: str, advice: str = "") -> None:
    """Refuse a ``pyarrow`` column in which a value is missing; rows are counted from 1.

    Args:
        column: the values.
        name: of the column.
        where: how to call the file in an error message.
        advice: what else to say.

    Raises:
        InputError: naming column and row.
    """
    if column.null_count:
        row = column.is_null().to_pylist().index(True) + 1
        raise InputError(
            f"{where}: column {name} has {column.null_count} missing values, the first in row "
            f"{row}; fill or remove them{advice}"
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
    if not types.is_integer(kind):
        values = column.to_pylist()
        return np.array(values) if types.is_boolean(kind) else as_strings(values)
    flat = column.cast(kind) if types.is_dictionary(column.type) else column
    labels: NDArray[Any] = flat.to_numpy()
    return labels


def labels_if_any(column: Any, name: str, where: str) -> NDArray[Any]:
    """Return a ``pyarrow`` column of labels (N,) as strings, None where there is none.

    Pandas stores integers of which some are missing as floating-point numbers: whole ones are
    taken for integers.

    Raises:
        InputError: it holds something else.
    """
    from pyarrow import compute, types

    if types.is_null(column.type):
        return as_strings([None] * len(column))
    if types.is_floating(column.type):
        column = compute.if_else(compute.is_nan(column), None, column)
        with suppress(ValueError):  # fractions, which are refused below
            column = column.cast("int64")
    label_values(column.drop_null(), name, where)
    return as_strings([text_if_any(value) for value in column.to_pylist()])


def _refuse_blank(labels: NDArray[Any], name: str, where: str) -> None:
    """Refuse labels of white space only; rows are counted from 1."""
    if labels.dtype.kind != "O":
        return
    row = next((i for i, label in enumerate(labels, start=1) if not label.strip()), None)
    if row is not None:
        raise InputError(f"{where}: row {row}: {name} is empty; fill or remove it{PARTLY}")


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


def _numeric_columns(table: Any, apart: tuple[str | None, ...], where: str) -> tuple[str, ...]:
    """Return the names of the features: all numeric columns but those that are no features."""
    columns = tuple(
        field.name
        for field in table.schema
        if field.name not in apart and not INDEX.fullmatch(field.name) and _is_numeric(field.type)
    )
    if not columns:
        raise InputError(
            f"{where}: has no numeric column but {apart[0]}; name a column of lists by "
            f"dataset.feature_column, one of {', '.join(table.column_names)}"
        )
    return columns


def _is_numeric(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _numbers(table: Any, columns: tuple[str, ...], where: str) -> tuple[FloatArray, list[str]]:
    """Return columns of numbers as rows (N, D), and notes on those that 32 bits do not hold."""
    places = {name: j for j, name in enumerate(table.column_names)}
    if len(places) < table.num_columns:
        for name in columns:
            require_column(name, tuple(table.column_names), where, "dataset.path")
    rows = np.empty((table.num_rows, len(columns)), np.float32)
    lost = []
    for j, name in enumerate(columns):
        column = table.column(places[name])
        refuse_missing(column, name, where)
        rows[:, j] = floats = _as_floats(column)
        if column.type.bit_width > BITS and is_lost(floats, column.to_numpy()):
            lost.append(name)
    _refuse_infinite(rows, columns, where)
    return rows, lost_notes(lost)


def _lists(column: Any, name: str, where: str) -> FloatArray:
    """Return a column of lists of numbers as rows (N, D)."""
    from pyarrow import compute, types

    kind = column.type
    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    if not lists or not _is_numeric(kind.value_type):
        raise InputError(
            f"dataset.feature_column={name}: holds {kind} in {where}; it must hold lists of numbers"
        )
    refuse_missing(column, name, where)
    lengths = compute.list_value_length(column).to_numpy()
    differs = lengths != lengths[0]
    if differs.any():
        first = int(np.argmax(differs))
        raise InputError(
            f"{where}: {name} has {lengths[first]} numbers in row {first + 1}, but {lengths[0]} in "
            "row 1; all rows must have equally many"
        )
    if not lengths[0]:
        raise InputError(f"{where}: the lists of {name} are empty")
    rows = _as_floats(compute.list_flatten(column)).reshape(len(column), -1)
    _refuse_infinite(rows, (name,) * rows.shape[1], where)
    return rows


def _as_floats(column: Any) -> FloatArray:
    """Return numbers as floats; missing ones and those beyond the range are not finite then."""
    with np.errstate(over="ignore"):
        floats: FloatArray = column.cast("float64", safe=False).to_numpy().astype(np.float32)
    return floats


def _refuse_infinite(rows: FloatArray, columns: tuple[str, ...], where: str) -> None:
    finite = np.isfinite(rows)
    if not finite.all():
        row, j = (int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            f"{where}: column {columns[j]} has no finite 32-bit number in row {row + 1}; "
            "fill or remove it"
        )
