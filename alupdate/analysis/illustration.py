"""Decision surfaces in the plane, one panel per model."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {0: "#0072B2", 1: "#D55E00"}


def decision_surfaces(surfaces: pd.DataFrame, points: pd.DataFrame) -> Figure:
    """Draw the probability of class 1 as colour, the decision boundary as a line.

    Args:
        surfaces: panel, x, y, probability; on the same regular grid in every panel, in order.
        points: x, y, label (0 or 1), new (bool): the labelled instances; new ones are stars.
    """
    names = list(surfaces["panel"].unique())
    columns = 3
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.3 * columns, 2.9 * rows), layout="constrained")
    panels = np.atleast_1d(figure.subplots(rows, columns, sharex=True, sharey=True)).ravel()
    for panel, name in zip(panels, names, strict=False):
        here = surfaces[surfaces["panel"] == name]
        grid = here.pivot_table(index="y", columns="x", values="probability")
        coordinates = grid.columns.to_numpy(), grid.index.to_numpy(), grid.to_numpy()
        panel.contourf(*coordinates, levels=np.linspace(0, 1, 11), cmap="RdBu_r", alpha=0.55)
        panel.contour(*coordinates, levels=[0.5], colors="black", linewidths=1.5)
        _scatter(panel, points[~points["new"]], "o", 22, "initial label")
        if name != "before":
            _scatter(panel, points[points["new"]], "*", 70, "new label")
        panel.set_title(name)
        panel.set_xticks([])
        panel.set_yticks([])
    figure.suptitle("Predictions before and after 20 new labels (stars) in four clusters", size=11)
    return figure


def _scatter(panel: Axes, points: pd.DataFrame, marker: str, size: int, label: str) -> None:
    colours = [COLOURS[value] for value in points["label"]]
    panel.scatter(
        points["x"], points["y"], c=colours, marker=marker, s=size, edgecolors="white",
        linewidths=0.6, label=label,
    )  # fmt: skip
