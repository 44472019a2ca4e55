"""Rows of updates.csv as series: references, updates, their posteriors and step sizes."""

import pandas as pd
from matplotlib.axes import Axes

from alupdate.analysis.styles import MethodStyles
from alupdate.analysis.variants import SETTING
from alupdate.utils.errors import InputError
from alupdate.utils.metrics import ACCURACY

REFERENCES = BASE, RETRAIN, RETRAIN_LBFGS = ("base", "retrain", "retrain_lbfgs")
"""The methods that are no updates: the base model, and retraining by two solvers."""
SIZES = {"n_initial": "initial labels", "n_new": "new labels"}
"""Columns of numbers of labels, in words."""
BEST = "each update at the step size gamma that is best on average"
CELL = [*SETTING, "seed", "n_initial", "n_new"]
"""Columns that say which updates start from the same model and learn from the same labels."""
SERIES = ["series", "method", "step_size"]


def has_updates(table: pd.DataFrame | None) -> bool:
    """Return whether there are rows of updates, beside those of the references."""
    return table is not None and not table["method"].isin(REFERENCES).all()


def in_series(updates: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a column ``series``, a short name of method and posterior.

    The posterior is named where a method was run with several. Step sizes that were chosen
    automatically make a series of their own; their gamma becomes NaN, whatever it was.
    """
    table = updates.copy()
    for column in ("likelihood", "step_size"):
        table[column] = table[column].astype(object).where(table[column].notna(), "")
    ours = ~table["method"].isin(REFERENCES)
    posteriors = table[ours].groupby("method")[["likelihood", "prior_precision"]]
    several = posteriors.nunique().max(axis=1) > 1
    names = table["method"].astype(str)
    named = table["method"].isin(several[several].index)
    precision = table["prior_precision"].map("{:g}".format)
    full = names + " (" + table["likelihood"] + ", " + precision + ")"
    automatic = table["step_size"] == "auto"
    table["series"] = full.where(named, names) + automatic.map({True: ", gamma auto", False: ""})
    table.loc[automatic, "gamma"] = float("nan")
    return table


def best_gamma(rows: pd.DataFrame) -> float:
    """Return the gamma with the highest mean accuracy among one update's rows.

    Example:
        >>> rows = {"gamma": [1.0, 1.0, 10.0, 10.0], "accuracy": [0.7, 0.8, 0.6, 0.95]}
        >>> best_gamma(pd.DataFrame(rows))
        10.0
    """
    means = rows.groupby("gamma")[ACCURACY].mean()
    return float(means.index.to_numpy()[means.to_numpy().argmax()])


def with_references(updates: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the updates, with what base model and retraining had in their cell.

    The new columns: ``gain`` (update - base) and ``possible`` (retrain - base) in accuracy, and
    ``lbfgs_speedup``, the seconds of retraining by L-BFGS over those of the update.

    Args:
        updates: rows in the form of updates.csv.

    Raises:
        InputError: there are two studies of one data set, backbone and seed.
    """
    indexed = updates.set_index(CELL).sort_index()
    reference = {name: indexed[indexed["method"] == name] for name in REFERENCES}
    joined = indexed[~indexed["method"].isin(REFERENCES)].copy()
    if reference[BASE].index.has_duplicates:
        raise InputError("two studies of one data set, backbone and seed: keep them apart")
    base = reference[BASE][ACCURACY]
    joined["gain"] = joined[ACCURACY] - base
    joined["possible"] = reference[RETRAIN][ACCURACY] - base
    joined["lbfgs_speedup"] = reference[RETRAIN_LBFGS]["seconds"] / joined["seconds"]
    joined["gamma"] = joined["gamma"].astype(float).where(joined["step_size"] != "auto")
    return joined.reset_index()


def mean_accuracies(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return mean accuracies by series and ``keys``: over sizes within each seed, then over seeds.

    Args:
        table: from ``in_series``.
        keys: further columns to tell rows apart.

    Returns:
        dataset, backbone, series, method, step_size, the keys, mean, standard_error (NaN for one
        seed), seeds.
    """
    by = [*SETTING, *SERIES, *keys]
    per_seed = table.groupby([*by, "seed"], dropna=False, sort=False)[ACCURACY].mean()
    groups = per_seed.groupby(by, dropna=False, sort=False)
    means = groups.agg(["mean", "sem", "count"]).reset_index()
    return means.rename(columns={"sem": "standard_error", "count": "seeds"})


def drawn_series(table: pd.DataFrame, styles: MethodStyles) -> list[tuple[str, pd.DataFrame]]:
    """Return name and rows of each series in the order of legends.

    Retraining by L-BFGS is left out: it reaches nearly the accuracy of the other solver, and is
    what speed-ups are measured against.
    """
    groups = [(str(name), rows) for name, rows in table.groupby("series", sort=False)]
    shown = [(name, rows) for name, rows in groups if rows["method"].iloc[0] != RETRAIN_LBFGS]
    return sorted(shown, key=lambda pair: styles.place(pair[1]["method"].iloc[0]))


def draw_means(panel: Axes, rows: pd.DataFrame, column: str, styles: MethodStyles) -> None:
    """Draw one series of ``mean_accuracies`` against a column; the band is one standard error."""
    rows = rows.sort_values(column)
    x, mean = rows[column].to_numpy(), rows["mean"].to_numpy()
    error = rows["standard_error"].fillna(0.0).to_numpy()
    style = styles.style(rows["method"].iloc[0], rows["step_size"].iloc[0] == "auto")
    panel.plot(x, mean, label=rows["series"].iloc[0], **style.keywords())
    panel.fill_between(x, mean - error, mean + error, color=style.colour, alpha=0.2, lw=0)
