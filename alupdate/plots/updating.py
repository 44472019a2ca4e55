"""Figures of updates against retraining: tables in the form of updates.csv in, figures out."""

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
        for method in (*REFERENCES, *METHODS):
            rows = here[here["method"] == method]
            if len(rows):
                best = best_gamma(updates, method)
                rows = rows if np.isnan(best) else rows[rows["gamma"] == best]
                label = method if np.isnan(best) else f"{method}, gamma {best:g}"
                _line(panel, rows, "n_new", method, label)
        panel.set(title=f"{size} initial labels", xlabel="new labels", xscale="log")
        _keep_in_view(panel, here)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("test accuracy")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False
    )
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
        for method in METHODS:
            rows = here[(here["method"] == method) & (here["step_size"] == "fixed")]
            if len(rows):
                _line(panel, rows, "gamma", method, method)
        panel.set(title=name, xlabel="step size gamma", xscale="log")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("mean test accuracy")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False
    )
    return figure


def speedups(updates: pd.DataFrame) -> Figure:
    """Draw how many times faster each update is than retraining, by recipe and by L-BFGS.

    Bars are medians over seeds and data sets; one panel per retraining solver, groups are initial
    sizes, on a logarithmic axis.
    """
    keys = ["run", "n_initial", "n_new"]
    lbfgs = updates[updates["method"] == "retrain_lbfgs"].set_index(keys)["seconds"]
    joined = updates.join(lbfgs.rename("lbfgs_seconds"), on=keys)
    joined["lbfgs_speedup"] = joined["lbfgs_seconds"] / joined["seconds"]
    sizes = sorted(updates["n_initial"].unique())
    figure = Figure(figsize=(9.0, 3.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    titles = {"speedup": "against the paper's recipe", "lbfgs_speedup": "against L-BFGS"}
    present = [method for method in METHODS if (updates["method"] == method).any()]
    for panel, (column, title) in zip(panels, titles.items(), strict=True):
        for offset, method in enumerate(present):
            medians = joined[joined["method"] == method].groupby("n_initial")[column].median()
            places = np.arange(len(sizes)) + (offset - (len(present) - 1) / 2) * 0.2
            panel.bar(places, medians.reindex(sizes), 0.2, color=COLOURS[method], label=method)
        panel.axhline(1, color="black", lw=0.8)
        panel.set(title=title, xlabel="initial labels", yscale="log")
        panel.set_xticks(range(len(sizes)), [str(size) for size in sizes])
        panel.grid(alpha=0.3, axis="y")
    panels[0].set_ylabel("times faster (median)")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(present), frameon=False)
    return figure


def best_gamma(updates: pd.DataFrame, method: str) -> float:
    """Return the fixed gamma with the highest mean accuracy; NaN for methods that have none."""
    rows = updates[(updates["method"] == method) & (updates["step_size"] != "auto")]
    if rows["gamma"].isna().all():
        return float("nan")
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
