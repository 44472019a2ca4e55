"""Tables of learning curves beyond their areas: last checkpoint, penalties, labels saved."""

from collections.abc import Iterator

import pandas as pd

from alupdate.statistics.labels_saved import labels_saved, summarise_saved
from alupdate.statistics.pairs import note
from alupdate.statistics.penalty import CONFIDENCE, penalty_matrix
from alupdate.statistics.result_table import ResultTable
from alupdate.statistics.variants import METRICS, SETTING, higher_is_better, named


def curve_tables(curves: pd.DataFrame, metric: str = "accuracy") -> Iterator[ResultTable]:
    """Yield the tables that finished curves allow, those of areas aside."""
    yield ResultTable(
        "final",
        "Test metrics at the last number of labels",
        "Mean over seeds ± standard error.",
        final_metrics(curves),
    )
    if curves.groupby(SETTING)["cycle"].max().min() > 0 and len(_variants(curves)) > 1:
        yield ResultTable(
            f"penalty-{metric}",
            "Pairwise penalty matrix",
            f"How often the row beats the column (paired t-test over seeds at {CONFIDENCE:g} "
            f"confidence, {metric}; every checkpoint after the initial labels counts, in all "
            f"1 per data set and backbone). Last row: mean of the column, lower is better. After "
            f"Ash et al. (2020). {_few(curves)}".strip(),
            penalty_frame(curves, metric),
        )
    saved = labels_saved(curves, metric)
    if len(saved):
        table = named(summarise_saved(saved))
        yield ResultTable(
            f"labels-saved-{metric}",
            "Labels saved at equal accuracy",
            "Labels needed fewer than random selection to reach what it reaches: level 1 is its "
            f"best {metric}, level q that share of the way from its first {metric} to it, for "
            "each seed. Medians over seeds; -inf: more than half the runs never reach it.",
            table[[*SETTING, "variant", "level", *table.columns[7:-1]]],
        )


def _variants(curves: pd.DataFrame) -> pd.DataFrame:
    return named(curves)[["variant"]].drop_duplicates()


def _few(curves: pd.DataFrame) -> str:
    remark = note(int(curves.groupby(SETTING)["seed"].nunique().min()))
    return f"{remark[0].upper()}{remark[1:]}." if remark else ""


def final_metrics(curves: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard error of every metric at the last number of labels."""
    table = named(curves)
    last = table[table["n_labelled"] == table.groupby("run")["n_labelled"].transform("max")]
    keys = [*SETTING, "variant", "n_labelled"]
    groups = last.groupby(keys)
    frame = pd.DataFrame(index=groups.size().index)
    for metric in METRICS:
        frame[metric], frame[f"{metric}_error"] = groups[metric].mean(), groups[metric].sem()
    frame["seeds"] = groups["seed"].nunique()
    frame["note"] = frame["seeds"].map(note)
    order = [True] * len(SETTING) + [not higher_is_better("accuracy")]
    return (
        frame.reset_index()
        .sort_values([*SETTING, "accuracy"], ascending=order)
        .reset_index(drop=True)
    )


def penalty_frame(curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the penalty matrix, the rarely beaten first, with the means of the columns below."""
    matrix = penalty_matrix(curves, metric)
    order = matrix.mean().sort_values(kind="stable").index
    matrix = matrix.loc[order, order]
    matrix.loc["mean"] = matrix.mean()
    return matrix.reset_index(names="variant")
