"""Area under the curve against the number of candidate batches of look-ahead."""

import pandas as pd
from matplotlib.figure import Figure

from alupdate.plots.look import SCREEN, Look, grid, legend_below
from alupdate.plots.style import style_of
from alupdate.statistics.variants import SETTING, named


def candidate_batches(
    found: pd.DataFrame, others: pd.DataFrame, metric: str, look: Look = SCREEN
) -> Figure:
    """Draw mean areas with 95 % intervals; other strategies are horizontal lines.

    Args:
        found: from ``alupdate.statistics.candidates.candidate_batches``.
        others: from ``alupdate.statistics.areas.summarise``, of the other variants.
        metric: whose curve it is.
        look: sizes and fonts.
    """
    settings = list(found.groupby(SETTING))
    figure, panels = grid(len(settings), look, columns=2, height=look.panel)
    for panel, (setting, group) in zip(panels, settings, strict=True):
        here = others[(others[SETTING] == list(setting)).all(axis=1)]
        for _, row in named(here).iterrows():
            style = style_of(row)
            panel.axhline(row["mean"], color=style.colour, ls=style.line, label=row["variant"])
        for base, line in group.groupby("base"):
            style = style_of(line.assign(strategy=base).iloc[0])
            errors = [line["mean"] - line["low"], line["high"] - line["mean"]]
            kept = {k: v for k, v in style.keywords().items() if k != "markeredgecolor"}
            panel.errorbar(
                line["n_batches"], line["mean"], yerr=errors, capsize=2,
                label=f"{base} (oracle)", **kept,
            )  # fmt: skip
        panel.set(xscale="log", xlabel="candidate batches", ylabel=f"area, {metric}")
        ticks = sorted(group["n_batches"].unique())
        panel.set_xticks(ticks, [str(tick) for tick in ticks])
        panel.minorticks_off()
        panel.set_title(", ".join(map(str, setting)))
    legend_below(figure, panels, look)
    return figure
