"""Labels saved at equal accuracy, against the accuracy."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from alupdate.plots.look import SCREEN, Look, grid, legend_below
from alupdate.plots.style import style_of
from alupdate.statistics.variants import SETTING, named


def labels_saved(summary: pd.DataFrame, look: Look = SCREEN) -> Figure:
    """Draw the median of labels saved against the level reached; a cross: most runs never reach it.

    Args:
        summary: from ``alupdate.statistics.labels_saved.summarise_saved``.
        look: sizes and fonts.
    """
    settings = list(named(summary).groupby(SETTING))
    figure, panels = grid(len(settings), look, columns=2, height=look.panel * 1.2)
    for panel, ((dataset, backbone), group) in zip(panels, settings, strict=True):
        finite = group["saved"][np.isfinite(group["saved"])]
        bottom = min(finite.min(), 0.0) - 0.12 * (np.ptp(finite) or 1.0)
        for name, line in group.groupby("variant"):
            style = style_of(line.iloc[0])
            reached = np.isfinite(line["saved"].to_numpy())
            levels, saved = line["level"].to_numpy(), line["saved"].to_numpy()
            panel.plot(levels, np.where(reached, saved, np.nan), label=name, **style.keywords())
            panel.plot(levels[~reached], np.full((~reached).sum(), bottom), "x", color=style.colour)
        panel.axhline(0, color="black", lw=0.8)
        panel.set_xticks(sorted(group["level"].unique()))
        panel.set(xlabel="level: share of random's gain in accuracy", ylabel="labels saved")
        panel.set_title(f"{dataset}, {backbone} (medians of {group['seeds'].max()} seeds)")
    legend_below(figure, panels, look)
    return figure
