"""What do rare classes, wrong labels, outliers and duplicates cost, and what survives them?"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alupdate.analysis.aulc import difference_row
from alupdate.analysis.question import (
    INTERVAL,
    INTERVAL_LINES,
    AnalysisInput,
    ResultFigure,
    ResultTable,
)
from alupdate.analysis.seeds import mean_of
from alupdate.analysis.styles import VariantStyles
from alupdate.analysis.theme import SCREEN, Theme, grid, interval_lines, legend_below
from alupdate.analysis.variants import METHOD, RANDOM, SETTING, VARIANT, named
from alupdate.config.values import DISTURBANCES

CLEAN = "clean"
MINUS_CLEAN, MINUS_RANDOM = "minus_clean", "minus_random"
_ENDING = re.compile(rf"(_({'|'.join(DISTURBANCES.values())})[\d.e+-]+(confusion)?)+")


def disturbed_forms(datasets: Iterable[str]) -> Mapping[str, tuple[str, str]]:
    """Return, for each data set with disturbed forms and each form, the data set and what was done.

    A name is that of a disturbed form if it is the name of another data set followed by what the
    program writes behind it.

    Example:
        >>> disturbed_forms(["digits", "digits_noise0.2", "other"])
        {'digits': ('digits', 'clean'), 'digits_noise0.2': ('digits', 'noise0.2')}
    """
    names = sorted(set(datasets), key=len)
    forms: dict[str, tuple[str, str]] = {}
    for clean in names:
        for name in names:
            if name.startswith(clean) and _ENDING.fullmatch(name[len(clean) :]):
                forms.setdefault(clean, (clean, CLEAN))
                forms.setdefault(name, (clean, name[len(clean) + 1 :]))
    return forms


def disturbance_effects(aulc: pd.DataFrame) -> pd.DataFrame:
    """Return what each disturbance does to each variant, where there are clean runs as well.

    Args:
        aulc: from ``alupdate.analysis.aulc.aulc_per_run``.

    Returns:
        One row per clean data set, disturbance and variant: mean AULC and its standard error, its
        difference to the clean data and to random selection on the same data, both paired by seed
        and each with standard error, interval and the p-value of a paired t-test, and the number
        of seeds. The columns of a difference are NaN where there is nothing to compare.
    """
    forms = disturbed_forms(aulc["dataset"])
    table = aulc[aulc["dataset"].isin(list(forms))]
    pairs = pd.DataFrame(table["dataset"].map(forms).tolist(), table.index)
    if pairs.empty:
        return pd.DataFrame()
    table = table.assign(dataset=pairs[0], disturbance=pairs[1])
    rows = [row for _, group in table.groupby(SETTING) for row in _effects(group)]
    return named(pd.DataFrame(rows))


def _effects(table: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield the rows of one clean data set and backbone."""
    wide = table.pivot_table(index="seed", columns=["disturbance", *METHOD], values="area")
    keys = sorted(map(list, wide.columns), key=lambda key: (_order(key[0]), key))
    baseline = next((method for _, *method in keys if _is_random(method)), None)
    for disturbance, *method in keys:
        key = (disturbance, *method)
        mean = mean_of(wide[key].dropna().to_numpy())
        others = {
            MINUS_CLEAN: None if disturbance == CLEAN else (CLEAN, *method),
            MINUS_RANDOM: (
                None if baseline is None or method == baseline else (disturbance, *baseline)
            ),
        }
        yield {
            **dict(zip(VARIANT, (*table[SETTING].iloc[0], *method), strict=True)),
            "disturbance": disturbance,
            "area": mean.value,
            "area_error": mean.standard_error,
            **_differences(wide, key, others),
            "seeds": mean.seeds,
        }


def _order(disturbance: str) -> tuple[int, str]:
    marks = [CLEAN, *DISTURBANCES.values()]
    return next(i for i, mark in enumerate(marks) if disturbance.startswith(mark)), disturbance


def _is_random(method: Sequence[object]) -> bool:
    return all(method[METHOD.index(column)] == value for column, value in RANDOM.items())


def _differences(
    wide: pd.DataFrame, key: tuple[str, ...], others: Mapping[str, tuple[str, ...] | None]
) -> dict[str, object]:
    columns: dict[str, object] = {}
    for name, other in others.items():
        known = other in wide.columns
        pairs = wide[[key, other]].dropna().to_numpy() if known else np.empty((0, 2))
        value, error, low, high, t_p, *_ = difference_row(pairs)
        columns |= {
            name: value, f"{name}_error": error, f"{name}_low": low, f"{name}_high": high,
            f"{name}_t_p": t_p,
        }  # fmt: skip
    return columns


def draw_disturbances(
    effects: pd.DataFrame, column: str, label: str, styles: VariantStyles, theme: Theme = SCREEN
) -> Figure:
    """Draw one difference of every variant, disturbance by disturbance, with its interval.

    Args:
        effects: from ``disturbance_effects``.
        column: MINUS_CLEAN or MINUS_RANDOM; rows without a value are left out.
        label: of the vertical axis.
        styles: of the variants.
        theme: sizes and fonts.
    """
    known = effects[effects[column].notna()]
    settings = list(known.groupby(SETTING))
    figure, panels = grid(len(settings), theme, columns=1, height=theme.panel)
    for panel, (setting, group) in zip(panels, settings, strict=True):
        _draw_panel(panel, group, column, styles)
        panel.set_title(f"{', '.join(map(str, setting))} ({group['seeds'].max()} seeds)")
        panel.set_ylabel(label)
    legend_below(figure, panels, theme)
    return figure


def _draw_panel(panel: Axes, group: pd.DataFrame, column: str, styles: VariantStyles) -> None:
    places = {name: place for place, name in enumerate(dict.fromkeys(group["disturbance"]))}
    names = list(dict.fromkeys(group["variant"]))
    for number, name in enumerate(names):
        rows = group[group["variant"] == name]
        style = styles.style(rows.iloc[0])
        value = rows[column].to_numpy()
        panel.errorbar(
            rows["disturbance"].map(places) + 0.7 * ((number + 0.5) / len(names) - 0.5),
            value,
            yerr=interval_lines(value, rows[f"{column}_low"], rows[f"{column}_high"]),
            ls="none",
            marker=style.marker,
            color=style.colour,
            markerfacecolor="white" if style.hollow else style.colour,
            elinewidth=1.0,
            label=name,
        )
    panel.axhline(0, color="black", lw=0.8)
    panel.set_xticks(list(places.values()), list(places))
    panel.grid(axis="x", visible=False)


def disturbance_tables(given: AnalysisInput) -> Iterator[ResultTable]:
    """Yield the effects where a data set is there both as it is and disturbed."""
    effects = pd.DataFrame() if given.aulc is None else disturbance_effects(given.aulc)
    if len(effects):
        first = [*SETTING, "disturbance", "variant"]
        yield ResultTable(
            f"disturbances-{given.metric}",
            "What disturbances of the data cost",
            f"Column area: AULC (area under the learning curve) of {given.label}, mean over seeds "
            "± standard error. minus_clean: less that on the clean data; minus_random: less that "
            "of random selection on the same data; both paired by seed, with standard error "
            f"[interval]. {INTERVAL}; t_p: paired t-test, two-sided. Outliers take classes away: "
            "fewer are left to be told apart than on the clean data.",
            effects[[*first, *(c for c in effects.columns if c not in (*first, *METHOD))]],
        )


def disturbance_figures(given: AnalysisInput, theme: Theme) -> Iterator[ResultFigure]:
    """Yield what a disturbance costs, and what strategies are above random selection with it."""
    effects = pd.DataFrame() if given.aulc is None else disturbance_effects(given.aulc)
    if not len(effects):
        return
    for column, what, title, compared in (
        (MINUS_CLEAN, "cost", "cost", "less that on the clean data"),
        (MINUS_RANDOM, "gain", "leave of the gain", "less that of random selection"),
    ):
        if effects[column].notna().any():
            yield ResultFigure(
                f"{given.prefix}-disturbances-{what}",
                f"What disturbances of the data {title}",
                f"AULC (area under the learning curve) of {given.label}, {compared}, paired by "
                f"seed; {INTERVAL_LINES}.",
                effects,
                partial(
                    draw_disturbances, given.drawn(effects), column, f"AULC {compared}",
                    given.variants, theme,
                ),
            )  # fmt: skip
