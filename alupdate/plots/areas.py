"""Which strategy is how good: areas under the curve, one panel per experiment."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {"top_b": "#0072B2", "sequential": "#D55E00"}
"""Of the construction; from Okabe and Ito's palette."""

PER_ROW = 3


def strategy_areas(areas: pd.DataFrame) -> Figure:
    """Draw mean area and standard error over seeds of every strategy, the best on top.

    Args:
        areas: rows of scripts/areas.py. One panel for every ``experiment``; oracles are hollow.
    """
    groups = [(str(name), group) for name, group in areas.groupby("experiment", sort=True)]
    lines = max(group[["strategy", "batch"]].drop_duplicates().shape[0] for _, group in groups)
    columns = min(PER_ROW, len(groups))
    rows = -(-len(groups) // columns)
    size = (4.2 * columns, rows * (1.1 + 0.2 * lines))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, group) in zip(panels, groups, strict=False):
        _panel(axes, name, group)
    for axes in panels[len(groups) :]:
        axes.set_axis_off()
    return figure


def _panel(axes: Axes, name: str, areas: pd.DataFrame) -> None:
    grouped = areas.groupby(["strategy", "batch", "oracle"])["area"]
    table = grouped.agg(["mean", "sem", "count"]).sort_values("mean").reset_index()
    for place, row in enumerate(table.to_dict("records")):
        colour = COLOURS[row["batch"]]
        axes.errorbar(
            row["mean"],
            place,
            xerr=row["sem"] if row["count"] > 1 else None,
            fmt="o",
            color=colour,
            markerfacecolor="white" if row["oracle"] else colour,
            markersize=5,
        )
    names = [
        row["strategy"] + (", sequential" if row["batch"] == "sequential" else "")
        + (" (oracle)" if row["oracle"] else "")
        for row in table.to_dict("records")
    ]  # fmt: skip
    axes.set_yticks(range(len(table)), names, size=8)
    baseline = table.loc[table["strategy"] == "random", "mean"]
    if len(baseline):
        axes.axvline(baseline.iloc[0], color="#999999", lw=1, ls=":")
    least, most = table["count"].min(), table["count"].max()
    seeds = f"{most}" if least == most else f"{least} to {most}"
    axes.set_title(f"{name}, {seeds} seeds", size=10)
    axes.set_xlabel("area under the accuracy curve", size=9)
    axes.grid(axis="x", alpha=0.3)
