"""Is it better to build a batch one by one, updating in between, than to pick it at once?"""

from collections.abc import Iterator
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from alupdate.analysis.aulc import DIFFERENCE, difference_row, differences_as
from alupdate.analysis.question import (
    INTERVAL_LINES,
    TESTS,
    AnalysisInput,
    ResultFigure,
    ResultTable,
)
from alupdate.analysis.styles import VariantStyles
from alupdate.analysis.theme import SCREEN, Theme, dot_panels
from alupdate.analysis.variants import VARIANT, named

BATCH_TITLE = "Sequential batches against batches picked at once"


def sequential_gains(aulc: pd.DataFrame) -> pd.DataFrame:
    """Return sequential minus top-b of every strategy that has both, paired by seed.

    Args:
        aulc: from ``alupdate.analysis.aulc.aulc_per_run``.
    """
    others = [column for column in VARIANT if column != "batch"]
    wide = aulc.pivot_table(index=[*others, "seed"], columns="batch", values="area")
    if not {"sequential", "top_b"} <= set(wide.columns):
        return pd.DataFrame(columns=[*others, *DIFFERENCE])
    pairs = wide[["sequential", "top_b"]].dropna()
    rows = [[*key, *difference_row(group.to_numpy())] for key, group in pairs.groupby(others)]
    return pd.DataFrame(rows, columns=[*others, *DIFFERENCE])


def draw_sequential_gains(
    gains: pd.DataFrame, metric: str, styles: VariantStyles, theme: Theme = SCREEN
) -> Figure:
    """Draw what each strategy gains by building its batches sequentially.

    Args:
        gains: from ``sequential_gains``.
        metric: whose curve it is, in words.
        styles: of the variants.
        theme: sizes and fonts.
    """
    table = named(gains.assign(batch="top_b")).rename(columns={"difference": "value"})
    label = f"AULC of {metric}, sequential minus top-b, with 95 % interval"
    return dot_panels(table, styles, theme, label)


def batch_tables(given: AnalysisInput) -> Iterator[ResultTable]:
    """Yield the gains where a strategy has both constructions."""
    gains = pd.DataFrame() if given.aulc is None else sequential_gains(given.aulc)
    if len(gains):
        yield ResultTable(
            f"sequential-{given.metric}",
            BATCH_TITLE,
            f"AULC (area under the learning curve) of {given.label}, sequential minus top-b, "
            f"paired by seed. {TESTS}.",
            differences_as(named(gains.assign(batch="top_b")), "sequential_minus_top_b"),
        )


def batch_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield the gains where a strategy has both constructions."""
    gains = pd.DataFrame() if given.aulc is None else sequential_gains(given.aulc)
    if len(gains):
        yield ResultFigure(
            f"{given.prefix}-batch-construction",
            BATCH_TITLE,
            f"AULC (area under the learning curve) of {given.label}, sequential minus top-b "
            f"batches, paired by seed; {INTERVAL_LINES}.",
            gains,
            partial(draw_sequential_gains, given.drawn(gains), given.label, given.variants, theme),
        )
