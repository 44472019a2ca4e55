"""Names of the series that an updating study compares."""

import pandas as pd

REFERENCES = ("base", "retrain", "retrain_lbfgs")


def in_series(updates: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a column ``series``, a short name of method and posterior.

    The posterior is named where a method was run with several; rehearsed step sizes make a series
    of their own, whatever gamma they chose.
    """
    table = updates.copy()
    for column in ("likelihood", "step_size"):
        table[column] = table[column].astype(object).where(table[column].notna(), "")
    ours = ~table["method"].isin(REFERENCES)
    posteriors = table[ours].groupby("method")[["likelihood", "prior_precision"]]
    several = posteriors.nunique().max(axis=1) > 1
    names = table["method"].astype(str)
    named = table["method"].map(several).fillna(False).astype(bool)
    precision = table["prior_precision"].map("{:g}".format)
    full = names + " (" + table["likelihood"] + ", " + precision + ")"
    automatic = table["step_size"] == "auto"
    table["series"] = full.where(named, names) + automatic.map({True: ", gamma auto", False: ""})
    table.loc[automatic, "gamma"] = float("nan")
    return table


def best_gamma(rows: pd.DataFrame) -> float:
    """Return the gamma with the highest mean accuracy among one update's rows."""
    means = rows.groupby("gamma")["accuracy"].mean()
    return float(means.index.to_numpy()[means.to_numpy().argmax()])
