"""How much of the way from the base model to the retrained one each update goes."""

import numpy as np
import pandas as pd

from alupdate.errors import InputError

CELL = ["dataset", "backbone", "seed", "n_initial", "n_new"]
METHOD = ["dataset", "backbone", "method", "likelihood", "prior_precision", "gamma", "step_size"]
REFERENCES = ("base", "retrain", "retrain_lbfgs")


def gap_closed(updates: pd.DataFrame) -> pd.DataFrame:
    """Return one row per data set and update: the share of the gap to retraining that it closes.

    ``gap`` is sum(update - base) / sum(retrain - base) of the accuracies over all seeds and
    cells (initial size, new size); ``standard_error`` is that of the same ratio seed by seed.
    ``worst`` is the lowest mean over seeds of update - base in any cell; ``speedup`` the median
    over seeds and cells of the seconds of retraining, by the configured solver and by L-BFGS,
    over those of the update.

    Args:
        updates: rows in the form of updates.csv.

    Raises:
        InputError: there are two studies of one data set, backbone and seed.
    """
    indexed = updates.set_index(CELL).sort_index()
    reference = {name: indexed[indexed["method"] == name] for name in REFERENCES}
    joined = indexed[~indexed["method"].isin(REFERENCES)].copy()
    if reference["base"].index.has_duplicates:
        raise InputError("two studies of one data set, backbone and seed: keep them apart")
    base = reference["base"]["accuracy"]
    joined["gain"] = joined["accuracy"] - base
    joined["possible"] = reference["retrain"]["accuracy"] - base
    joined["lbfgs_speedup"] = reference["retrain_lbfgs"]["seconds"] / joined["seconds"]
    rows = []
    for key, group in joined.groupby(METHOD, sort=False):
        faster = group[["speedup", "lbfgs_speedup"]].median()
        seeds = len(group.index.unique("seed"))
        rows.append([*key, *_ratio(group), _worst(group), seeds, *faster])
    columns = ["gap", "standard_error", "worst", "seeds", "speedup", "lbfgs_speedup"]
    return pd.DataFrame(rows, columns=[*METHOD, *columns])


def _ratio(group: pd.DataFrame) -> tuple[float, float]:
    """Return the pooled ratio and the standard error of the ratios of the seeds."""
    sums = group.groupby("seed")[["gain", "possible"]].sum()
    pooled = sums["gain"].sum() / sums["possible"].sum()
    ratios = (sums["gain"] / sums["possible"]).to_numpy()
    error = ratios.std(ddof=1) / np.sqrt(len(ratios)) if len(ratios) > 1 else np.nan
    return float(pooled), float(error)


def _worst(group: pd.DataFrame) -> float:
    return float(group.groupby(["n_initial", "n_new"])["gain"].mean().min())
