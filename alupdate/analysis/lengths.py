"""Runs that a stopping rule has ended beside runs that went on: up to where can they be compared?

A mean over seeds at a number of labels that some of them never had would be a mean over those that
went on, and areas over different ranges are not comparable. So where a rule has ended a run, all
curves of its setting are cut to the labels that the shortest such run has.
"""

from collections.abc import Iterator

import pandas as pd

from alupdate.analysis.variants import SETTING, finished
from alupdate.results.reader import MissingRun, Results


def ended_runs(stopping: pd.DataFrame | None) -> pd.DataFrame:
    """Return one row per run that a rule has ended: SETTING, run, rule and n_labelled at its end.

    Args:
        stopping: rows in the form of stopping.csv; None where there are none.
    """
    columns = [*SETTING, "run", "rule", "n_labelled"]
    if stopping is None:
        return pd.DataFrame(columns=columns)
    ended = stopping[stopping["ended"].astype(bool)]
    rules = ended.groupby([*SETTING, "run", "n_labelled"])["rule"].agg(" and ".join)
    return rules.reset_index()[columns]


def to_common_length(curves: pd.DataFrame, stopping: pd.DataFrame | None) -> pd.DataFrame:
    """Return the rows of curves up to the end of the shortest run of the setting that was ended.

    Settings without such a run stay as they are.

    Args:
        curves: rows in the form of curve.csv.
        stopping: rows in the form of stopping.csv, of the same runs.
    """
    ended = ended_runs(stopping)
    if not len(ended):
        return curves
    ends = ended.groupby(SETTING)["n_labelled"].min().rename("end")
    limits = curves[SETTING].join(ends, on=SETTING)["end"]
    return curves[limits.isna() | (curves["n_labelled"] <= limits)]


def left_out_of_tables(results: Results) -> list[MissingRun]:
    """Return the runs that were ended, and those that tables leave out as others go on."""
    return [*_ended(results), *_shorter(results)]


def length_notes(results: Results) -> list[str]:
    """Return a line for each setting that is cut, and for each run that tables leave out."""
    lines = []
    for setting, runs in ended_runs(results.stopping).groupby(SETTING):
        shortest = runs.sort_values("n_labelled", kind="stable").iloc[0]
        lines.append(
            f"{', '.join(map(str, setting))}: curves are cut to {shortest['n_labelled']} labels, "
            f"where {shortest['rule']} ended run {shortest['run']}"
            + (f", the first of {len(runs)} runs that rules ended" if len(runs) > 1 else "")
        )
    return lines + [f"left out {run.run} ({run.state}): {run.reason}" for run in _shorter(results)]


def _ended(results: Results) -> Iterator[MissingRun]:
    for row in ended_runs(results.stopping).itertuples():
        reason = f"ended by {row.rule} after {row.n_labelled} labels; its setting is cut to the "
        yield MissingRun(str(row.run), "stopped", f"{reason}shortest such run")


def _shorter(results: Results) -> Iterator[MissingRun]:
    if results.curves is None:
        return
    curves = to_common_length(results.curves, results.stopping)
    left_out = curves[~curves["run"].isin(finished(curves)["run"])]
    for run, last in left_out.groupby("run")["cycle"].max().items():
        reason = f"ends at cycle {last:g}, before others: in figures only"
        yield MissingRun(str(run), "shorter", reason)
