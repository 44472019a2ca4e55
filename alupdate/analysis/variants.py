"""What was run: the columns that tell variants apart, and a short name for each."""

from collections.abc import Mapping

import pandas as pd

from alupdate.utils.errors import InputError

SETTING = ["dataset", "backbone"]
"""Where variants meet; numbers of two settings are never averaged without saying so."""
METHOD = ["strategy", "batch", "update", "oracle"]
VARIANT = [*SETTING, *METHOD]
"""The columns that say what was run; runs of one variant differ in the seed."""
RANDOM = {"strategy": "random", "batch": "top_b"}
"""The variant that others are compared with, where a setting has it."""
MOST_DRAWN = 40
"""Figures of more variants than these show only the best: others could not be told apart."""


def named(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a column ``variant``, a short name that is unique in it.

    The strategy; then the batch construction, if sequential; then the update, if some rows of the
    table have another one; and "(oracle)" for those that see labels not acquired yet. Where a label
    of one variant makes two names alike, these have strategy, batch and update.

    Example:
        >>> row = {"strategy": "margin", "batch": "sequential", "update": "retrain"}
        >>> named(pd.DataFrame([{**row, "oracle": False}]))["variant"].item()
        'margin, sequential'
    """
    updates_differ = table["update"].nunique() > 1
    names = table["strategy"].astype(str)
    names = names + table["batch"].map(lambda batch: "" if batch == "top_b" else f", {batch}")
    if updates_differ:
        names = names + ", " + table["update"].astype(str)
    names = names + table["oracle"].map({True: " (oracle)", False: ""})
    parts = [table[column].astype(str) for column in METHOD[:3]]
    alike = pd.Series(list(zip(*parts, strict=True)), table.index, object)
    several = alike.groupby(names).transform("nunique") > 1
    in_full = "[" + parts[0] + "] [" + parts[1] + "] [" + parts[2] + "]"
    return table.assign(variant=names.mask(several, in_full))


def matching(table: pd.DataFrame, values: Mapping[str, str]) -> pd.DataFrame:
    """Return the variants of one setting whose columns have these values.

    Args:
        table: of one data set and backbone.
        values: column to value, such as {"strategy": "random"}.
    """
    variants = table[VARIANT].drop_duplicates()
    for column, value in values.items():
        variants = variants[variants[column] == value]
    return variants


def best_variants(aulc: pd.DataFrame, better_if_higher: bool = True) -> pd.DataFrame | None:
    """Return the columns METHOD of the variants that figures show; None if they show all.

    Of more than ``MOST_DRAWN`` these are the best, and random selection: those whose mean AULC
    ranks best in the average over settings.

    Args:
        aulc: from ``alupdate.analysis.aulc.aulc_per_run``.
        better_if_higher: whether a larger area is the better one.
    """
    means = aulc.groupby(VARIANT)["area"].mean()
    ranks = means.groupby(level=SETTING).rank(ascending=not better_if_higher)
    order = ranks.groupby(level=METHOD).mean().sort_values(kind="stable").reset_index()[METHOD]
    if len(order) <= MOST_DRAWN:
        return None
    is_random = (order[list(RANDOM)] == list(RANDOM.values())).all(axis=1)
    return order[(order.index < MOST_DRAWN) | is_random]


def refuse_doubles(curves: pd.DataFrame) -> None:
    """Check that the columns tell all runs apart.

    Raises:
        InputError: two runs differ only in settings that the table does not show.
    """
    runs = curves.groupby([*VARIANT, "seed"])["run"].unique()
    for names in runs[runs.map(len) > 1]:
        raise InputError(
            f"runs {names[0]} and {names[1]} differ only in settings that the table does not "
            "show: put them into experiments of their own, or give them labels"
        )


def whole(curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the rows of the runs that have the metric at each of their cycles.

    Others cannot be compared over a whole curve: those begun before the metric was added, and
    those with a cycle at which it is not defined.
    """
    return curves[curves[metric].notna().groupby(curves["run"]).transform("all")]


def finished(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the runs that are as far as the farthest run of their setting."""
    reached = curves.groupby("run")["cycle"].transform("max")
    last = curves.groupby(SETTING)["cycle"].transform("max")
    return curves[reached == last]
