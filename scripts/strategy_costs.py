"""Seconds and peak memory of one query by every strategy, each in a process of its own.

usage: python scripts/strategy_costs.py [OUTPUT.csv] [TIMEOUT_SECONDS]

Prints one row per strategy and size (P candidates, D features, C classes, b picks), with 100
labelled instances and, for look-ahead, 3,000 evaluation points. Seconds are those of the processor
on one thread, the median of up to five queries, so that other programs on the machine hardly
matter. Imports, data, posterior and a small warm-up query are left out of both numbers: memory is
the peak that the query adds, which Linux counts anew when asked. A query that takes longer than
the timeout (300 s) is given up.
"""

import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from alupdate.utils.errors import DONE, WRONG_INPUT

SIZES = ((1000, 384, 10, 10), (1000, 384, 77, 100), (50_000, 1280, 10, 100))
LARGE_POOLS = tuple((count, 384, 1000, 100) for count in (12_500, 50_000, 200_000, 1_300_000))
FOR_LARGE_POOLS = (
    "random", "margin", "entropy", "least_confidence", "variance", "badge", "bait fisher=binary",
    "coreset", "typiclust", "probcover", "maxherding", "uherding", "tcm",
)  # fmt: skip
STRATEGIES = (
    "random", "margin", "entropy", "least_confidence", "variance", "bald", "batch_bald", "badge",
    "bait fisher=binary", "bait", "coreset", "typiclust", "probcover", "maxherding", "uherding",
    "uherding temperature=original", "tcm", "dropquery", "alfamix", "refine", "epig", "parbals",
    "expected_lookahead", "lookahead", "lookahead n_batches=600", "greedy_lookahead",
    "ensemble_lookahead", "boss",
)  # fmt: skip
LABELLED, POINTS = 100, 3000
REPEATS, ENOUGH = 5, 2.0
"""Queries per measurement at most, and the seconds after which there are enough."""


def measure(strategy: str, size: tuple[int, int, int, int]) -> tuple[float, float]:
    """Return seconds and MiB of one query, after a small one that warms up."""
    import time
    from dataclasses import replace
    from statistics import median

    import numpy as np
    import torch

    from alupdate.config.options import make_option
    from alupdate.strategies.base import StrategyOption
    from benchmarks.memory import added_mib

    torch.set_num_threads(1)
    name, *settings = strategy.split()
    tree: dict[str, object] = {"name": name}
    for key, _, value in (setting.partition("=") for setting in settings):
        tree[key] = int(value) if value.isdigit() else value
    made = make_option("strategy", tree)
    assert isinstance(made, StrategyOption)
    made.select(_query(200, 20, size[2]), size[3])
    query, seconds = _query(*size[:3]), list[float]()

    def queries() -> None:
        while len(seconds) < REPEATS and sum(seconds) < ENOUGH:
            fresh = replace(query, rng=np.random.default_rng(0))
            start = time.process_time()
            made.select(fresh, size[3])
            seconds.append(time.process_time() - start)

    memory = added_mib(queries)
    return median(seconds), memory


def _query(candidates: int, dimension: int, classes: int) -> Any:
    from benchmarks.problems import fitted, make_problem, query_of

    labelled = make_problem(LABELLED, dimension, classes)
    pool, test = (make_problem(n, dimension, classes, n) for n in (candidates, POINTS))
    return query_of(fitted(labelled, classes), pool, labelled, test)


def in_its_own_process(strategy: str, size: tuple[int, ...], timeout: float) -> dict[str, object]:
    """Return a row of the table; seconds are missing where the query was given up or failed."""
    row: dict[str, object] = dict(zip(("P", "D", "C", "b"), size, strict=True))
    command = [sys.executable, str(Path(__file__)), "--one", strategy, *map(str, size)]
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        seconds, memory = map(float, answer.stdout.split()[-2:])
        return {"strategy": strategy, **row, "seconds": seconds, "peak_mib": memory, "note": ""}
    except subprocess.TimeoutExpired:
        note = f"more than {timeout:.0f} s"
    except subprocess.CalledProcessError as error:
        note = error.stderr.strip().splitlines()[-1]
    return {"strategy": strategy, **row, "seconds": None, "peak_mib": None, "note": note}


def main(arguments: list[str]) -> int:
    """Print the table, write it if a file is named, and return the exit code."""
    if arguments[:1] == ["--one"]:
        candidates, dimension, classes, picks = map(int, arguments[2:])
        print(*measure(arguments[1], (candidates, dimension, classes, picks)))
        return DONE
    if len(arguments) > 2 or any(argument.startswith("-") for argument in arguments):
        print(__doc__, file=sys.stderr)
        return WRONG_INPUT
    timeout = float(arguments[1]) if len(arguments) > 1 else 300.0
    rows = []
    for size, strategy in [*product(SIZES, STRATEGIES), *product(LARGE_POOLS, FOR_LARGE_POOLS)]:
        rows.append(in_its_own_process(strategy, size, timeout))
        print(*rows[-1].values(), sep="\t", flush=True)
        if arguments:
            pd.DataFrame(rows).to_csv(arguments[0], index=False, float_format="%.4g")
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
