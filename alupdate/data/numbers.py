"""Arrays of numbers as 32-bit features: what is lost on the way is refused or said."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alupdate.utils.errors import InputError

NAMED_COLUMNS = 3


def as_features(
    rows: NDArray[Any], where: str, columns: Sequence[str] = ()
) -> tuple[NDArray[np.float32], list[str]]:
    """Return rows (N, D) of finite numbers in 32 bits, and notes on columns that suffer from it.

    Args:
        rows: of any type of numbers; those of 32 bits are not copied.
        where: how to call them in an error message; their rows are counted from 0.
        columns: what they are called; empty for positions.

    Raises:
        InputError: a number is beyond the range of 32 bits.
    """
    with np.errstate(over="ignore"):
        features = rows.astype(np.float32, copy=False)
    finite = np.isfinite(features)
    if not finite.all():
        row, column = (int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            f"{where}: column {_name(column, columns)} has {float(rows[row, column]):.4g} in row "
            f"{row}, which 32-bit numbers cannot hold; rescale, fill or remove it"
        )
    if rows.dtype.itemsize <= features.dtype.itemsize and rows.dtype.kind == "f":
        return features, []
    lost = [j for j in range(rows.shape[1]) if is_lost(features[:, j], rows[:, j])]
    return features, lost_notes(_name(j, columns) for j in lost)


def is_lost(features: NDArray[np.float32], numbers: NDArray[Any]) -> bool:
    """Return whether numbers (N,) differ, and are all the same in 32 bits."""
    same = bool((features == features[0]).all())
    return same and bool((numbers != numbers[0]).any())


def lost_notes(names: Iterable[str]) -> list[str]:
    """Name the columns whose numbers are all the same in 32 bits."""
    lost = list(names)
    if not lost:
        return []
    more = f" and {len(lost) - NAMED_COLUMNS} more" if len(lost) > NAMED_COLUMNS else ""
    return [
        f"features {', '.join(lost[:NAMED_COLUMNS])}{more}: differ by less than 32-bit numbers can "
        "tell, taken as constant; subtract their smallest value in the file"
    ]


def _name(column: int, columns: Sequence[str]) -> str:
    return columns[column] if columns else f"number {column}"
