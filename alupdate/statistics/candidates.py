"""What more candidate batches bring to look-ahead."""

import pandas as pd

from alupdate.statistics.areas import summarise

LABEL = r"^(?P<base>\w*lookahead)_(?P<n_batches>\d+)$"
"""How experiments call look-ahead with another number of candidate batches."""


def candidate_batches(areas: pd.DataFrame, higher_is_better: bool = True) -> pd.DataFrame:
    """Return the summary of the variants labelled as lookahead_300, with two more columns.

    Args:
        areas: from ``normalised_area``.
        higher_is_better: whether a larger area is the better one.

    Returns:
        The columns of ``summarise``, ``base`` (lookahead) and ``n_batches`` (300); no rows where
        fewer than two numbers of candidate batches were tried.
    """
    summary = summarise(areas, higher_is_better)
    parts = summary["strategy"].astype(str).str.extract(LABEL)
    found = summary.assign(base=parts["base"], n_batches=pd.to_numeric(parts["n_batches"]))
    found = found.dropna(subset=["n_batches"]).astype({"n_batches": int})
    if found["n_batches"].nunique() < 2:
        return found.iloc[:0]
    return found.sort_values(["dataset", "backbone", "base", "n_batches"], ignore_index=True)
