"""How many labels does a strategy save at equal accuracy?"""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from alupdate.analysis.question import AnalysisInput, ResultFigure, ResultTable
from alupdate.analysis.seeds import note
from alupdate.analysis.styles import VariantStyles
from alupdate.analysis.theme import SCREEN, Theme, grid, legend_below
from alupdate.analysis.variants import (
    METHOD,
    RANDOM,
    SETTING,
    VARIANT,
    matching,
    named,
    refuse_doubles,
    whole,
)
from alupdate.utils.metrics import PRIMARY, higher_is_better

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Shares of the reference's way from its first to its best accuracy."""


def labels_needed(
    labels: NDArray[np.float64], heights: NDArray[np.float64], target: float
) -> float:
    """Return at how many labels a curve reaches ``target``; infinity if it never does.

    The running maximum of the heights (N,) at labels (N,) is interpolated linearly; a curve that
    starts above the target needs its initial labels.

    Example:
        >>> labels_needed(np.array([10.0, 20.0, 30.0]), np.array([0.2, 0.6, 0.5]), 0.4)
        15.0
    """
    running = np.maximum.accumulate(heights)
    if running[-1] < target:
        return np.inf
    after = int(np.argmax(running >= target))
    if after == 0:
        return float(labels[0])
    below, above = running[after - 1], running[after]
    share = (target - below) / (above - below)
    return float(labels[after - 1] + share * (labels[after] - labels[after - 1]))


def labels_saved(
    curves: pd.DataFrame, metric: str = PRIMARY, reference: Mapping[str, str] = RANDOM
) -> pd.DataFrame:
    """Return one row per run and level: labels that it needs fewer than the reference.

    For each seed the reference's curve sets the targets: with a its first and m its best value,
    the level q is a + q (m - a). Of both curves the running maximum is interpolated linearly
    (``labels_needed``), and ``saved`` is the reference's need minus the run's: negative where
    the run needs more, minus infinity where it never reaches the target. Settings without exactly
    one reference variant, seeds without its run, and runs that lack the metric at one of their
    cycles are left out.

    Returns:
        VARIANT, seed, level, target, reference_labels, labels, saved.

    Raises:
        InputError: two runs differ only in settings that the table does not show.
    """
    refuse_doubles(curves)
    sign = 1.0 if higher_is_better(metric) else -1.0
    rows = []
    ordered = whole(curves, metric).sort_values("n_labelled")
    for setting, here in ordered.groupby(SETTING):
        found = matching(here, reference)
        if len(found) != 1:
            continue
        base = tuple(found.iloc[0][METHOD])
        for seed, group in here.groupby("seed"):
            runs = {
                key: (run["n_labelled"].to_numpy(float), sign * run[metric].to_numpy(float))
                for key, run in group.groupby(METHOD)
            }
            if base in runs:
                rows += [[*setting, *row[:4], seed, *row[4:]] for row in _rows(runs, base, sign)]
    columns = [*VARIANT, "seed", "level", "target", "reference_labels", "labels", "saved"]
    return pd.DataFrame(rows, columns=columns)


def _rows(
    runs: dict[tuple[object, ...], tuple[NDArray[np.float64], NDArray[np.float64]]],
    base: tuple[object, ...],
    sign: float,
) -> list[list[object]]:
    first, best = runs[base][1][0], runs[base][1].max()
    rows: list[list[object]] = []
    for level in SHARES:
        target = min(first + level * (best - first), best)
        needed = labels_needed(*runs[base], target)
        for key, run in runs.items():
            if key != base:
                labels = labels_needed(*run, target)
                rows.append([*key, level, sign * target, needed, labels, needed - labels])
    return rows


def summarise_saved(saved: pd.DataFrame) -> pd.DataFrame:
    """Return one row per variant and level, over seeds.

    ``saved`` and ``share`` (of the reference's need) are medians in which a run that never
    reaches the target counts as worse than all others: they are minus infinity where more than
    half the runs do not. ``reached`` is the number of runs that do.
    """
    table = saved.assign(share=saved["saved"] / saved["reference_labels"])
    rows = []
    for key, group in table.groupby([*VARIANT, "level"]):
        reached = int(np.isfinite(group["labels"]).sum())
        seeds = len(group)
        remark = note(seeds)
        if reached < seeds:
            missing = f"{seeds - reached} of {seeds} runs never reach it"
            remark = f"{missing}; {remark}" if remark else missing
        values = [_median(group[name].to_numpy()) for name in ("target", "saved", "share")]
        needs = group["reference_labels"].median()
        rows.append([*key, values[0], needs, values[1], values[2], reached, seeds, remark])
    columns = ["target", "reference_labels", "saved", "share", "reached", "seeds", "note"]
    return pd.DataFrame(rows, columns=[*VARIANT, "level", *columns])


def _median(values: NDArray[np.float64]) -> float:
    """Return the median, the lower middle one where the upper leaves no finite mean."""
    ordered = np.sort(values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return float((low + high) / 2) if np.isfinite(low) else float(low)


def draw_labels_saved(
    summary: pd.DataFrame, metric: str, styles: VariantStyles, theme: Theme = SCREEN
) -> Figure:
    """Draw the median of labels saved against the level reached; a cross: most runs never reach it.

    Args:
        summary: from ``summarise_saved``.
        metric: by which the levels are set, in words.
        styles: of the variants.
        theme: sizes and fonts.
    """
    settings = list(named(summary).groupby(SETTING))
    figure, panels = grid(len(settings), theme, columns=2, height=theme.panel * 1.2)
    for panel, ((dataset, backbone), group) in zip(panels, settings, strict=True):
        finite = group["saved"][np.isfinite(group["saved"])]
        low, high = min(finite, default=0.0), max(finite, default=0.0)
        bottom = min(low, 0.0) - 0.12 * ((high - low) or 1.0)
        for name, line in group.groupby("variant"):
            style = styles.style(line.iloc[0])
            reached = np.isfinite(line["saved"].to_numpy())
            levels, saved = line["level"].to_numpy(), line["saved"].to_numpy()
            panel.plot(levels, np.where(reached, saved, np.nan), label=name, **style.keywords())
            panel.plot(levels[~reached], np.full((~reached).sum(), bottom), "x", color=style.colour)
        panel.axhline(0, color="black", lw=0.8)
        panel.set_xticks(sorted(group["level"].unique()))
        panel.set(xlabel=f"level: share of random's gain in {metric}", ylabel="labels saved")
        panel.set_title(f"{dataset}, {backbone} (medians of {group['seeds'].max()} seeds)")
    legend_below(figure, panels, theme)
    return figure


def labels_saved_tables(given: AnalysisInput) -> Iterator[ResultTable]:
    """Yield medians over seeds where a setting has random selection."""
    saved = pd.DataFrame() if given.curves is None else labels_saved(given.curves, given.metric)
    if len(saved):
        table = named(summarise_saved(saved))
        yield ResultTable(
            f"labels-saved-{given.metric}",
            f"Labels saved at equal {given.label}",
            "Labels needed fewer than random selection to reach what it reaches: level 1 is its "
            f"best {given.label}, level q that share of the way from its first {given.label} to "
            "it, for each seed. Medians over seeds; never: more than half the runs do not reach "
            "it.",
            table[[*SETTING, "variant", "level", *table.columns[7:-1]]],
        )


def labels_saved_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield medians over seeds where a setting has random selection."""
    saved = pd.DataFrame() if given.curves is None else labels_saved(given.curves, given.metric)
    if len(saved):
        summary = summarise_saved(saved)
        yield ResultFigure(
            f"{given.prefix}-labels-saved",
            f"Labels saved at equal {given.label}",
            "Labels needed fewer than random selection to reach shares of its gain in "
            f"{given.label}; medians over seeds. Crosses at the bottom: more than half the runs "
            "never reach it.",
            summary,
            partial(draw_labels_saved, given.drawn(summary), given.label, given.variants, theme),
        )
