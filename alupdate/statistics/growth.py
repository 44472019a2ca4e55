"""How the cost of each operation grows with one size, from the benchmark's rows."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


def slope(sizes: ArrayLike, costs: ArrayLike) -> float:
    """Return the exponent a of costs ~ sizes^a over the upper half of the range of sizes.

    Least squares on logarithms, over the sizes above the range's geometric mean and at least the
    two largest: below, constant costs flatten the line. NaN for fewer than two sizes.

    Args:
        sizes: (n,), positive.
        costs: (n,), positive.
    """
    x, y = np.log(np.asarray(sizes, dtype=float)), np.log(np.asarray(costs, dtype=float))
    distinct = np.unique(x)
    if len(distinct) < 2:
        return float("nan")
    start = min((distinct[0] + distinct[-1]) / 2, distinct[-2])
    upper = x >= start - 1e-9
    centred = x[upper] - x[upper].mean()
    return float(centred @ y[upper] / (centred @ centred))


def growth_table(benchmark: pd.DataFrame) -> pd.DataFrame:
    """Return one line per variable, operation and value, ascending; variables in their order.

    The operation is the part of ``what`` before the colon; ``slope`` is that of its seconds.

    Args:
        benchmark: rows of scripts/benchmark.py; only those of its section "growth" with a value
            of a variable count.
    """
    growth = benchmark[benchmark["section"] == "growth"]
    rows = growth.dropna(subset=["variable", "value", "seconds"])
    operations = rows["what"].astype(str).str.split(":", n=1).str[0]
    columns = ["variable", "operation", "value", "seconds", "mib"]
    table = rows.assign(operation=operations)[columns]
    groups = [
        group.sort_values("value").assign(slope=slope(group["value"], group["seconds"]))
        for _, group in table.groupby(["variable", "operation"], sort=False)
    ]
    empty = table.assign(slope=np.nan)
    return pd.concat(groups, ignore_index=True) if groups else empty
