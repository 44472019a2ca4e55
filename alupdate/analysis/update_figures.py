"""Figures of updates against retraining."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alupdate.analysis.theme import SCREEN, UPDATES, Look, ResultFigure, grid, legend_below
from alupdate.analysis.updates import (
    REFERENCES,
    best_gaps,
    gamma_means,
    in_series,
    size_means,
    speedups,
)

LEVELS = ("base", "retrain")
ORDER = (*LEVELS, "first_order", "monte_carlo", "second_order", "map")
LINES = {"base": ":", "retrain": "--"}
LEAST = -0.5
"""Gaps closed below this are arrows at the edge."""
SPACING = 4
"""Ticks of a logarithmic axis in a narrow panel are at least this factor apart."""
SIZES = {"n_initial": "initial labels", "n_new": "new labels"}


def accuracy_by_update(updates: pd.DataFrame, along: str = "n_new", look: Look = SCREEN) -> Figure:
    """Draw accuracy against the number of new (or initial) labels.

    Each update is shown at the gamma that is best on average over the table: the comparison that
    favours the updates that need tuning. A line that leaves its panel is below the base model.

    Args:
        updates: rows in the form of updates.csv, of one data set and backbone.
        along: the horizontal axis: n_new | n_initial; one panel for each value of the other.
        look: sizes and fonts.
    """
    return draw_sizes(size_means(updates), along, look)


def draw_sizes(means: pd.DataFrame, along: str, look: Look = SCREEN) -> Figure:
    """Draw the means of ``size_means`` as ``accuracy_by_update`` says."""
    other = "n_initial" if along == "n_new" else "n_new"
    sizes = sorted(means[other].unique())
    figure, panels = grid(len(sizes), look, columns=5 if look.name == "screen" else 3)
    for panel, size in zip(panels, sizes, strict=True):
        here = means[means[other] == size]
        for _, line in _in_order(here):
            _line(panel, line, along)
        panel.set_title(f"{size} {SIZES[other]}", size="medium")
        panel.set_xscale("log")
        _plain_ticks(panel, sorted(means[along].unique()))
        _keep_in_view(panel, here, along)
        panel.set_xlabel(SIZES[along])
    figure.supylabel("test accuracy", size="medium")
    figure.suptitle(f"{means['dataset'].iloc[0]}, {means['backbone'].iloc[0]}", size="medium")
    legend_below(figure, panels, look)
    return figure


def robustness(means: pd.DataFrame, look: Look = SCREEN) -> Figure:
    """Draw mean accuracy against gamma, one panel per data set, base and retrain as horizontals.

    Args:
        means: from ``alupdate.analysis.updates.gamma_means``.
        look: sizes and fonts.
    """
    settings = list(means.groupby(["dataset", "backbone"]))
    figure, panels = grid(len(settings), look, columns=4 if look.name == "screen" else 2)
    for panel, ((dataset, backbone), here) in zip(panels, settings, strict=True):
        for _, line in _in_order(here):
            method = line["method"].iloc[0]
            if method in LEVELS:
                level, style = line["mean"].iloc[0], LINES[method]
                panel.axhline(level, color=UPDATES[method][0], linestyle=style, label=method)
            else:
                _line(panel, line.sort_values("gamma"), "gamma")
        panel.set(title=f"{dataset}\n{backbone}", xscale="log", xlabel="step size gamma")
        panel.minorticks_off()
    figure.supylabel("mean test accuracy", size="medium")
    legend_below(figure, panels, look)
    return figure


def speedup_bars(tables: dict[str, pd.DataFrame], look: Look = SCREEN) -> Figure:
    """Draw how many times faster each update is than retraining, and than L-BFGS.

    Bars are medians over seeds and data sets, on a logarithmic axis, from 1 (as fast) upwards or
    downwards: one row of panels for each kind of size of which there are several.

    Args:
        tables: n_initial and n_new, each to the table of
            ``alupdate.analysis.updates.speedups``.
        look: sizes and fonts.
    """
    columns = {"speedup": "against retraining as configured", "lbfgs_speedup": "against L-BFGS"}
    shown = [c for c in columns if tables["n_new"][c].notna().any()]
    several = [size for size, table in tables.items() if table[size].nunique() > 1] or ["n_new"]
    figure, panels = grid(len(several) * len(shown), look, columns=len(shown))
    values = pd.concat([tables[size][shown] for size in several]).to_numpy()
    for place, panel in enumerate(panels):
        size, column = several[place // len(shown)], shown[place % len(shown)]
        _bars(panel, tables[size], size, column)
        panel.set(title=columns[column], xlabel=SIZES[size])
        if place % len(shown) == 0:
            panel.set_ylabel("times faster (median)")
        panel.set_ylim(min(1.0, np.nanmin(values)) / 1.3, max(1.0, np.nanmax(values)) * 1.3)
    legend_below(figure, panels, look)
    return figure


def _bars(panel: Axes, table: pd.DataFrame, size: str, column: str) -> None:
    sizes = sorted(table[size].unique())
    series = _in_order(table)
    width = 0.8 / len(series)
    for offset, (name, rows) in enumerate(series):
        places = np.arange(len(sizes)) + (offset - (len(series) - 1) / 2) * width
        heights = rows.set_index(size)[column].reindex(sizes)
        colour = UPDATES[rows["method"].iloc[0]][0]
        hatch = ("", "///", "...", "xxx")[offset % 4]
        panel.bar(
            places, heights - 1, width, bottom=1, color=colour, label=name, hatch=hatch,
            ec="white", lw=0.3,
        )  # fmt: skip
    panel.axhline(1, color="black", lw=0.8)
    panel.set_yscale("log")
    panel.set_xticks(range(len(sizes)), [str(value) for value in sizes])
    panel.grid(axis="x", visible=False)


def gap_dots(gaps: pd.DataFrame, look: Look = SCREEN) -> Figure:
    """Draw the share of the gap to retraining that each update closes, by data set.

    Args:
        gaps: from ``alupdate.analysis.updates.best_gaps``: one row per
            data set and ``name``. Values below -0.5 are shown as arrows at the edge.
        look: sizes and fonts.
    """
    settings = list(gaps.groupby(["dataset", "backbone"]))
    names = list(gaps.groupby("name")["gap"].max().sort_values().index)
    columns = 4 if look.name == "screen" else 2
    figure, panels = grid(len(settings), look, columns, height=look.line * (1.6 * len(names) + 4))
    for panel, ((dataset, backbone), here) in zip(panels, settings, strict=True):
        for _, row in here.iterrows():
            _gap_dot(panel, names.index(row["name"]), row)
        shown = panel in panels[::columns]
        panel.set_yticks(range(len(names)), names if shown else [""] * len(names))
        panel.set_ylim(-0.6, len(names) - 0.3)
        panel.axvline(0, color=UPDATES["base"][0], ls=":", lw=1.0)
        panel.axvline(1, color="black", ls="--", lw=1.0)
        panel.set_xlim(LEAST, max(1.15, here["high"].max() + 0.05))
        panel.set_title(f"{dataset}\n{backbone}")
        panel.set_xlabel("gap closed")
        panel.grid(axis="y", visible=False)
    return figure


def _gap_dot(panel: Axes, place: int, row: "pd.Series[Any]") -> None:
    """Draw one value with its interval and gamma, or an arrow where it is out of sight."""
    colour, marker = UPDATES[row["method"]]
    text = "" if np.isnan(row["gamma"]) else f"gamma {row['gamma']:g}"
    if row["gap"] < LEAST:
        panel.plot(LEAST, place, marker="<", color=colour, clip_on=False)
        panel.text(LEAST + 0.08, place, f"{row['gap']:.1f}, {text}", va="center", size="x-small")
        return
    errors = (
        None if np.isnan(row["low"]) else [[row["gap"] - row["low"]], [row["high"] - row["gap"]]]
    )
    panel.errorbar(row["gap"], place, xerr=errors, fmt=marker, color=colour)
    panel.annotate(
        text, (row["low"] if errors else row["gap"], place), xytext=(-7, 0),
        textcoords="offset points", ha="right", va="center", size="x-small",
    )  # fmt: skip


def _in_order(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return name and rows of each series, references first; L-BFGS is no line of its own."""
    groups = [(str(name), rows) for name, rows in table.groupby("series", sort=False)]
    known = [(name, rows) for name, rows in groups if rows["method"].iloc[0] in ORDER]
    return sorted(known, key=lambda pair: ORDER.index(pair[1]["method"].iloc[0]))


def _keep_in_view(panel: Axes, rows: pd.DataFrame, along: str) -> None:
    """Let the axis span base model and retraining; what is far below them leaves the panel."""
    levels = rows.loc[rows["method"].isin(LEVELS), "mean"]
    room = max(levels.max() - levels.min(), 0.01)
    panel.set_ylim(levels.min() - 0.5 * room, levels.max() + 0.25 * room)


def _plain_ticks(panel: Axes, sizes: list[int]) -> None:
    chosen = sizes[:1]
    for size in sizes[1:]:
        if size >= SPACING * chosen[-1]:
            chosen.append(size)
    panel.set_xticks(chosen, [str(size) for size in chosen])
    panel.minorticks_off()


def _line(panel: Axes, line: pd.DataFrame, column: str) -> None:
    """Draw means with a band of one standard error."""
    rows = line.sort_values(column)
    x, mean = rows[column].to_numpy(), rows["mean"].to_numpy()
    error = rows["standard_error"].fillna(0.0).to_numpy()
    method, name = rows["method"].iloc[0], rows["series"].iloc[0]
    colour, marker = UPDATES[method]
    automatic = rows["step_size"].iloc[0] == "auto"
    panel.plot(
        x, mean, LINES.get(method, "-"), color=colour, marker=marker,
        markerfacecolor="white" if automatic else colour, label=name,
    )  # fmt: skip
    panel.fill_between(x, mean - error, mean + error, color=colour, alpha=0.2, lw=0)


MIN_GAMMAS = 5
"""Fewer step sizes do not make a robustness figure."""
BEST = "each update at the step size gamma that is best on average"


def update_figures(updates: pd.DataFrame, prefix: str, look: Look) -> Iterator[ResultFigure]:
    """Yield accuracy by size for each setting, robustness, gap closed and speed-ups."""
    for (dataset, backbone), group in updates.groupby(["dataset", "backbone"]):
        for along, words in SIZES.items():
            if group[along].nunique() < 2:
                continue
            means = size_means(group)
            suffix = "" if along == "n_new" else "-initial"
            yield ResultFigure(
                f"{prefix}-{dataset}-{backbone}{suffix}",
                f"Accuracy by number of {words}, {dataset}, {backbone}",
                f"Mean test accuracy over seeds, {BEST}; bands are one standard error.",
                means,
                partial(draw_sizes, means, along, look),
            )
    if updates["method"].isin(REFERENCES).all():
        return
    table = in_series(updates)
    fixed = table[table["step_size"] == "fixed"]
    if len(fixed) and fixed.groupby("method")["gamma"].nunique().max() >= MIN_GAMMAS:
        by_gamma = gamma_means(updates)
        yield ResultFigure(
            f"{prefix}-gamma",
            "Accuracy against the step size",
            "Mean test accuracy over seeds and sizes against gamma; bands are one standard error.",
            by_gamma,
            partial(robustness, by_gamma, look),
        )
    gaps = best_gaps(updates)
    yield ResultFigure(
        f"{prefix}-gap",
        "Gap to retraining closed",
        f"Share of the gap to retraining that each update closes, {BEST} for the data set; lines "
        "are 95 % bootstrap intervals over seeds. Arrows: further to the left.",
        gaps,
        partial(gap_dots, gaps, look),
    )
    tables = {size: speedups(updates, size) for size in SIZES}
    yield ResultFigure(
        f"{prefix}-speedup",
        "Speed-up of each update",
        "Median ratio of the seconds of retraining to those of the update, over data sets and "
        "seeds.",
        pd.concat(tables.values(), ignore_index=True),
        partial(speedup_bars, tables, look),
    )
