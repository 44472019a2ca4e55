"""How does a metric grow with the number of labels? Learning curves, also against random."""

from collections.abc import Iterator, Mapping
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
)
from alupdate.utils.metrics import METRIC_NAMES, PRIMARY, find_metric, higher_is_better

MEAN_COLUMNS = [*VARIANT, "variant", "n_labelled", "mean", "standard_error", "seeds"]
N_MARKERS = 6
"""How many markers a line has, about."""
MANY_LINES = 10
"""More lines than these need a larger panel."""


def mean_curves(curves: pd.DataFrame, metric: str = PRIMARY) -> pd.DataFrame:
    """Return one row per variant and number of labels: mean, standard error (NaN for one seed).

    Args:
        curves: rows in the form of curve.csv.
        metric: a column of it.
    """
    return _means(named(curves), metric)


def difference_curves(
    curves: pd.DataFrame, metric: str = PRIMARY, reference: Mapping[str, str] = RANDOM
) -> pd.DataFrame:
    """Return the same of the differences to the reference with the same seed and labels.

    Settings without exactly one reference variant are left out, and the reference itself.
    """
    table = named(curves)
    parts = [pd.DataFrame(columns=MEAN_COLUMNS)]
    for _, group in table.groupby(SETTING):
        found = matching(group, reference)
        if len(found) != 1:
            continue
        keys = ["seed", "n_labelled"]
        is_base = (group[METHOD] == found.iloc[0][METHOD]).all(axis=1)
        if is_base.all():
            continue
        base = group[is_base].set_index(keys)[metric].rename("base")
        others = group[~is_base].join(base, on=keys, how="inner")
        parts.append(_means(others.assign(gap=others[metric] - others["base"]), "gap"))
    full = [part for part in parts if len(part)]
    return pd.concat(full, ignore_index=True) if full else parts[0]


def _means(table: pd.DataFrame, column: str) -> pd.DataFrame:
    groups = table.groupby([*VARIANT, "variant", "n_labelled"])[column]
    means = groups.agg(["mean", "sem", "count"]).reset_index()
    return means.rename(columns={"sem": "standard_error", "count": "seeds"})[MEAN_COLUMNS]


def learning_curve(curves: pd.DataFrame, metric: str = PRIMARY, theme: Theme = SCREEN) -> Figure:
    """Draw the mean of ``metric`` over seeds with a band of one standard error.

    Args:
        curves: rows in the form of curve.csv, from one data set. One line for every strategy,
            batch construction and update; oracle strategies are dashed and named so.
        metric: a column of curve.csv.
        theme: sizes and fonts.
    """
    styles = VariantStyles.of(curves)
    return draw_curves(
        mean_curves(curves, metric), f"test {find_metric(metric).label}", styles, theme
    )


def draw_curves(
    means: pd.DataFrame,
    label: str,
    styles: VariantStyles,
    theme: Theme = SCREEN,
    x_label: str = "labels acquired",
) -> Figure:
    """Draw lines with bands of one standard error, one panel for each data set and backbone.

    Args:
        means: from ``mean_curves`` or ``difference_curves``.
        label: of the vertical axis.
        styles: of the variants.
        theme: sizes and fonts.
        x_label: of the horizontal axis.
    """
    settings = list(means.groupby(SETTING))
    lines = means["variant"].nunique()
    height = theme.panel * (1.25 if lines <= MANY_LINES else 1.9)
    figure, panels = grid(len(settings), theme, 2, height)
    if lines > MANY_LINES:
        figure.set_figwidth(theme.width)
    for panel, ((dataset, backbone), group) in zip(panels, settings, strict=True):
        _lines(panel, group, styles)
        panel.set(xlabel=x_label, ylabel=label)
        panel.set_title(f"{dataset}, {backbone} ({_band(int(group['seeds'].max()))})")
    legend_below(figure, panels, theme)
    return figure


def _lines(panel: Axes, group: pd.DataFrame, styles: VariantStyles) -> None:
    for place, (name, line) in enumerate(group.groupby("variant", sort=True)):
        style = styles.style(line.iloc[0])
        x, y = line["n_labelled"].to_numpy(), line["mean"].to_numpy()
        error = line["standard_error"].fillna(0.0).to_numpy()
        step = max(1, len(x) // N_MARKERS)
        panel.plot(x, y, label=name, markevery=(place % step, step), **style.keywords())
        panel.fill_between(x, y - error, y + error, color=style.colour, alpha=0.15, lw=0)


def _band(seeds: int) -> str:
    return f"mean and standard error of {seeds} seeds" if seeds > 1 else "one seed"


def draw_differences(
    means: pd.DataFrame, metric: str, styles: VariantStyles, theme: Theme = SCREEN
) -> Figure:
    """Draw the difference to random selection, paired by seed; zero is random selection.

    Args:
        means: from ``difference_curves``.
        metric: in words.
        styles: of the variants.
        theme: sizes and fonts.
    """
    figure = draw_curves(means, f"test {metric} minus random", styles, theme)
    for panel in figure.axes:
        panel.axhline(0, color="black", lw=0.8)
    return figure


def final_metrics(curves: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard error of every metric at the last number of labels.

    NaN where one of the seeds lacks the metric; a metric that no run has is left out.
    """
    table = named(curves)
    last = table[table["n_labelled"] == table.groupby("run")["n_labelled"].transform("max")]
    keys = [*SETTING, "variant", "n_labelled"]
    groups = last.groupby(keys)
    frame = pd.DataFrame(index=groups.size().index)
    for metric in METRIC_NAMES:
        if last[metric].isna().all():
            continue
        known = groups[metric].count() == groups.size()
        frame[metric] = groups[metric].mean().where(known)
        frame[f"{metric}_error"] = groups[metric].sem().where(known)
    frame["seeds"] = groups["seed"].nunique()
    frame["note"] = frame["seeds"].map(note)
    order = [True] * len(SETTING) + [not higher_is_better(PRIMARY)]
    return (
        frame.reset_index().sort_values([*SETTING, PRIMARY], ascending=order).reset_index(drop=True)
    )


def curve_tables(given: AnalysisInput) -> Iterator[ResultTable]:
    """Yield all metrics at the ends of the curves."""
    if given.curves is None:
        return
    yield ResultTable(
        "final",
        "Test metrics at the last number of labels",
        "Mean over seeds ± standard error; empty where one of the seeds lacks the metric.",
        final_metrics(given.curves),
    )


def curve_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield learning curves and differences to random selection for each setting."""
    if given.curves is None:
        return
    metric, words = given.metric, given.label
    for (dataset, backbone), group in given.curves.groupby(SETTING):
        means = mean_curves(group, metric)
        yield ResultFigure(
            f"curves-{dataset}-{backbone}{given.ending}",
            f"Learning curves, {dataset}, {backbone}",
            f"Mean test {words} over seeds; bands are one standard error. Oracles, which see "
            "labels not acquired yet, are dashed; batches that are not picked at once have hollow "
            "markers.",
            means,
            partial(draw_curves, given.drawn(means), f"test {words}", given.variants, theme),
        )
        gaps = difference_curves(group, metric)
        if len(gaps):
            yield ResultFigure(
                f"difference-{dataset}-{backbone}{given.ending}",
                f"Difference to random selection, {dataset}, {backbone}",
                f"Mean difference in test {words} to random selection with the same seed; bands "
                "are one standard error.",
                gaps,
                partial(draw_differences, given.drawn(gaps), words, given.variants, theme),
            )
