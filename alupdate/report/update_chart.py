"""The charts of updating studies: updates against retraining."""

from collections.abc import Iterator

import pandas as pd

from alupdate.plots.style import UPDATES, Style
from alupdate.report.chart import BAND, SCORES, SEEDED, Chart, Metric, Selector, Series
from alupdate.statistics.update_series import best_gamma, in_series

METRICS = (
    *SCORES,
    Metric("decision_flips", "share of predictions that differ from the base model's"),
    Metric("agreement", "agreement with the retrained model", "higher is better"),
    Metric("seconds", "seconds", "lower is better", True),
    Metric("speedup", "seconds of retraining over these seconds", "higher is better", True),
)
NAMES = [metric.key for metric in METRICS]
SIZES = {"n_new": "new labels", "n_initial": "initial labels"}
MIN_GAMMAS = 3
"""Fewer step sizes do not make a chart against gamma."""
LINES = {"base": ":", "retrain": "--", "retrain_lbfgs": "--"}
"""Of references, in matplotlib's names; updates have solid ones."""
ALL = "all (mean)"
ANCHORS = ("base", "retrain")
"""What the vertical axis must show; updates that are far below the base model may leave it."""
OUTSIDE = "A line that leaves the frame is far worse than the base model; see the table."


def update_charts(updates: pd.DataFrame) -> list[Chart]:
    """Return the charts that the rows of updates.csv allow."""
    table = in_series(updates.assign(setting=updates["dataset"] + ", " + updates["backbone"]))
    chosen = pd.concat(list(_at_best_gamma(table)), ignore_index=True)
    others = dict(zip(SIZES, reversed(SIZES), strict=True))
    charts = [_by_size(chosen, size, others[size]) for size in SIZES if updates[size].nunique() > 1]
    if table.groupby("series")["gamma"].nunique().max() >= MIN_GAMMAS:
        charts.append(_by_gamma(table))
    return charts or [_by_size(chosen, "n_new", "n_initial")]


def _at_best_gamma(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the rows of each series at its best gamma in each setting; all where it has none."""
    for (_, name), rows in table.groupby(["setting", "series"]):
        if rows["gamma"].isna().all():
            yield rows
        else:
            best = best_gamma(rows)
            yield rows[rows["gamma"] == best].assign(series=f"{name}, gamma {best:g}")


def _by_size(chosen: pd.DataFrame, size: str, other: str) -> Chart:
    table = chosen.assign(x=chosen[size])
    means = table.groupby(["setting", "series", "method", "x", "seed"])[NAMES].mean().reset_index()
    table = pd.concat([means.assign(**{other: -1}), table], ignore_index=True)
    settings = table["setting"].astype("category")
    others = table[other].astype("category")
    values = [f"{int(value):,}" for value in others.cat.categories[1:]]
    panel = settings.cat.codes.astype(str) + "|" + others.cat.codes.astype(str)
    return _chart(
        table.assign(panel=panel),
        key=f"by-{size.replace('_', '-')}",
        title=f"Updates by number of {SIZES[size]}",
        caption=f"{BAND} {OUTSIDE} Each update is shown at the step size gamma that is best on "
        "average in its data set, which favours updates that need tuning.",
        x_label=SIZES[size],
        selectors=(
            Selector("Data set", tuple(map(str, settings.cat.categories))),
            Selector(SIZES[other].capitalize(), (ALL, *values)),
        ),
    )


def _by_gamma(table: pd.DataFrame) -> Chart:
    """Return the chart against gamma; what has none is a horizontal line."""
    fixed = table[table["gamma"].notna()].assign(x=lambda rows: rows["gamma"])
    gammas = pd.DataFrame({"x": sorted(fixed["x"].unique())})
    level = table[table["gamma"].isna()].merge(gammas, how="cross")
    rows = pd.concat([fixed, level])
    table = rows.groupby(["setting", "series", "method", "x", "seed"])[NAMES].mean().reset_index()
    settings = table["setting"].astype("category")
    return _chart(
        table.assign(panel=settings.cat.codes.astype(str)),
        key="by-gamma",
        title="Updates by step size",
        caption=f"{BAND} {OUTSIDE} Means over all initial and new sizes.",
        x_label="step size gamma",
        selectors=(Selector("Data set", tuple(map(str, settings.cat.categories))),),
    )


def _chart(
    table: pd.DataFrame,
    *,
    key: str,
    title: str,
    caption: str,
    x_label: str,
    selectors: tuple[Selector, ...],
) -> Chart:
    retrained = table[table["method"] == "retrain"]
    return Chart(
        key=key,
        title=title,
        caption=caption,
        x_label=x_label,
        x_log=True,
        selectors=selectors,
        metrics=METRICS,
        series=_series(table),
        frame=table[[*SEEDED, *NAMES]],
        reference=retrained[["panel", "x", "seed", *NAMES]],
        reference_name="retrain",
    )


def _series(table: pd.DataFrame) -> tuple[Series, ...]:
    """Return the references and then the updates, each in its style of the figures."""
    order = {method: place for place, method in enumerate(UPDATES)}
    firsts = table.drop_duplicates("series").assign(place=table["method"].map(order))
    return tuple(
        Series(
            name=row["series"],
            style=Style(*UPDATES[row["method"]], LINES.get(row["method"], "-")),
            anchor=row["method"] in ANCHORS,
        )
        for row in firsts.sort_values(["place", "series"]).to_dict("records")
    )
