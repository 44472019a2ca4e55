"""Scales of features: standardising, and what a user should know where nothing is standardised."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from alupdate.data.dataset import FloatArray
from alupdate.data.feature_cache import Features, ScaledRows, is_large_file, rows_in_turn
from alupdate.data.labels import NAMED
from alupdate.laplace.inputs import LARGEST_VALUE
from alupdate.utils.errors import InputError

CONSTANT = 1e-6
"""A column that varies by less, relative to its mean, is taken as constant: 32-bit numbers keep
seven digits, so that what varies there is rounding."""
SPREAD = 1e3
"""Ratio of the sizes of two features from which on a user is told, where none is standardised."""
SQUARED_ROWS = 4096
"""Rows that are squared at a time."""
SAFE = 1e18
"""Columns within 1/SAFE..SAFE are standardised in 32 bits."""


@dataclass(frozen=True)
class Scale:
    """Shift and factor of each feature, so that new instances are scaled like the pool.

    Attributes:
        shift: (D,), subtracted first; in 32 or 64 bits, as the arithmetic is.
        factor: (D,), multiplied then.
    """

    shift: NDArray[np.floating]
    factor: NDArray[np.floating]

    def apply(self, rows: FloatArray) -> FloatArray:
        """Return features (N, D) scaled, in 32 bits; what these cannot hold is infinite.

        Example:
            >>> Scale(np.float32([2.0]), np.float32([0.5])).apply(np.float32([[4.0]])).tolist()
            [[1.0]]
        """
        with np.errstate(over="ignore"):
            scaled: FloatArray = ((rows - self.shift) * self.factor).astype(np.float32, copy=False)
        return scaled


def standardise(features: Features, columns: Sequence[str] = ()) -> Features:
    """Standardise features: shift and scale each to mean 0 and variance 1 on the pool.

    No label is used. Every column is judged by itself. One that (nearly) does not vary on the pool
    is set to 0, so that a test instance in which it does vary is not blown up. The pool of a large
    mapped file is read in parts, and scaled where it is used: no copy of it is made.

    Args:
        features: of pool and test set.
        columns: what they are called; a column whose variation is lost is named in a note.

    Raises:
        InputError: a test instance is so far from the pool that 32 bits do not hold it.

    Example:
        >>> pool, test = np.array([[1.0], [3.0]], np.float32), np.array([[5.0]], np.float32)
        >>> standardise(Features(pool, test)).test.tolist()
        [[3.0]]
    """
    raw = unscaled(features.pool)
    mean = _mean(rows_in_turn(raw), len(raw))
    deviation = np.sqrt(_mean(_squares(raw, mean), len(raw)))
    varies = deviation > CONSTANT * np.abs(mean)
    factor = np.where(varies, 1 / np.where(varies, deviation, 1), 0)
    kind = np.float32 if _within(mean, deviation[varies]) else np.float64
    scale = Scale(mean.astype(kind), factor.astype(kind))
    pool = ScaledRows(raw, scale) if is_large_file(raw) else scale.apply(raw)
    test = scale.apply(features.test)
    _refuse_infinite(test, columns)
    still = np.flatnonzero(~varies & (deviation > 0))  # of constants, too: their mean is rounded
    ends = [(rows[:, still].min(axis=0), rows[:, still].max(axis=0)) for rows in rows_in_turn(raw)]
    lost = still[np.ptp(np.concatenate(ends), axis=0) > 0]
    none = () if varies.any() else ("no feature varies on the pool: there is nothing to learn",)
    return Features(pool, test, (*features.notes, *_lost_notes(lost, columns), *none), scale)


def unscaled(rows: FloatArray | ScaledRows) -> FloatArray:
    """Return features as they are, which no one has scaled.

    Raises:
        ValueError: they are scaled.
    """
    if isinstance(rows, ScaledRows):
        raise ValueError("features are standardised already")
    return rows


def _squares(rows: FloatArray, mean: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    for part in rows_in_turn(rows):
        difference = part - mean
        yield np.square(difference, out=difference)


def _mean(parts: Iterator[NDArray[np.floating]], count: int) -> NDArray[np.float64]:
    """Return the mean (D,) of ``count`` rows, which come in parts (n, D), in 64 bits.

    Rows are added one after the other, as NumPy does, whatever the parts.
    """
    total = np.add.reduce(next(parts), axis=0, dtype=np.float64)
    for rows in parts:
        total = np.add.reduce(np.concatenate([total[None], rows]), axis=0, dtype=np.float64)
    mean: NDArray[np.float64] = total / count
    return mean


def _within(mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> bool:
    """Return whether differences and quotients of 32-bit numbers stay within their range."""
    largest = max(np.abs(mean).max(initial=0.0), deviation.max(initial=0.0))
    return bool(largest < SAFE and deviation.min(initial=1.0) > 1 / SAFE)


def _refuse_infinite(rows: FloatArray, columns: Sequence[str]) -> None:
    finite = np.isfinite(rows)
    if not finite.all():
        row, column = (int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            f"feature {_name(column, columns)}: row {row} of the test set is too far from the pool "
            "to be standardised; repair or remove it"
        )


def _lost_notes(lost: NDArray[np.int64], columns: Sequence[str]) -> list[str]:
    if not len(lost):
        return []
    return [
        f"features {_few(lost, columns)}: vary by less than a millionth of their mean, taken as "
        "constant; subtract their mean in the file"
    ]


def check_scales(features: Features, columns: Sequence[str] = ()) -> Features:
    """Add a note where features that are used as they are differ in size by orders of magnitude.

    Weight decay, prior and learning rate are the same for all columns: small ones have no effect
    beside large ones, and large ones make training diverge. The size of a column is its root mean
    square on the pool.

    Args:
        features: of pool and test set.
        columns: what they are called.

    Raises:
        InputError: values are too large to be used as they are.

    Example:
        >>> pool = np.array([[1.0, 5e6], [2.0, 3e6]], np.float32)
        >>> check_scales(Features(pool, pool), ("rooms", "price")).notes[0][:46]
        'features differ in size: price (4e+06) beside '
    """
    remedy = "use backbone.standardise=true"
    pool = unscaled(features.pool)
    for rows in (pool, features.test):
        outside = np.zeros(rows.shape[1], dtype=bool)
        for part in rows_in_turn(rows):
            outside |= np.abs(part).max(axis=0, initial=0.0) > LARGEST_VALUE
        if outside.any():
            name = _name(int(outside.argmax()), columns)
            raise InputError(f"feature {name}: has values beyond {LARGEST_VALUE:.0e}; {remedy}")
    sizes = _sizes(pool)
    order = np.argsort(sizes, kind="stable")
    order = order[sizes[order] > 0]
    if not len(order):
        return features
    small, large = sizes[order[0]], sizes[order[-1]]
    note = None
    if large > SPREAD * small:
        top = order[::-1][: min(NAMED, int((sizes > SPREAD * small).sum()))]
        listed = ", ".join(f"{_name(int(j), columns)} ({sizes[j]:.1g})" for j in top)
        smallest = f"{_name(int(order[0]), columns)} ({small:.1g})"
        note = f"features differ in size: {listed} beside {smallest}"
    elif large > SPREAD or large < 1 / SPREAD:
        note = f"features are of size {small:.1g} to {large:.1g}"
    if note is None:
        return features
    consequence = f"they are used as they are, and results suffer; {remedy}"
    return replace(features, notes=(*features.notes, f"{note}; {consequence}"))


def _sizes(rows: FloatArray) -> NDArray[np.float64]:
    """Return the root mean square of each column, without a copy of all rows in 64 bits."""
    squares = np.zeros(rows.shape[1])
    for part in rows_in_turn(rows):
        for start in range(0, len(part), SQUARED_ROWS):
            squares += np.square(part[start : start + SQUARED_ROWS], dtype=np.float64).sum(axis=0)
    sizes: NDArray[np.float64] = np.sqrt(squares / len(rows))
    return sizes


def _name(column: int, columns: Sequence[str]) -> str:
    return columns[column] if columns else f"number {column}"


def _few(positions: NDArray[np.int64], columns: Sequence[str]) -> str:
    listed = ", ".join(_name(int(j), columns) for j in positions[:NAMED])
    more = len(positions) - NAMED
    return f"{listed} and {more} more" if more > 0 else listed
