"""Which strategy is how good: areas under the curve, and their differences."""

import pandas as pd
from matplotlib.figure import Figure

from alupdate.plots.dots import dot_panels
from alupdate.plots.look import SCREEN, Look
from alupdate.statistics.variants import named


def strategy_areas(summary: pd.DataFrame, metric: str, look: Look = SCREEN) -> Figure:
    """Draw the mean area and its interval of every variant; random selection is dotted.

    Args:
        summary: from ``alupdate.statistics.areas.summarise``.
        metric: whose curve it is.
        look: sizes and fonts.
    """
    table = named(summary).rename(columns={"mean": "value"})
    return dot_panels(table, look, f"area under the {metric} curve, 95 % interval", level="random")


def batch_construction(gains: pd.DataFrame, metric: str, look: Look = SCREEN) -> Figure:
    """Draw what each strategy gains by building its batches sequentially; right of zero is better.

    Args:
        gains: from ``alupdate.statistics.areas.sequential_gains``.
        metric: whose curve it is.
        look: sizes and fonts.
    """
    table = named(gains.assign(batch="top_b")).rename(columns={"difference": "value"})
    label = f"area under the {metric} curve, sequential minus top-b, 95 % interval"
    return dot_panels(table, look, label)


def against_oracle(gaps: pd.DataFrame, metric: str, look: Look = SCREEN) -> Figure:
    """Draw every variant minus one oracle, paired by seed; left of zero the oracle is better.

    Args:
        gaps: from ``alupdate.statistics.areas.compare``, of one or more settings.
        metric: whose curve it is.
        look: sizes and fonts.
    """
    table = named(gaps).rename(columns={"difference": "value"})
    oracle = gaps["reference"].iloc[0]
    return dot_panels(table, look, f"area under the {metric} curve minus {oracle}'s, 95 % interval")
