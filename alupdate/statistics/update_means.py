"""Accuracy of every update, averaged over seeds."""

import pandas as pd

from alupdate.statistics.update_series import best_gamma, in_series

SERIES = ["series", "method", "step_size"]


def size_means(updates: pd.DataFrame) -> pd.DataFrame:
    """Return mean accuracies by series, initial and new size, each update at its best gamma.

    The gamma that is best on average over the table: the comparison that favours the updates
    that need tuning. The names of series say it.

    Args:
        updates: rows in the form of updates.csv, of one data set and backbone.

    Returns:
        dataset, backbone, series, method, step_size, n_initial, n_new, mean, standard_error (NaN
        for one seed), seeds.
    """
    parts = []
    for name, rows in in_series(updates).groupby("series", sort=False):
        if rows["gamma"].notna().any():
            best = best_gamma(rows)
            chosen = rows[rows["gamma"] == best]
            parts.append(chosen.assign(series=f"{name}, gamma {best:g}"))
        else:
            parts.append(rows)
    return _means(pd.concat(parts), ["n_initial", "n_new"])


def gamma_means(updates: pd.DataFrame) -> pd.DataFrame:
    """Return mean accuracies by series and gamma, over all sizes; references have no gamma.

    Returns:
        dataset, backbone, series, method, step_size, gamma, mean, standard_error, seeds.
    """
    table = in_series(updates)
    return _means(table[table["step_size"] != "auto"], ["gamma"])


def _means(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Average over sizes within each seed, then over seeds."""
    by = ["dataset", "backbone", *SERIES, *keys]
    per_seed = table.groupby([*by, "seed"], dropna=False, sort=False)["accuracy"].mean()
    groups = per_seed.groupby(by, dropna=False, sort=False)
    means = groups.agg(["mean", "sem", "count"]).reset_index()
    return means.rename(columns={"sem": "standard_error", "count": "seeds"})
