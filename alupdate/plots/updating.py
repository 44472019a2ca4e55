"""Figures of updates against retraining: tables in the form of updates.csv in, figures out."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alupdate.plots.learning_curve import PALETTE

COLOURS = {
    "base": "#999999",
    "retrain": "#000000",
    "retrain_lbfgs": "#7F7F7F",
    "map": PALETTE[0],
    "second_order": PALETTE[1],
    "first_order": PALETTE[2],
    "monte_carlo": PALETTE[3],
}
"""The same colour for the same method in every figure."""
METHODS = ("first_order", "monte_carlo", "second_order", "map")
REFERENCES = ("base", "retrain")


def accuracy_by_update(updates: pd.DataFrame) -> Figure:
    """Draw accuracy against the number of new labels, one panel per initial size.

    Each update is shown at the gamma that is best on average over the table: the comparison that
    favours the updates that need tuning. A line that leaves its panel is below the base model.
    """
    sizes = sorted(updates["n_initial"].unique())
    figure = Figure(figsize=(3.0 * len(sizes) + 0.6, 3.4), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(sizes)))
    for panel, size in zip(panels, sizes, strict=True):
        here = updates[updates["n_initial"] == size]
        for method in REFERENCES:
            _line(panel, here[here["method"] == method], "n_new", method, method)
        for name, rows in _series(updates):
            best = best_gamma(rows)
            chosen = rows[(rows["gamma"] == best) & (rows["n_initial"] == size)]
            _line(panel, chosen, "n_new", rows["method"].iloc[0], f"{name}, gamma {best:g}")
        panel.set(title=f"{size} initial labels", xlabel="new labels", xscale="log")
        _keep_in_view(panel, here)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("test accuracy")
    _legend_below(figure, panels[0])
    return figure


def robustness(updates: pd.DataFrame) -> Figure:
    """Draw mean accuracy against gamma, one panel per data set, base and retrain as horizontals."""
    names = sorted(updates["dataset"].unique())
    figure = Figure(figsize=(3.2 * len(names) + 0.4, 3.4), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(names)))
    for panel, name in zip(panels, names, strict=True):
        here = updates[updates["dataset"] == name]
        for method in REFERENCES:
            level = here.loc[here["method"] == method, "accuracy"].mean()
            style = ":" if method == "base" else "--"
            panel.axhline(level, color=COLOURS[method], linestyle=style, label=method)
        for label, rows in _series(here):
            _line(panel, rows, "gamma", rows["method"].iloc[0], label)
        panel.set(title=name, xlabel="step size gamma", xscale="log")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("mean test accuracy")
    _legend_below(figure, panels[0])
    return figure


def speedups(updates: pd.DataFrame) -> Figure:
    """Draw how many times faster each update is than retraining, and than L-BFGS.

    Bars are medians over seeds and data sets, on a logarithmic axis: by initial size in the upper
    panels, by new size in the lower ones.
    """
    keys = ["run", "n_initial", "n_new"]
    lbfgs = updates[updates["method"] == "retrain_lbfgs"].set_index(keys)["seconds"]
    joined = updates.join(lbfgs.rename("lbfgs_seconds"), on=keys)
    joined["lbfgs_speedup"] = joined["lbfgs_seconds"] / joined["seconds"]
    figure = Figure(figsize=(9.0, 6.0), layout="constrained")
    panels = figure.subplots(2, 2, sharey=True)
    columns = {"speedup": "against retraining as configured", "lbfgs_speedup": "against L-BFGS"}
    sizes = {"n_initial": "initial labels", "n_new": "new labels"}
    for row, (size, size_label) in zip(panels, sizes.items(), strict=True):
        for panel, (column, title) in zip(row, columns.items(), strict=True):
            _bars(panel, joined, size, column)
            panel.set(title=title, xlabel=size_label)
        row[0].set_ylabel("times faster (median)")
    _legend_below(figure, panels[0, 0])
    return figure


def _bars(panel: Axes, joined: pd.DataFrame, size: str, column: str) -> None:
    sizes = sorted(joined[size].unique())
    series = list(_series(joined))
    width = 0.8 / len(series)
    for offset, (name, rows) in enumerate(series):
        places = np.arange(len(sizes)) + (offset - (len(series) - 1) / 2) * width
        medians = rows.groupby(size)[column].median().reindex(sizes)
        panel.bar(places, medians, width, color=COLOURS[rows["method"].iloc[0]], label=name)
    panel.axhline(1, color="black", lw=0.8)
    panel.set_yscale("log")
    panel.set_xticks(range(len(sizes)), [str(value) for value in sizes])
    panel.grid(alpha=0.3, axis="y")


def _series(updates: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield name and rows of each update at fixed step sizes; one series per posterior."""
    fixed = updates[updates["step_size"] == "fixed"]
    for method in METHODS:
        posteriors = fixed[fixed["method"] == method].groupby(["likelihood", "prior_precision"])
        for (likelihood, prior), rows in posteriors:
            alone = posteriors.ngroups == 1
            yield method if alone else f"{method} ({likelihood!s}, {prior:g})", rows


def _legend_below(figure: Figure, panel: Axes) -> None:
    handles = panel.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=6, frameon=False)


def best_gamma(rows: pd.DataFrame) -> float:
    """Return the gamma with the highest mean accuracy among one update's rows."""
    means = rows.groupby("gamma")["accuracy"].mean()
    return float(means.index.to_numpy()[means.to_numpy().argmax()])


def _keep_in_view(panel: Axes, rows: pd.DataFrame) -> None:
    """Let the axis span base model and retraining; what is far below them leaves the panel."""
    levels = rows[rows["method"].isin(REFERENCES)].groupby(["method", "n_new"])["accuracy"].mean()
    room = max(levels.max() - levels.min(), 0.01)
    panel.set_ylim(levels.min() - 0.5 * room, levels.max() + 0.25 * room)


def _line(panel: Axes, rows: pd.DataFrame, column: str, method: str, label: str) -> None:
    """Draw the mean accuracy over seeds with a band of one standard error."""
    per_seed = rows.groupby([column, "seed"])["accuracy"].mean().groupby(column)
    mean, error = per_seed.mean(), per_seed.sem().fillna(0.0)
    colour = COLOURS[method]
    style = {"base": ":", "retrain": "--"}.get(method, "-")
    panel.plot(mean.index, mean, style, color=colour, marker=".", label=label)
    panel.fill_between(mean.index, mean - error, mean + error, color=colour, alpha=0.2, lw=0)
