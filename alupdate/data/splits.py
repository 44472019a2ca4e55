"""Parts of a data set that are the same in every run: random ones, and splits by class."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from alupdate.utils.errors import InputError

SPLIT_SEED = 0
"""A split is part of the data set: the same for every seed of a run."""


def stratified_split(
    labels: NDArray[Any], test_size: float | int, where: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of pool and test instances, every class split in proportion.

    Args:
        labels: (N,).
        test_size: a share of N, or a number of instances.
        where: how to call the source in an error message.

    Raises:
        InputError: a class has one instance only, or a part is smaller than the number of classes.
    """
    from sklearn.model_selection import train_test_split

    try:
        train, test = train_test_split(
            np.arange(len(labels)), test_size=test_size, stratify=labels, random_state=SPLIT_SEED
        )
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{where}: cannot be split into pool and test set with every class in both ({reason})"
        ) from error
    return train.astype(np.int64), test.astype(np.int64)


def random_part(count: int, wanted: int, key: str) -> NDArray[np.int64]:
    """Return ``wanted`` of ``count`` positions, ascending: the same in every run.

    Raises:
        InputError: there are fewer.
    """
    if wanted > count:
        raise InputError(f"{key}={wanted}: there are only {count} instances")
    chosen = np.random.default_rng(SPLIT_SEED).choice(count, size=wanted, replace=False)
    return np.sort(chosen).astype(np.int64)
