"""The chart of learning curves: everything that is known per cycle, against the labels bought."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from alupdate.plots.style import style_of
from alupdate.report.chart import BAND, SCORES, SEEDED, Chart, Metric, Selector, Series
from alupdate.statistics.variants import named

BOUGHT = (
    Metric("classes", "classes among the labels bought"),
    Metric("effective_classes", "effective classes bought, exp(entropy of the labels)"),
)
COMPARED = (
    Metric("before_accuracy", "test accuracy before the new labels", "higher is better"),
    Metric("update_accuracy", "test accuracy by updating", "higher is better"),
    Metric("retrain_accuracy", "test accuracy by retraining", "higher is better"),
    Metric("agreement", "agreement of updated and retrained model", "higher is better"),
    Metric("speedup", "seconds of retraining over those of updating", "higher is better", True),
)
CYCLE = ["run", "cycle"]
ORACLES = " Dashed lines are oracles: upper baselines that see labels not yet bought."


def curve_chart(tables: Mapping[str, pd.DataFrame]) -> Chart:
    """Return the chart of active-learning runs.

    Args:
        tables: file name to rows; curve.csv, and what there is of timings.csv, queries.csv and
            comparison.csv.
    """
    table, metrics = _per_cycle(tables)
    settings = (table["dataset"] + ", " + table["backbone"]).astype("category")
    table = table.assign(
        panel=settings.cat.codes.astype(str), series=table["variant"], x=table["n_labelled"]
    )
    names = [metric.key for metric in metrics]
    reference = _reference(table, names)
    return Chart(
        key="curves",
        title="Learning curves",
        caption=BAND + (ORACLES if table["oracle"].any() else ""),
        x_label="labels bought",
        x_log=False,
        selectors=(Selector("Data set", tuple(map(str, settings.cat.categories))),),
        metrics=tuple(metrics),
        series=_series(table),
        frame=table[[*SEEDED, *names, "update"]],
        reference=reference,
        reference_name="" if reference is None else "random",
    )


def _per_cycle(tables: Mapping[str, pd.DataFrame]) -> tuple[pd.DataFrame, list[Metric]]:
    """Return the rows of curve.csv with a column for everything else known of a cycle."""
    table, metrics = named(tables["curve.csv"]), list(SCORES)
    if "queries.csv" in tables:
        table = table.merge(bought_classes(tables["queries.csv"]), on=CYCLE, how="left")
        metrics += BOUGHT
    if "comparison.csv" in tables:
        columns = [*CYCLE, *(metric.key for metric in COMPARED)]
        table = table.merge(tables["comparison.csv"][columns], on=CYCLE, how="left")
        metrics += COMPARED
    if "timings.csv" in tables:
        seconds = phase_seconds(tables["timings.csv"])
        table = table.merge(seconds, on=CYCLE, how="left")
        metrics += [
            Metric(name, name.replace("_", " "), "lower is better", True)
            for name in map(str, seconds.columns.drop(CYCLE))
        ]
    return table, metrics


def phase_seconds(timings: pd.DataFrame) -> pd.DataFrame:
    """Return one row per run and cycle, one column ``seconds_of_...`` per phase of a cycle."""
    wide = timings.pivot_table(index=CYCLE, columns="phase", values="seconds", aggfunc="sum")
    return wide.loc[:, wide.max() > 0].add_prefix("seconds_of_").reset_index()


def bought_classes(queries: pd.DataFrame) -> pd.DataFrame:
    """Return run, cycle, and how many classes the labels bought so far have.

    ``classes`` counts them; ``effective_classes`` is exp(entropy) of their frequencies: as many
    as ``classes`` where all are equally frequent, fewer where not.
    """
    counts = queries.groupby([*CYCLE, "label"]).size().unstack(fill_value=0)
    so_far = counts.groupby("run").cumsum().astype(float)
    shares = so_far.div(so_far.sum(axis=1), axis=0).to_numpy()
    logarithms = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
    found = pd.DataFrame(
        {
            "classes": (shares > 0).sum(axis=1).astype(float),
            "effective_classes": np.exp(-(shares * logarithms).sum(axis=1)),
        },
        index=so_far.index,
    )
    return found.reset_index()


def _reference(table: pd.DataFrame, names: list[str]) -> pd.DataFrame | None:
    """Return the rows of random selection, of the same update where there are several."""
    rows = table[(table["strategy"] == "random") & (table["batch"] == "top_b")]
    keys = ["panel", "x", "seed"]
    if rows.duplicated(keys).any():
        keys.append("update")
    if rows.empty or rows.duplicated(keys).any():
        return None
    return rows[[*keys, *names]]


def _series(table: pd.DataFrame) -> tuple[Series, ...]:
    firsts = table.drop_duplicates("series").sort_values("series").to_dict("records")
    return tuple(
        Series(row["series"], style_of({str(k): v for k, v in row.items()})) for row in firsts
    )
