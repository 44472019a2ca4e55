"""Learning curves: a metric, or its difference to random selection, against labels bought."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alupdate.analysis.areas import RANDOM, references
from alupdate.analysis.theme import SCREEN, Look, grid, legend_below, style_of
from alupdate.analysis.variants import METHOD, SETTING, VARIANT, named
from alupdate.utils.metrics import PRIMARY

COLUMNS = [*VARIANT, "variant", "n_labelled", "mean", "standard_error", "seeds"]


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
    parts = [pd.DataFrame(columns=COLUMNS)]
    for _, group in table.groupby(SETTING):
        found = references(group, reference)
        if len(found) != 1:
            continue
        keys = ["seed", "n_labelled"]
        is_base = (group[METHOD] == found.iloc[0][METHOD]).all(axis=1)
        base = group[is_base].set_index(keys)[metric].rename("base")
        if is_base.all():
            continue
        others = group[~is_base].join(base, on=keys, how="inner")
        parts.append(_means(others.assign(gap=others[metric] - others["base"]), "gap"))
    full = [part for part in parts if len(part)]
    return pd.concat(full, ignore_index=True) if full else parts[0]


def _means(table: pd.DataFrame, column: str) -> pd.DataFrame:
    groups = table.groupby([*VARIANT, "variant", "n_labelled"])[column]
    means = groups.agg(["mean", "sem", "count"]).reset_index()
    return means.rename(columns={"sem": "standard_error", "count": "seeds"})[COLUMNS]


MARKS = 6
"""How many markers a line has, about."""
MANY = 10
"""More lines than these need a larger panel."""


def learning_curve(curves: pd.DataFrame, metric: str = PRIMARY, look: Look = SCREEN) -> Figure:
    """Draw the mean of ``metric`` over seeds with a band of one standard error.

    Args:
        curves: rows in the form of curve.csv, from one data set. One line for every strategy,
            batch construction and update; oracle strategies are dashed and named so.
        metric: a column of curve.csv.
        look: sizes and fonts.
    """
    return draw_curves(mean_curves(curves, metric), f"test {metric}", look)


def draw_curves(means: pd.DataFrame, label: str, look: Look = SCREEN) -> Figure:
    """Draw lines with bands of one standard error, one panel for each data set and backbone.

    Args:
        means: from ``alupdate.analysis.curves``.
        label: of the vertical axis.
        look: sizes and fonts.
    """
    settings = list(means.groupby(["dataset", "backbone"]))
    lines = means["variant"].nunique()
    figure, panels = grid(len(settings), look, 2, look.panel * (1.25 if lines <= MANY else 1.9))
    if lines > MANY:
        figure.set_figwidth(look.width)
    for panel, ((dataset, backbone), group) in zip(panels, settings, strict=True):
        _lines(panel, group)
        panel.set(xlabel="labels bought", ylabel=label)
        panel.set_title(f"{dataset}, {backbone} ({_band(int(group['seeds'].max()))})")
    legend_below(figure, panels, look)
    return figure


def _lines(panel: Axes, group: pd.DataFrame) -> None:
    for place, (name, line) in enumerate(group.groupby("variant", sort=True)):
        style = style_of(line.iloc[0])
        x, y = line["n_labelled"].to_numpy(), line["mean"].to_numpy()
        error = line["standard_error"].fillna(0.0).to_numpy()
        step = max(1, len(x) // MARKS)
        panel.plot(x, y, label=name, markevery=(place % step, step), **style.keywords())
        panel.fill_between(x, y - error, y + error, color=style.colour, alpha=0.15, lw=0)


def _band(seeds: int) -> str:
    return f"mean and standard error of {seeds} seeds" if seeds > 1 else "one seed"


def draw_differences(means: pd.DataFrame, metric: str, look: Look = SCREEN) -> Figure:
    """Draw the difference to random selection, paired by seed; zero is random selection.

    Args:
        means: from ``alupdate.analysis.curves.difference_curves``.
        metric: its name.
        look: sizes and fonts.
    """
    figure = draw_curves(means, f"test {metric} minus random", look)
    for panel in figure.axes:
        panel.axhline(0, color="black", lw=0.8)
    return figure
