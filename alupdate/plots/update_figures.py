"""Figures that updating studies allow."""

from collections.abc import Iterator
from functools import partial

import pandas as pd

from alupdate.plots.look import Look
from alupdate.plots.result_figure import ResultFigure
from alupdate.plots.updating import SIZES, draw_sizes, gap_dots, robustness, speedup_bars
from alupdate.statistics.update_means import gamma_means, size_means
from alupdate.statistics.update_series import REFERENCES, in_series
from alupdate.statistics.updates import best_gaps, speedups

MIN_GAMMAS = 5
"""Fewer step sizes do not make a robustness figure."""
BEST = "each update at the step size gamma that is best on average"


def update_figures(updates: pd.DataFrame, prefix: str, look: Look) -> Iterator[ResultFigure]:
    """Yield accuracy by size for each setting, robustness, gap closed and speed-ups."""
    for (dataset, backbone), group in updates.groupby(["dataset", "backbone"]):
        for along, words in SIZES.items():
            if group[along].nunique() < 2:
                continue
            means = size_means(group)
            suffix = "" if along == "n_new" else "-initial"
            yield ResultFigure(
                f"{prefix}-{dataset}-{backbone}{suffix}",
                f"Accuracy by number of {words}, {dataset}, {backbone}",
                f"Mean test accuracy over seeds, {BEST}; bands are one standard error.",
                means,
                partial(draw_sizes, means, along, look),
            )
    if updates["method"].isin(REFERENCES).all():
        return
    table = in_series(updates)
    fixed = table[table["step_size"] == "fixed"]
    if len(fixed) and fixed.groupby("method")["gamma"].nunique().max() >= MIN_GAMMAS:
        by_gamma = gamma_means(updates)
        yield ResultFigure(
            f"{prefix}-gamma",
            "Accuracy against the step size",
            "Mean test accuracy over seeds and sizes against gamma; bands are one standard error.",
            by_gamma,
            partial(robustness, by_gamma, look),
        )
    gaps = best_gaps(updates)
    yield ResultFigure(
        f"{prefix}-gap",
        "Gap to retraining closed",
        f"Share of the gap to retraining that each update closes, {BEST} for the data set; lines "
        "are 95 % bootstrap intervals over seeds. Arrows: further to the left.",
        gaps,
        partial(gap_dots, gaps, look),
    )
    tables = {size: speedups(updates, size) for size in SIZES}
    yield ResultFigure(
        f"{prefix}-speedup",
        "Speed-up of each update",
        "Median ratio of the seconds of retraining to those of the update, over data sets and "
        "seeds.",
        pd.concat(tables.values(), ignore_index=True),
        partial(speedup_bars, tables, look),
    )
