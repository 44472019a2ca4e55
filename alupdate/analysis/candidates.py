"""Area under the curve against the number of candidate batches of look-ahead."""

import pandas as pd
from matplotlib.figure import Figure

from alupdate.analysis.areas import summarise
from alupdate.analysis.theme import SCREEN, Look, grid, legend_below, style_of
from alupdate.analysis.variants import SETTING, named

LABEL = r"^(?P<base>\w*lookahead)_(?P<n_batches>\d+)$"
"""How experiments call look-ahead with another number of candidate batches."""


def candidate_batches(areas: pd.DataFrame, higher_is_better: bool = True) -> pd.DataFrame:
    """Return the summary of the variants labelled as lookahead_300, with two more columns.

    Args:
        areas: from ``normalised_area``.
        higher_is_better: whether a larger area is the better one.

    Returns:
        The columns of ``summarise``, ``base`` (lookahead) and ``n_batches`` (300); no rows where
        fewer than two numbers of candidate batches were tried.
    """
    summary = summarise(areas, higher_is_better)
    parts = summary["strategy"].astype(str).str.extract(LABEL)
    found = summary.assign(base=parts["base"], n_batches=pd.to_numeric(parts["n_batches"]))
    found = found.dropna(subset=["n_batches"]).astype({"n_batches": int})
    if found["n_batches"].nunique() < 2:
        return found.iloc[:0]
    return found.sort_values(["dataset", "backbone", "base", "n_batches"], ignore_index=True)


def draw_candidate_batches(
    found: pd.DataFrame, others: pd.DataFrame, metric: str, look: Look = SCREEN
) -> Figure:
    """Draw mean areas with 95 % intervals; other strategies are horizontal lines.

    Args:
        found: from ``alupdate.analysis.candidates.candidate_batches``.
        others: from ``alupdate.analysis.areas.summarise``, of the other variants.
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
