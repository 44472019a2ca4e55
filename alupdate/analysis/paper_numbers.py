"""What the notebooks of the paper's authors show: the numbers that results are compared with."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from alupdate.utils.metrics import ACCURACY

NUMBERS = Path(__file__).with_name("paper_numbers.csv")
"""The one place where they stand. Numbers of labels and candidates say what setting they are of."""
CURVES, UPDATES = "curves", "updates"
"""The two studies: learning curves of strategies, and updates beside retraining."""
LAST_CYCLE = 20
"""Of the learning curves; cycle 0 is the model on the initial labels."""


@dataclass(frozen=True)
class PaperNumber:
    """One mean test accuracy.

    Attributes:
        study: CURVES or UPDATES.
        dataset, backbone: names of our options.
        n_initial: labels of the first model.
        size: labels per acquisition, or new labels of an update.
        candidates: per query; empty where it is not known, and for updates.
        method: a strategy or an update, as our tables call it.
        cycles: first and last cycle over which the accuracy is a mean; None for updates.
        accuracy: over the authors' seeds.
        rounding: by how much it may be off, as it was rounded.
    """

    study: str
    dataset: str
    backbone: str
    n_initial: int
    size: int
    candidates: str
    method: str
    cycles: tuple[int, int] | None
    accuracy: float
    rounding: float

    @property
    def cell(self) -> str:
        """What distinguishes it from the others of its method: cycles, or labels."""
        if self.cycles is None:
            return f"{self.n_initial} labels"
        return f"cycles {self.cycles[0]}-{self.cycles[1]}"


@cache
def paper_numbers() -> tuple[PaperNumber, ...]:
    """Return all numbers in the order of the file.

    Example:
        >>> first = paper_numbers()[0]
        >>> first.dataset, first.method, first.cell, first.accuracy, first.rounding
        ('cifar10', 'random', 'cycles 0-6', 0.713, 0.0005)
    """
    table = pd.read_csv(NUMBERS, dtype=str, keep_default_na=False)
    return tuple(_number({str(key): str(cell) for key, cell in row.items()})
                 for row in table.to_dict("records"))  # fmt: skip


def _number(row: dict[str, str]) -> PaperNumber:
    first, _, last = row["cycles"].partition("-")
    decimals = len(row[ACCURACY].partition(".")[2])
    return PaperNumber(
        study=row["study"],
        dataset=row["dataset"],
        backbone=row["backbone"],
        n_initial=int(row["n_initial"]),
        size=int(row["size"]),
        candidates=row["candidates"],
        method=row["method"],
        cycles=(int(first), int(last)) if last else None,
        accuracy=float(row[ACCURACY]),
        rounding=0.5 / 10**decimals,
    )
