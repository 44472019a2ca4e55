"""How many candidate batches does look-ahead need?"""

from collections.abc import Iterator
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from alupdate.analysis.aulc import summarise_aulc
from alupdate.analysis.question import INTERVAL_LINES, AnalysisInput, ResultFigure
from alupdate.analysis.styles import VariantStyles
from alupdate.analysis.theme import SCREEN, Theme, grid, legend_below
from alupdate.analysis.variants import SETTING, named
from alupdate.utils.metrics import higher_is_better

LABEL = r"^(?P<base>\w*lookahead)_(?P<n_batches>\d+)$"
"""How experiments call look-ahead with another number of candidate batches."""


def by_candidate_batches(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the variants labelled as lookahead_300, with two more columns.

    Args:
        summary: from ``alupdate.analysis.aulc.summarise_aulc``.

    Returns:
        The columns of the summary, ``base`` (lookahead) and ``n_batches`` (300); no rows where
        fewer than two numbers of candidate batches were tried.
    """
    parts = summary["strategy"].astype(str).str.extract(LABEL)
    found = summary.assign(base=parts["base"], n_batches=pd.to_numeric(parts["n_batches"]))
    found = found.dropna(subset=["n_batches"]).astype({"n_batches": int})
    if found["n_batches"].nunique() < 2:
        return found.iloc[:0]
    return found.sort_values([*SETTING, "base", "n_batches"], ignore_index=True)


def draw_candidate_batches(
    found: pd.DataFrame,
    others: pd.DataFrame,
    metric: str,
    styles: VariantStyles,
    theme: Theme = SCREEN,
) -> Figure:
    """Draw mean AULCs with 95 % intervals; other strategies are horizontal lines.

    Args:
        found: from ``by_candidate_batches``.
        others: from ``alupdate.analysis.aulc.summarise_aulc``, of the other variants.
        metric: whose curve it is, in words.
        styles: of the variants.
        theme: sizes and fonts.
    """
    settings = list(found.groupby(SETTING))
    figure, panels = grid(len(settings), theme, columns=2, height=theme.panel)
    for panel, (setting, group) in zip(panels, settings, strict=True):
        here = others[(others[SETTING] == list(setting)).all(axis=1)]
        for _, row in named(here).iterrows():
            style = styles.style(row)
            panel.axhline(row["mean"], color=style.colour, ls=style.line, label=row["variant"])
        for base, line in group.groupby("base"):
            style = styles.style(line.assign(strategy=base).iloc[0])
            errors = [line["mean"] - line["low"], line["high"] - line["mean"]]
            kept = {k: v for k, v in style.keywords().items() if k != "markeredgecolor"}
            label = f"{base} (oracle)" if line["oracle"].any() else base
            panel.errorbar(
                line["n_batches"], line["mean"], yerr=errors, capsize=2, label=label, **kept
            )
        panel.set(xscale="log", xlabel="candidate batches", ylabel=f"AULC of {metric}")
        ticks = sorted(group["n_batches"].unique())
        panel.set_xticks(ticks, [str(tick) for tick in ticks])
        panel.minorticks_off()
        panel.set_title(", ".join(map(str, setting)))
    legend_below(figure, panels, theme)
    return figure


def candidate_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield AULC against the number of candidate batches, where several were tried."""
    if given.aulc is None or not given.aulc["strategy"].astype(str).str.match(LABEL).any():
        return
    summary = summarise_aulc(given.aulc, higher_is_better(given.metric))
    found = by_candidate_batches(summary)
    if len(found):
        others = given.drawn(summary[~summary["strategy"].astype(str).str.match(LABEL)])
        yield ResultFigure(
            f"{given.prefix}-candidate-batches",
            "Number of candidate batches of look-ahead",
            f"Mean AULC (area under the learning curve) of {given.label}; {INTERVAL_LINES}.",
            found,
            partial(draw_candidate_batches, found, others, given.label, given.variants, theme),
        )
