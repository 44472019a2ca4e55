"""How much of the way from the base model to the retrained one each update goes, and how fast."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from alupdate.analysis.render import ResultTable
from alupdate.analysis.seeds import CONFIDENCE, N_RESAMPLES, note, paired_t
from alupdate.utils.errors import InputError
from alupdate.utils.metrics import ACCURACY

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
    means = rows.groupby("gamma")[ACCURACY].mean()
    return float(means.index.to_numpy()[means.to_numpy().argmax()])


CELL = ["dataset", "backbone", "seed", "n_initial", "n_new"]
METHOD = ["dataset", "backbone", "method", "likelihood", "prior_precision", "gamma", "step_size"]
GAP = [
    "gap", "standard_error", "low", "high", "retrain_p", "worst", "seeds", "speedup",
    "lbfgs_speedup", "note",
]  # fmt: skip


def gap_closed(updates: pd.DataFrame) -> pd.DataFrame:
    """Return one row per data set and update: the share of the gap to retraining that it closes.

    ``gap`` is sum(update - base) / sum(retrain - base) of the accuracies over all seeds and
    cells (initial size, new size); ``standard_error`` is that of the same ratio seed by seed, and
    ``low`` and ``high`` the 95 % percentile bootstrap interval of the ratio over seeds; all
    three are NaN where retraining gained nothing with some seed.
    ``retrain_p`` is the p-value of a paired t-test, over seeds, that the update is as accurate as
    retraining. ``worst`` is the lowest mean over seeds of update - base in any cell; ``speedup``
    the median over seeds and cells of the seconds of retraining, by the configured solver and by
    L-BFGS, over those of the update. A gamma that was rehearsed (step_size: auto) is NaN.

    Args:
        updates: rows in the form of updates.csv.

    Raises:
        InputError: there are two studies of one data set, backbone and seed.
    """
    joined = with_references(updates)
    rows = []
    for key, group in joined.groupby(METHOD, sort=False, dropna=False):
        sums = group.groupby("seed")[["gain", "possible"]].sum().to_numpy()
        faster = group[["speedup", "lbfgs_speedup"]].median()
        p_value = paired_t(sums[:, 0] - sums[:, 1])
        seeds = len(sums)
        ratio = [*_ratio(sums), *_ratio_interval(sums)]
        rows.append([*key, *ratio, p_value, _worst(group), seeds, *faster, note(seeds)])
    return pd.DataFrame(rows, columns=[*METHOD, *GAP])


def with_references(updates: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the updates, with what base model and retraining had in their cell.

    The new columns: ``gain`` (update - base) and ``possible`` (retrain - base) in accuracy, and
    ``lbfgs_speedup``.

    Raises:
        InputError: there are two studies of one data set, backbone and seed.
    """
    indexed = updates.set_index(CELL).sort_index()
    reference = {name: indexed[indexed["method"] == name] for name in REFERENCES}
    joined = indexed[~indexed["method"].isin(REFERENCES)].copy()
    if reference["base"].index.has_duplicates:
        raise InputError("two studies of one data set, backbone and seed: keep them apart")
    base = reference["base"][ACCURACY]
    joined["gain"] = joined[ACCURACY] - base
    joined["possible"] = reference["retrain"][ACCURACY] - base
    joined["lbfgs_speedup"] = reference["retrain_lbfgs"]["seconds"] / joined["seconds"]
    joined["gamma"] = joined["gamma"].astype(float).where(joined["step_size"] != "auto")
    return joined.reset_index()


def _ratio(sums: NDArray[np.float64]) -> tuple[float, float]:
    """Return the pooled ratio of sums (seeds, 2) and the standard error of the seeds' ratios."""
    pooled = sums[:, 0].sum() / sums[:, 1].sum()
    if (sums[:, 1] <= 0).any():
        return float(pooled), np.nan
    ratios = sums[:, 0] / sums[:, 1]
    error = ratios.std(ddof=1) / np.sqrt(len(ratios)) if len(ratios) > 1 else np.nan
    return float(pooled), float(error)


def _ratio_interval(sums: NDArray[np.float64]) -> tuple[float, float]:
    if len(sums) < 2 or (sums[:, 1] <= 0).any():  # no ratio of some resample
        return np.nan, np.nan
    answer = stats.bootstrap(
        (sums[:, 0], sums[:, 1]),
        lambda gain, possible, axis: gain.sum(axis=axis) / possible.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=N_RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(answer.confidence_interval.low), float(answer.confidence_interval.high)


def _worst(group: pd.DataFrame) -> float:
    return float(group.groupby(["n_initial", "n_new"])["gain"].mean().min())


def best_gaps(updates: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ``gap_closed`` at the best gamma of each update and data set.

    With a column ``name``: the method, with its posterior where there are several.
    """
    gaps = gap_closed(updates)
    table = gaps.assign(name=in_series(gaps)["series"])
    best = table.groupby(["dataset", "backbone", "name"])["gap"].idxmax()
    return table.loc[best].reset_index(drop=True)


def speedups(updates: pd.DataFrame, size: str) -> pd.DataFrame:
    """Return median speed-ups of each update, for every initial size or every number of new labels.

    Args:
        updates: rows in the form of updates.csv.
        size: n_initial | n_new.

    Returns:
        One row per method, posterior and size: medians over data sets, seeds, step sizes and the
        other size of ``speedup`` and ``lbfgs_speedup``, and the number of measurements.
    """
    joined = in_series(with_references(updates))
    keys = ["series", "method", "likelihood", "prior_precision", size]
    groups = joined.groupby(keys, sort=False)
    table = groups[["speedup", "lbfgs_speedup"]].median()
    return table.assign(measurements=groups.size()).reset_index()


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
    per_seed = table.groupby([*by, "seed"], dropna=False, sort=False)[ACCURACY].mean()
    groups = per_seed.groupby(by, dropna=False, sort=False)
    means = groups.agg(["mean", "sem", "count"]).reset_index()
    return means.rename(columns={"sem": "standard_error", "count": "seeds"})


SIZES = {"n_initial": "initial labels", "n_new": "new labels"}


def update_tables(updates: pd.DataFrame) -> Iterator[ResultTable]:
    """Yield the tables that an updating study allows."""
    if updates["method"].isin(REFERENCES).all():
        return
    gaps = gap_closed(updates).rename(
        columns={"standard_error": "gap_error", "low": "gap_low", "high": "gap_high"}
    )
    yield ResultTable(
        "gap-closed",
        "Gap to retraining closed by each update",
        "gap: sum(update - base) / sum(retrain - base) of test accuracy over all sizes and seeds "
        "± standard error over seeds [95 % percentile bootstrap interval]; 0 the base model, 1 "
        "retraining. retrain_p: paired t-test over seeds that the update is as accurate as "
        "retraining. worst: lowest mean of update - base in any cell of sizes. speedup: median "
        "ratio of seconds, against retraining as configured and against L-BFGS.",
        _shown(gaps),
    )
    for size, words in SIZES.items():
        yield ResultTable(
            f"speedup-{size.replace('_', '-')}",
            f"Speed-up of each update by number of {words}",
            "Median ratio of the seconds of retraining, as configured and by L-BFGS, to those of "
            "the update, over data sets, seeds and the other size.",
            speedups(updates, size),
        )


def _shown(gaps: pd.DataFrame) -> pd.DataFrame:
    gamma = gaps["gamma"].map("{:g}".format).where(gaps["step_size"] != "auto", "auto")
    table = gaps.assign(gamma=gamma).drop(columns="step_size")
    return table.sort_values(METHOD[:2], kind="stable", ignore_index=True)
