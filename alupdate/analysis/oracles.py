"""How far is a strategy from an oracle, which sees labels that are not acquired yet?"""

import re
from collections.abc import Iterator
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from alupdate.analysis.aulc import DIFFERENCE, compare, difference_row, differences_as
from alupdate.analysis.candidates import LABEL
from alupdate.analysis.question import (
    INTERVAL_LINES,
    TESTS,
    AnalysisInput,
    ResultFigure,
    ResultTable,
)
from alupdate.analysis.styles import VariantStyles
from alupdate.analysis.theme import SCREEN, Theme, dot_panels
from alupdate.analysis.variants import METHOD, SETTING, VARIANT, named
from alupdate.utils.metrics import higher_is_better


def oracle_comparisons(aulc: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return, for each oracle, its name and every variant's difference to it, paired by seed.

    The tables are those of ``compare``, over all settings that have the oracle, with a column
    ``reference``: its name.

    Args:
        aulc: from ``alupdate.analysis.aulc.aulc_per_run``.
    """
    tables: dict[str, list[pd.DataFrame]] = {}
    for _, group in aulc.groupby(SETTING):
        for key in group.loc[group["oracle"], METHOD].drop_duplicates().itertuples(index=False):
            chosen = dict(zip(METHOD[:3], key[:3], strict=True))
            name = "-".join(part for part in key[:3] if part not in ("top_b", "retrain"))
            tables.setdefault(name, []).append(compare(group, chosen).assign(reference=name))
    return [
        (name, pd.concat(parts, ignore_index=True))
        for name, parts in tables.items()
        if sum(map(len, parts))
    ]


def oracle_gaps(aulc: pd.DataFrame, better_if_higher: bool = True) -> pd.DataFrame:
    """Return each oracle minus the best variant without oracle of its setting, paired by seed.

    The best one is chosen on the same runs, which flatters it: the difference is conservative.

    Args:
        aulc: from ``alupdate.analysis.aulc.aulc_per_run``.
        better_if_higher: whether a larger area is the better one.
    """
    names = [f"other_{column}" for column in METHOD[:3]]
    rows = []
    for setting, group in aulc.groupby(SETTING):
        means = group[~group["oracle"]].groupby(METHOD)["area"].mean()
        if means.empty or not group["oracle"].any():
            continue
        place = means.argmax() if better_if_higher else means.argmin()
        best = list(means.index)[place]
        wide = group.pivot_table(index="seed", columns=METHOD, values="area")
        for key in wide.columns:
            if key[-1]:
                pairs = wide[[key, best]].dropna().to_numpy()
                rows.append([*setting, *key, *best[:3], *difference_row(pairs)])
    return pd.DataFrame(rows, columns=[*VARIANT, *names, *DIFFERENCE])


def _with_best(gaps: pd.DataFrame) -> pd.DataFrame:
    """Return the gaps with short names of the oracle and of the best variant."""
    best = gaps[SETTING].copy()
    for column in METHOD[:3]:
        best[column] = gaps[f"other_{column}"]
    together = named(pd.concat([gaps[VARIANT], best.assign(oracle=False)], ignore_index=True))
    names = together["variant"].to_numpy()
    table = gaps.assign(variant=names[: len(gaps)], best=names[len(gaps) :])
    shown = differences_as(table, "minus_best")
    shown.insert(3, "best", table["best"])
    return shown


def draw_against_oracle(
    gaps: pd.DataFrame, metric: str, styles: VariantStyles, theme: Theme = SCREEN
) -> Figure:
    """Draw every variant minus one oracle, paired by seed; left of zero the oracle is better.

    Args:
        gaps: from ``oracle_comparisons``.
        metric: whose curve it is, in words.
        styles: of the variants.
        theme: sizes and fonts.
    """
    table = named(gaps).rename(columns={"difference": "value"})
    label = f"AULC of {metric} minus that of {gaps['reference'].iloc[0]}, with 95 % interval"
    return dot_panels(table, styles, theme, label)


def oracle_tables(given: AnalysisInput) -> Iterator[ResultTable]:
    """Yield what each oracle is above the best strategy without one."""
    if given.aulc is None:
        return
    gaps = oracle_gaps(given.aulc, higher_is_better(given.metric))
    if len(gaps):
        yield ResultTable(
            f"lookahead-{given.metric}",
            "Oracles against the best strategy without oracle",
            f"AULC (area under the learning curve) of {given.label}, paired by seed. The best "
            "strategy was chosen by its mean on the same runs, which favours it. "
            f"{TESTS}.",
            _with_best(gaps),
        )


def oracle_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield all strategies against each oracle."""
    if given.aulc is None:
        return
    for name, gaps in oracle_comparisons(given.aulc):
        if re.match(LABEL, name):  # the figure of candidate batches shows it
            continue
        yield ResultFigure(
            f"{given.prefix}-against-{name}",
            f"All strategies against {name} (oracle)",
            f"AULC (area under the learning curve) of {given.label} minus that of {name}, paired "
            f"by seed; {INTERVAL_LINES}.",
            gaps,
            partial(draw_against_oracle, given.drawn(gaps), given.label, given.variants, theme),
        )
