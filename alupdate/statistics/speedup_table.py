"""The benchmark's pairs, the sizes of one operation together."""

import pandas as pd

LIMITS = (
    "the products and exponentials alone",
    "the arithmetic of its steps alone",
    "python -c pass",
)
"""What nothing can be faster than: no alternative."""


def speedup_table(benchmark: pd.DataFrame) -> pd.DataFrame:
    """Return one line per pair: section, operation, against, ratio, and the two medians.

    The operation is ``what`` without the sizes, which begin with a number or with a name and "=".
    Limits of the machine are left out.

    Args:
        benchmark: rows of scripts/benchmark.py.
    """
    pairs = benchmark.dropna(subset=["ratio", "against"])
    pairs = pairs[~pairs["against"].isin(LIMITS)]
    operations = pairs["what"].str.replace(r", (\d|\w=).*", "", regex=True)
    pairs = pairs.assign(operation=operations)
    columns = ["section", "operation", "against", "what", "seconds", "other_seconds", "ratio"]
    return pairs[columns].reset_index(drop=True)
