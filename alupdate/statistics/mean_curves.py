"""Learning curves averaged over seeds, and their differences to a reference, paired by seed."""

from collections.abc import Mapping

import pandas as pd

from alupdate.statistics.areas import RANDOM, references
from alupdate.statistics.variants import METHOD, SETTING, VARIANT, named

COLUMNS = [*VARIANT, "variant", "n_labelled", "mean", "standard_error", "seeds"]


def mean_curves(curves: pd.DataFrame, metric: str = "accuracy") -> pd.DataFrame:
    """Return one row per variant and number of labels: mean, standard error (NaN for one seed).

    Args:
        curves: rows in the form of curve.csv.
        metric: a column of it.
    """
    return _means(named(curves), metric)


def difference_curves(
    curves: pd.DataFrame, metric: str = "accuracy", reference: Mapping[str, str] = RANDOM
) -> pd.DataFrame:
    """Return the same of the differences to the reference with the same seed and labels.

    Settings without exactly one reference variant are left out, and the reference itself.
    """
    table = named(curves)
    parts = [pd.DataFrame(columns=COLUMNS)]
    for _, group in table.groupby(SETTING):
        found = references(group, reference)
        if len(found) != 1:
            continue
        keys = ["seed", "n_labelled"]
        is_base = (group[METHOD] == found.iloc[0][METHOD]).all(axis=1)
        base = group[is_base].set_index(keys)[metric].rename("base")
        others = group[~is_base].join(base, on=keys, how="inner")
        parts.append(_means(others.assign(gap=others[metric] - others["base"]), "gap"))
    full = [part for part in parts if len(part)]
    return pd.concat(full, ignore_index=True) if full else parts[0]


def _means(table: pd.DataFrame, column: str) -> pd.DataFrame:
    groups = table.groupby([*VARIANT, "variant", "n_labelled"])[column]
    means = groups.agg(["mean", "sem", "count"]).reset_index()
    return means.rename(columns={"sem": "standard_error", "count": "seeds"})[COLUMNS]
