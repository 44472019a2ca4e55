"""The learning curve: accuracy against the number of labels."""

import pandas as pd
from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Okabe and Ito's colours, distinguishable with any colour vision and in print."""


def learning_curve(curves: pd.DataFrame, metric: str = "accuracy") -> Figure:
    """Draw the mean of ``metric`` over seeds with a band of one standard error.

    Args:
        curves: rows in the form of curve.csv, from one data set. One line for every strategy,
            batch construction and update; oracle strategies are dashed and named so.
        metric: a column of curve.csv.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    keys = ["strategy", "batch", "update"]
    plain = {key: curves[key].nunique() == 1 for key in keys[1:]}
    for colour, (key, group) in zip(PALETTE * 9, curves.groupby(keys, sort=True), strict=False):
        strategy, *others = (str(part) for part in key)
        extra = [part for name, part in zip(keys[1:], others, strict=True) if not plain[name]]
        oracle = bool(group["oracle"].iloc[0])
        label = ", ".join([strategy, *extra]) + (" (oracle)" if oracle else "")
        cycles = group.groupby("n_labelled")[metric]
        mean, error = cycles.mean(), cycles.sem().fillna(0.0)
        axes.plot(mean.index, mean, "--" if oracle else "-", color=colour, label=label)
        axes.fill_between(mean.index, mean - error, mean + error, color=colour, alpha=0.2, lw=0)
    seeds = curves["seed"].nunique()
    band = f"mean and standard error of {seeds} seeds" if seeds > 1 else "one seed"
    axes.set(xlabel="labels bought", ylabel=f"test {metric}")
    axes.set_title(f"{curves['dataset'].iloc[0]}, {curves['backbone'].iloc[0]} ({band})", size=10)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure
