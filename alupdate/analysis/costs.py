"""How much does a metric gain for what its labels cost? Curves and AULC over cost."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from alupdate.analysis.aulc import aulc_frame, draw_aulc, mean_height, summarise_aulc
from alupdate.analysis.curves import difference_curves, draw_curves, mean_curves
from alupdate.analysis.question import (
    INTERVAL_LINES,
    TESTS,
    AnalysisInput,
    ResultFigure,
    ResultTable,
)
from alupdate.analysis.theme import Theme
from alupdate.analysis.variants import RANDOM, SETTING, VARIANT, whole
from alupdate.utils.errors import InputError
from alupdate.utils.metrics import higher_is_better

POINTS = 41
"""Of a curve over cost: seeds pay different sums, so that curves are read off at common ones."""


@dataclass(frozen=True, eq=False)
class CostRange:
    """The runs of a setting over the costs that all of them cover.

    Attributes:
        setting: data set and backbone.
        unit: of the costs.
        low, high: the largest first, and the smallest last sum that a run has paid.
        runs: rows in the form of curve.csv, with a column ``cost``, in the order of cycles.
    """

    setting: tuple[str, str]
    unit: str
    low: float
    high: float
    runs: pd.DataFrame


def cost_ranges(given: AnalysisInput) -> list[CostRange]:
    """Return the settings whose runs have costs, in one unit, and cover common ones.

    Raises:
        InputError: no setting has; the message says why.
    """
    if given.curves is None or given.costs is None:
        raise InputError(
            f"{given.name}: no run has costs; run with dataset.cost or dataset.cost_column (a file "
            "of gathered runs holds curves only)"
        )
    paid = given.costs[["run", "cycle", "cost", "unit"]]
    known = whole(given.curves, given.metric).merge(paid, on=["run", "cycle"])
    found, reasons = [], []
    for (dataset, backbone), runs in known.sort_values("cycle").groupby(SETTING):
        units = sorted(runs["unit"].unique())
        sums = runs.groupby("run")["cost"].agg(["first", "last"])
        low, high = float(sums["first"].max()), float(sums["last"].min())
        name = f"{dataset}, {backbone}"
        if len(units) > 1:
            reasons.append(f"{name}: costs are in {' and '.join(units)}")
        elif not low < high:
            reasons.append(f"{name}: no cost is covered by all runs (from {low:g} to {high:g})")
        else:
            found.append(CostRange((str(dataset), str(backbone)), units[0], low, high, runs))
    if not found:
        why = reasons[0] if reasons else "no run that has costs is complete"
        raise InputError(f"{given.name}: no curves over cost; {why}")
    return found


def aulc_over_cost(over: CostRange, metric: str) -> pd.DataFrame:
    """Return one row per run: its variant, its seed and ``area``, its mean height over the range.

    The trapezoidal rule over the sums that the run has paid, cut to the range; heights at its ends
    are interpolated linearly.
    """
    rows = []
    for key, run in over.runs.groupby([*VARIANT, "seed"]):
        cost, heights = run["cost"].to_numpy(float), run[metric].to_numpy(float)
        inside = cost[(cost > over.low) & (cost < over.high)]
        places = np.concatenate([[over.low], inside, [over.high]])
        rows.append([*key, mean_height(places, np.interp(places, cost, heights))])
    return pd.DataFrame(rows, columns=[*VARIANT, "seed", "area"])


def curves_over_cost(over: CostRange, metric: str) -> pd.DataFrame:
    """Return the curves at common sums, which stand in the column ``n_labelled``."""
    places: NDArray[np.float64] = np.linspace(over.low, over.high, POINTS)
    parts = [
        pd.DataFrame({
            **dict(zip([*VARIANT, "seed"], key, strict=True)),
            "n_labelled": places,
            metric: np.interp(places, run["cost"].to_numpy(float), run[metric].to_numpy(float)),
        })
        for key, run in over.runs.groupby([*VARIANT, "seed"])
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def cost_tables(given: AnalysisInput) -> Iterator[ResultTable]:
    """Yield mean AULCs over cost where runs have costs."""
    if given.costs is None:
        return
    try:
        ranges = cost_ranges(given)
    except InputError:  # said where curves over cost are asked for
        return
    areas = pd.concat([aulc_over_cost(over, given.metric) for over in ranges])
    frame = aulc_frame(areas, RANDOM, higher_is_better(given.metric))
    about = pd.DataFrame(
        [[*over.setting, over.low, over.high, over.unit] for over in ranges],
        columns=[*SETTING, "cost_from", "cost_to", "unit"],
    )
    frame = frame.merge(about, on=SETTING)
    last = ["seeds", "note"]
    yield ResultTable(
        f"areas-{given.metric}-cost",
        f"AULC of {given.label} over cost",
        f"Column area: mean {given.label} over the costs that all runs of a data set cover, by the "
        "trapezoidal rule; labels are paid by the unit, the initial ones included. Mean over seeds "
        f"± standard error [95 % interval]. minus_random pairs by seed. {TESTS}.",
        frame[[*frame.columns.drop(last), *last]],
    )


def cost_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield learning curves, differences to random selection and AULCs over cost.

    Raises:
        InputError: no runs have costs that can be compared.
    """
    ranges = cost_ranges(given)
    for over in ranges:
        yield from _curve_figures(given, over, theme)
    areas = pd.concat([aulc_over_cost(over, given.metric) for over in ranges])
    summary = summarise_aulc(areas, higher_is_better(given.metric))
    if len(summary) > 1:
        yield ResultFigure(
            f"{given.prefix}-areas-cost",
            f"AULC of {given.label} over cost",
            f"Mean {given.label} over the costs that all runs of a data set cover; "
            f"{INTERVAL_LINES}. The dotted line is random selection.",
            summary,
            partial(
                draw_aulc, given.drawn(summary), f"{given.label} over cost", given.variants, theme
            ),
        )


def _curve_figures(given: AnalysisInput, over: CostRange, theme: Theme) -> Iterator[ResultFigure]:
    dataset, backbone = over.setting
    curves = curves_over_cost(over, given.metric)
    means, gaps = mean_curves(curves, given.metric), difference_curves(curves, given.metric)
    words, ending = given.label, f"{dataset}-{backbone}{given.ending}-cost"
    bands = "over seeds, at costs that all runs cover; bands are one standard error."
    yield ResultFigure(
        f"curves-{ending}",
        f"Learning curves over cost, {dataset}, {backbone}",
        f"Mean test {words} {bands}",
        means.rename(columns={"n_labelled": "cost"}),
        partial(_draw, given, means, f"test {words}", over.unit, theme),
    )
    if len(gaps):
        yield ResultFigure(
            f"difference-{ending}",
            f"Difference to random selection over cost, {dataset}, {backbone}",
            f"Mean difference in test {words} to random selection with the same seed, {bands}",
            gaps.rename(columns={"n_labelled": "cost"}),
            partial(_draw, given, gaps, f"test {words} minus random", over.unit, theme, zero=True),
        )


def _draw(
    given: AnalysisInput,
    means: pd.DataFrame,
    label: str,
    unit: str,
    theme: Theme,
    zero: bool = False,
) -> Figure:
    figure = draw_curves(given.drawn(means), label, given.variants, theme, f"cost ({unit})")
    for panel in figure.axes if zero else ():
        panel.axhline(0, color="black", lw=0.8)
    return figure
