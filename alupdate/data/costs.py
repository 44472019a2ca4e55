"""What the label of an instance costs: the length of its text, or a column of the user's table."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from alupdate.config.values import LARGEST, SMALLEST
from alupdate.data.dataset import Dataset, DatasetOption, IntArray, Texts, Vectors
from alupdate.data.labels import shortened
from alupdate.utils.errors import InputError

Costs = NDArray[np.float64]
COLUMN_KEY = "dataset.cost_column"


@dataclass(frozen=True)
class PricedTexts(Texts):
    """N texts with what the label of each costs.

    Attributes:
        costs: (N,), above 0.
    """

    costs: Costs = field(kw_only=True, compare=False)

    @override
    def take(self, positions: IntArray) -> "PricedTexts":
        texts = super().take(positions)
        return PricedTexts(texts.strings, costs=self.costs[positions])


@dataclass(frozen=True)
class PricedVectors(Vectors):
    """N feature vectors with what the label of each costs.

    Attributes:
        costs: (N,), above 0.
    """

    costs: Costs = field(kw_only=True, compare=False)

    @override
    def take(self, positions: IntArray) -> "PricedVectors":
        vectors = super().take(positions)
        return PricedVectors(vectors.rows, vectors.columns, costs=self.costs[positions])


def label_costs(option: DatasetOption, dataset: Dataset) -> Costs | None:
    """Return what the label of each instance of the pool costs (N,); None for one each.

    Args:
        option: by which the data set was read: ``cost`` names a length, ``cost_column`` a column.
        dataset: as it was read.
    """
    pool = dataset.train
    if getattr(option, "cost_column", None) is not None:
        if not isinstance(pool, PricedTexts | PricedVectors):
            raise TypeError(f"the instances of {dataset.name} have lost their costs")
        return pool.costs
    length = getattr(option, "cost", None)
    if length is None:
        return None
    if not isinstance(pool, Texts):
        raise TypeError(f"dataset.cost={length}: {dataset.name} holds no texts")
    texts = pool.strings
    return np.array([len(t.split() if length == "words" else t) for t in texts], np.float64)


def costs_of_cells(cells: Iterable[tuple[int, Any]], column: str, unit: str) -> Costs:
    """Return the numbers in the cells of a column, each with the number of its row.

    Args:
        cells: numbers, or texts that are numbers.
        column: its name.
        unit: how to call a row in an error message.

    Raises:
        InputError: a cell holds something else than a number between SMALLEST and LARGEST.

    Example:
        >>> costs_of_cells([(2, "1.5"), (3, 4)], "minutes", "row").tolist()
        [1.5, 4.0]
    """
    return np.array([_cost(cell, column, f"{unit} {row}") for row, cell in cells], np.float64)


def _cost(cell: Any, column: str, here: str) -> float:
    try:
        cost = math.nan if isinstance(cell, bool) or "_" in str(cell) else float(cell)
    except (TypeError, ValueError, OverflowError):
        cost = math.nan
    if not SMALLEST <= cost <= LARGEST:
        shown = "empty" if cell is None or not str(cell).strip() else shortened(cell)
        raise InputError(
            f"{here}: {column} is {shown}; {COLUMN_KEY} must hold a number above 0 in each row, "
            f"from {SMALLEST:g} to {LARGEST:g}"
        )
    return cost
