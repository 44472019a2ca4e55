"""When would each stopping rule have ended a run, and what would that have cost and saved?"""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alupdate.analysis.curves import mean_curves
from alupdate.analysis.lengths import ended_runs
from alupdate.analysis.question import AnalysisInput, ResultFigure, ResultTable
from alupdate.analysis.seeds import note
from alupdate.analysis.styles import Marker, VariantStyles
from alupdate.analysis.theme import SCREEN, Theme, grid, legend_below
from alupdate.analysis.variants import SETTING, VARIANT, named, refuse_doubles
from alupdate.utils.metrics import ACCURACY, find_metric

LOST = f"{ACCURACY}_lost"
RULE_MARKERS: Mapping[str, Marker] = {
    "accuracy_plateau": "v",
    "kappa": "o",
    "classification_change": "s",
    "overall_uncertainty": "D",
}
"""How figures mark where a rule stops."""


def stops_per_run(stopping: pd.DataFrame) -> pd.DataFrame:
    """Return one row per whole run and rule: where it would have stopped, if anywhere.

    A run in which a rule never says stop counts at its end: with no label saved, and nothing lost.
    Runs that a rule did end are left out: what would have come later is not known.

    Args:
        stopping: rows in the form of stopping.csv.

    Returns:
        VARIANT, seed, rule, stopped, labels, LOST (accuracy at the end of the run less that at the
        stop) and saved (share of the run's labels).

    Raises:
        InputError: two runs differ only in settings that the table does not show.
    """
    refuse_doubles(stopping)
    whole = stopping[~stopping["run"].isin(ended_runs(stopping)["run"])]
    rows = []
    for key, group in whole.groupby([*VARIANT, "seed", "rule"], sort=False):
        run = group.sort_values("cycle")
        stops, end = run[run["stop"].astype(bool)], run.iloc[-1]
        stop = stops.iloc[0] if len(stops) else end
        saved = 1 - stop["n_labelled"] / end["n_labelled"]
        lost = end[ACCURACY] - stop[ACCURACY]
        rows.append([*key, len(stops) > 0, stop["n_labelled"], lost, saved])
    return pd.DataFrame(
        rows, columns=[*VARIANT, "seed", "rule", "stopped", "labels", LOST, "saved"]
    )


def summarise_stops(stops: pd.DataFrame) -> pd.DataFrame:
    """Return one row per variant and rule, over seeds.

    Args:
        stops: from ``stops_per_run``.

    Returns:
        SETTING, variant, rule, share of the seeds in which it stops, median labels, mean and
        standard error of accuracy lost and of the share of labels saved, seeds, note; and the
        columns of the variant.
    """
    groups = stops.groupby([*VARIANT, "rule"], sort=False)
    frame = pd.DataFrame(
        {
            "stopped": groups["stopped"].mean(),
            "labels": groups["labels"].median(),
            LOST: groups[LOST].mean(),
            f"{LOST}_error": groups[LOST].sem(),
            "saved": groups["saved"].mean(),
            "saved_error": groups["saved"].sem(),
            "seeds": groups.size(),
        }
    ).reset_index()
    frame["note"] = frame["seeds"].map(note)
    return named(frame)


def summarise_ended(stopping: pd.DataFrame) -> pd.DataFrame:
    """Return one row per variant and rule that ended runs: labels and accuracy at the end."""
    ended = stopping[stopping["ended"].astype(bool)]
    groups = named(ended).groupby([*SETTING, "variant", "rule"])
    frame = pd.DataFrame(
        {
            "labels": groups["n_labelled"].median(),
            ACCURACY: groups[ACCURACY].mean(),
            f"{ACCURACY}_error": groups[ACCURACY].sem(),
            "runs": groups["run"].nunique(),
        }
    )
    return frame.reset_index()


def draw_stops(
    means: pd.DataFrame, summary: pd.DataFrame, styles: VariantStyles, theme: Theme = SCREEN
) -> Figure:
    """Draw mean learning curves with a mark where each rule stops, by its median over seeds.

    A rule that stops in less than half of the seeds has no mark.

    Args:
        means: from ``mean_curves``.
        summary: from ``summarise_stops``.
        styles: of the variants.
        theme: sizes and fonts.
    """
    settings = list(means.groupby(SETTING))
    figure, panels = grid(len(settings), theme, columns=2, height=theme.panel * 1.2)
    for panel, (setting, group) in zip(panels, settings, strict=True):
        here = summary[(summary[SETTING] == list(setting)).all(axis=1)]
        for name, line in group.groupby("variant"):
            style = styles.style(line.iloc[0])
            panel.plot(
                line["n_labelled"], line["mean"], color=style.colour, ls=style.line, label=name
            )
            _mark_stops(panel, line, here[here["variant"] == name], style.colour)
        for rule in dict.fromkeys(summary["rule"]):
            panel.plot([], [], RULE_MARKERS.get(rule, "X"), color="#444444", label=rule)
        panel.set(xlabel="labels acquired", ylabel=f"test {find_metric(ACCURACY).label}")
        panel.set_title(f"{', '.join(map(str, setting))} (means of {group['seeds'].max()} seeds)")
    legend_below(figure, panels, theme)
    return figure


def _mark_stops(panel: Axes, line: pd.DataFrame, stops: pd.DataFrame, colour: str) -> None:
    often = stops[stops["stopped"] >= 0.5]
    heights = np.interp(often["labels"], line["n_labelled"], line["mean"])
    for rule, labels, height in zip(often["rule"], often["labels"], heights, strict=True):
        marker = RULE_MARKERS.get(rule, "X")
        panel.plot(
            labels, height, marker=marker, color=colour, markeredgecolor="black", ms=8, zorder=3
        )


def stopping_tables(given: AnalysisInput) -> Iterator[ResultTable]:
    """Yield where rules would have stopped, and where they did."""
    if given.stopping is None:
        return
    stops = stops_per_run(given.stopping)
    if len(stops):
        table = summarise_stops(stops)
        columns = ["stopped", "labels", LOST, f"{LOST}_error", "saved", "saved_error", "seeds"]
        yield ResultTable(
            "stopping-rules",
            "Where stopping rules would have ended the runs",
            "stopped: share of the seeds in which the rule stops before or at the end of the run; "
            f"labels: median; {LOST.replace('_', ' ')}: that at the end of the run less that at "
            "the stop; saved: share of the run's labels that were not needed. Means ± standard "
            "errors over seeds; a seed in which the rule never stops counts at the end of its run.",
            table[[*SETTING, "variant", "rule", *columns, "note"]],
        )
    ended = summarise_ended(given.stopping)
    if len(ended):
        yield ResultTable(
            "stopping-ended",
            "Where stopping rules ended runs",
            f"Median labels and mean test {find_metric(ACCURACY).label} ± standard error at the "
            "end of the runs that each rule ended.",
            ended,
        )


def stopping_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield learning curves with a mark where each rule would have stopped."""
    if given.stopping is None:
        return
    stops = stops_per_run(given.stopping)
    if not len(stops):
        return
    summary = summarise_stops(stops)
    whole = given.stopping[~given.stopping["run"].isin(ended_runs(given.stopping)["run"])]
    means = mean_curves(whole.drop_duplicates(["run", "cycle"]), ACCURACY)
    drawn = given.drawn(means), given.drawn(summary)
    yield ResultFigure(
        f"{given.name}-stops",
        "Where stopping rules would have ended the runs",
        f"Mean test {find_metric(ACCURACY).label} over seeds; marks are medians over seeds of the "
        "labels at which a rule stops. A rule that stops in less than half of the seeds has none.",
        summary,
        partial(draw_stops, *drawn, given.variants, theme),
    )
