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


def named(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a column ``variant``, a short name that is unique in it.

    The strategy; then the batch construction, if sequential; then the update, if some rows of the
    table have another one; and "(oracle)" for those that see labels not acquired yet.

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
    return table.assign(variant=names)


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


def finished(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the runs that are as far as the farthest run of their setting."""
    reached = curves.groupby("run")["cycle"].transform("max")
    last = curves.groupby(SETTING)["cycle"].transform("max")
    return curves[reached == last]
