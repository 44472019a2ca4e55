"""The check of answers that code from outside the package gives."""

from typing import Any

import numpy as np

from alupdate.errors import InputError
from alupdate.strategies.query import Positions, Query


def checked(answer: Any, query: Query, size: int, source: str) -> Positions:
    """Return the answer if it is ``size`` distinct free positions.

    Args:
        answer: what a strategy's ``select`` gave.
        query: what it was asked.
        size: how many positions it was asked for.
        source: the setting that chose the strategy, for the complaint.

    Raises:
        InputError: the answer would corrupt the run.
    """
    positions = np.asarray(answer)
    if positions.shape != (size,) or positions.dtype.kind not in "iu":
        problem = f"shape {positions.shape} and type {positions.dtype}, not {size} integers"
    elif len(np.unique(positions)) < size:
        problem = "the same position twice"
    elif not np.isin(positions, query.free()).all():
        problem = "a position that is taken or beyond the candidates"
    else:
        return positions.astype(np.int64)
    raise InputError(f"{source}: select returned {problem}")
