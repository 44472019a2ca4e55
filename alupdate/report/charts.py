"""Charts of the report as data: lines with bands, for every choice that a reader can make."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from alupdate.analysis.styles import MethodStyles, Style, VariantStyles
from alupdate.analysis.updates import BASE, RETRAIN, SIZES, best_gamma, in_series
from alupdate.analysis.variants import named
from alupdate.config.values import NO_LABEL
from alupdate.report.svg_style import svg_style
from alupdate.results.reader import Results
from alupdate.utils.metrics import METRICS


@dataclass(frozen=True)
class ChartMetric:
    """What a vertical axis shows.

    Attributes:
        key: a column of the chart's frame.
        label: of the axis.
        hint: which direction is good; may be empty.
        median: show median and quartiles over seeds, on a logarithmic axis: for seconds and
            ratios. Otherwise mean and standard error.
    """

    key: str
    label: str
    hint: str = ""
    median: bool = False


@dataclass(frozen=True)
class Series:
    """One entry of a legend.

    Attributes:
        style: as in the figures.
        anchor: the vertical axis spans it; where there are anchors, other lines may leave it.
    """

    name: str
    style: Style
    anchor: bool = False


@dataclass(frozen=True)
class ChartSelector:
    """A choice for the reader, such as the data set."""

    label: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Chart:
    """A chart with its selectors.

    Attributes:
        key: of the HTML element.
        title, caption: what one sees.
        x_label, x_log: the horizontal axis.
        selectors: a panel is one choice of each.
        metrics: columns of ``frame``.
        series: entries of the legend, in order.
        frame: columns panel (positions of the choices, such as "0|2"), series, x, seed and the
            metrics; one row per panel, series, x and seed.
        reference: rows in the same form without series, to which differences are taken; paired
            by all columns that are no metrics.
        reference_name: of what differences are taken to; empty without reference.
    """

    key: str
    title: str
    caption: str
    x_label: str
    x_log: bool
    selectors: tuple[ChartSelector, ...]
    metrics: tuple[ChartMetric, ...]
    series: tuple[Series, ...]
    frame: pd.DataFrame
    reference: pd.DataFrame | None = None
    reference_name: str = ""


POINT = ["panel", "series", "x"]
SEEDED = [*POINT, "seed"]
"""The columns that ``Chart.frame`` has beside the metrics."""
LINE = ["setting", "series", "method", "step_size", "x", "seed"]
"""The columns by which rows of updates are averaged over what a chart does not show."""
CYCLE = ["run", "cycle"]
HIGHER, LOWER = "higher is better", "lower is better"
SCORES = tuple(
    ChartMetric(metric.name, f"test {metric.label}", HIGHER if metric.higher_is_better else LOWER)
    for metric in METRICS
)
"""What every chart can show of a model."""
ACQUIRED = (
    ChartMetric("classes", "classes among the labels acquired"),
    ChartMetric("effective_classes", "effective classes acquired, exp(entropy of the labels)"),
)
COMPARED = (
    ChartMetric("before_accuracy", "test accuracy before the new labels", HIGHER),
    ChartMetric("update_accuracy", "test accuracy by updating", HIGHER),
    ChartMetric("retrain_accuracy", "test accuracy by retraining", HIGHER),
    ChartMetric("agreement", "agreement of updated and retrained model", HIGHER),
    ChartMetric("speedup", "seconds of retraining over those of updating", HIGHER, True),
)
UPDATED = (
    *SCORES,
    ChartMetric("decision_flips", "share of predictions that differ from the base model's"),
    ChartMetric("agreement", "agreement with the retrained model", HIGHER),
    ChartMetric("seconds", "seconds", LOWER, True),
    ChartMetric("speedup", "seconds of retraining over these seconds", HIGHER, True),
)
"""What a chart of updates can show."""
UPDATED_KEYS = [metric.key for metric in UPDATED]
MIN_STEP_SIZES = 3
"""Fewer step sizes do not make a chart against gamma."""
ALL = "all (mean)"
ANCHORS = (BASE, RETRAIN)
"""What the vertical axis must show; updates that are far below the base model may leave it."""
BANDS = (
    "Lines are means over seeds, bands one standard error; of seconds and ratios, medians and "
    "quartiles."
)
ORACLES = " Dashed lines are oracles: upper baselines that see labels not acquired yet."
OUTSIDE = "A line that leaves the frame is far worse than the base model; see the table."
"""Sentences of captions."""


def curve_chart(results: Results) -> Chart:
    """Return the chart of active-learning runs: of curves, timings, queries and comparisons.

    Args:
        results: with curves, and whatever there is of the other three.
    """
    table, metrics = _per_cycle(results)
    settings = (table["dataset"] + ", " + table["backbone"]).astype("category")
    table = table.assign(
        panel=settings.cat.codes.astype(str), series=table["variant"], x=table["n_labelled"]
    )
    names = [metric.key for metric in metrics]
    reference = _reference(table, names)
    return Chart(
        key="curves",
        title="Learning curves",
        caption=BANDS + (ORACLES if table["oracle"].any() else ""),
        x_label="labels acquired",
        x_log=False,
        selectors=(ChartSelector("Data set", tuple(map(str, settings.cat.categories))),),
        metrics=tuple(metrics),
        series=_curve_series(table),
        frame=table[[*SEEDED, *names, "update"]],
        reference=reference,
        reference_name="" if reference is None else "random",
    )


def _per_cycle(results: Results) -> tuple[pd.DataFrame, list[ChartMetric]]:
    """Return the rows of curve.csv with a column for everything else known of a cycle."""
    assert results.curves is not None
    table = named(results.curves)
    metrics = list(_known(SCORES, table))
    if results.queries is not None:
        table = table.merge(acquired_classes(results.queries), on=CYCLE, how="left")
        metrics += ACQUIRED
    if results.comparisons is not None:
        columns = [*CYCLE, *(metric.key for metric in COMPARED)]
        table = table.merge(results.comparisons[columns], on=CYCLE, how="left")
        metrics += COMPARED
    if results.timings is not None:
        seconds = phase_seconds(results.timings)
        table = table.merge(seconds, on=CYCLE, how="left")
        metrics += [
            ChartMetric(name, name.replace("_", " "), LOWER, True)
            for name in map(str, seconds.columns.drop(CYCLE))
        ]
    return table, metrics


def _known(metrics: Sequence[ChartMetric], table: pd.DataFrame) -> tuple[ChartMetric, ...]:
    """Return the metrics that some row has: runs may be older than a metric."""
    return tuple(metric for metric in metrics if table[metric.key].notna().any())


def phase_seconds(timings: pd.DataFrame) -> pd.DataFrame:
    """Return one row per run and cycle, one column ``seconds_of_...`` per phase of a cycle."""
    wide = timings.pivot_table(index=CYCLE, columns="phase", values="seconds", aggfunc="sum")
    return wide.loc[:, wide.max() > 0].add_prefix("seconds_of_").reset_index()


def acquired_classes(queries: pd.DataFrame) -> pd.DataFrame:
    """Return run, cycle, and how many classes the labels acquired so far have.

    ``classes`` counts them; ``effective_classes`` is exp(entropy) of their frequencies: as many
    as ``classes`` where all are equally frequent, fewer where not.
    """
    counts = queries.groupby([*CYCLE, "label"]).size().unstack(fill_value=0)
    counts = counts.drop(columns=NO_LABEL, errors="ignore")
    so_far = counts.groupby("run").cumsum().astype(float)
    shares = so_far.div(so_far.sum(axis=1), axis=0).to_numpy()
    logarithms = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
    found = pd.DataFrame(
        {
            "classes": (shares > 0).sum(axis=1).astype(float),
            "effective_classes": np.exp(-(shares * logarithms).sum(axis=1)),
        },
        index=so_far.index,
    )
    return found.reset_index()


def _reference(table: pd.DataFrame, names: list[str]) -> pd.DataFrame | None:
    """Return the rows of random selection, of the same update where there are several."""
    rows = table[(table["strategy"] == "random") & (table["batch"] == "top_b")]
    keys = ["panel", "x", "seed"]
    if rows.duplicated(keys).any():
        keys.append("update")
    if rows.empty or rows.duplicated(keys).any():
        return None
    return rows[[*keys, *names]]


def _curve_series(table: pd.DataFrame) -> tuple[Series, ...]:
    firsts = table.drop_duplicates("series").sort_values("series").to_dict("records")
    styles = VariantStyles.of(table)
    return tuple(
        Series(row["series"], styles.style({str(k): v for k, v in row.items()})) for row in firsts
    )


def update_charts(updates: pd.DataFrame) -> list[Chart]:
    """Return the charts that the rows of updates.csv allow."""
    table = in_series(updates.assign(setting=updates["dataset"] + ", " + updates["backbone"]))
    chosen = pd.concat(list(_at_best_gamma(table)), ignore_index=True)
    styles = MethodStyles.of(updates)
    several = [size for size in reversed(SIZES) if updates[size].nunique() > 1]
    charts = [_by_size(chosen, size, styles) for size in several]
    if table.groupby("series")["gamma"].nunique().max() >= MIN_STEP_SIZES:
        charts.append(_by_gamma(table, styles))
    return charts or [_by_size(chosen, "n_new", styles)]


def _at_best_gamma(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the rows of each series at its best gamma in each setting; all where it has none."""
    for (_, name), rows in table.groupby(["setting", "series"]):
        if rows["gamma"].isna().all():
            yield rows
        else:
            best = best_gamma(rows)
            yield rows[rows["gamma"] == best].assign(series=f"{name}, gamma {best:g}")


def _by_size(chosen: pd.DataFrame, size: str, styles: MethodStyles) -> Chart:
    (other,) = SIZES.keys() - {size}
    table = chosen.assign(x=chosen[size])
    means = table.groupby(LINE)[UPDATED_KEYS].mean().reset_index()
    table = pd.concat([means.assign(**{other: -1}), table], ignore_index=True)
    settings = table["setting"].astype("category")
    others = table[other].astype("category")
    values = [f"{int(value):,}" for value in others.cat.categories[1:]]
    panel = settings.cat.codes.astype(str) + "|" + others.cat.codes.astype(str)
    return _chart(
        table.assign(panel=panel),
        styles,
        key=f"by-{size.replace('_', '-')}",
        title=f"Updates by number of {SIZES[size]}",
        caption=f"{BANDS} {OUTSIDE} Each update is shown at the step size gamma that is best on "
        "average in its data set, which favours updates that need tuning.",
        x_label=SIZES[size],
        selectors=(
            ChartSelector("Data set", tuple(map(str, settings.cat.categories))),
            ChartSelector(SIZES[other].capitalize(), (ALL, *values)),
        ),
    )


def _by_gamma(table: pd.DataFrame, styles: MethodStyles) -> Chart:
    """Return the chart against gamma; what has none is a horizontal line."""
    fixed = table[table["gamma"].notna()].assign(x=lambda rows: rows["gamma"])
    gammas = pd.DataFrame({"x": sorted(fixed["x"].unique())})
    level = table[table["gamma"].isna()].merge(gammas, how="cross")
    rows = pd.concat([fixed, level])
    table = rows.groupby(LINE)[UPDATED_KEYS].mean().reset_index()
    settings = table["setting"].astype("category")
    return _chart(
        table.assign(panel=settings.cat.codes.astype(str)),
        styles,
        key="by-gamma",
        title="Updates by step size",
        caption=f"{BANDS} {OUTSIDE} Means over all initial and new sizes.",
        x_label="step size gamma",
        selectors=(ChartSelector("Data set", tuple(map(str, settings.cat.categories))),),
    )


def _chart(
    table: pd.DataFrame,
    styles: MethodStyles,
    *,
    key: str,
    title: str,
    caption: str,
    x_label: str,
    selectors: tuple[ChartSelector, ...],
) -> Chart:
    metrics = _known(UPDATED, table)
    columns = [*SEEDED, *(metric.key for metric in metrics)]
    return Chart(
        key=key,
        title=title,
        caption=caption,
        x_label=x_label,
        x_log=True,
        selectors=selectors,
        metrics=metrics,
        series=_update_series(table, styles),
        frame=table[columns],
        reference=table.loc[table["method"] == RETRAIN, columns].drop(columns="series"),
        reference_name=RETRAIN,
    )


def _update_series(table: pd.DataFrame, styles: MethodStyles) -> tuple[Series, ...]:
    """Return the references and then the updates, each in its style of the figures."""
    firsts = table.drop_duplicates("series")
    ordered = firsts.assign(place=firsts["method"].map(styles.place))
    return tuple(
        Series(
            name=row["series"],
            style=styles.style(row["method"], row["step_size"] == "auto"),
            anchor=row["method"] in ANCHORS,
        )
        for row in ordered.sort_values(["place", "series"]).to_dict("records")
    )


def as_json(chart: Chart) -> dict[str, Any]:
    """Return what the page's script needs to know of a chart."""
    uneven = {metric.key for metric in chart.metrics if metric.median}
    return {
        "key": chart.key,
        "title": chart.title,
        "xLabel": chart.x_label,
        "xLog": chart.x_log,
        "metrics": [vars(metric) for metric in chart.metrics],
        "series": [
            {"name": entry.name, "anchor": entry.anchor} | svg_style(entry.style)
            for entry in chart.series
        ],
        "referenceName": chart.reference_name,
        "panels": {
            panel: {
                key: {
                    view: [_compact(line, key in uneven) for line in lines]
                    for view, lines in views.items()
                }
                for key, views in metrics.items()
            }
            for panel, metrics in panels(chart).items()
        },
    }


def _compact(line: dict[str, Any], is_uneven: bool) -> dict[str, Any]:
    """Return a line with one ``n`` where all are the same, and ``error`` in place of even bands."""
    short = {name: line[name] for name in ("series", "x", "y")}
    short["n"] = line["n"][0] if len(set(line["n"])) == 1 else line["n"]
    if is_uneven:
        return short | {"low": line["low"], "high": line["high"]}
    pairs = zip(line["y"], line["high"], strict=True)
    return short | {"error": [_short(high - y, 3) for y, high in pairs]}


def panels(chart: Chart) -> dict[str, dict[str, dict[str, list[Any]]]]:
    """Return panel, metric and view (value or difference) to lines, ready for JSON.

    A line is a dictionary of equally long lists: x, y, low and high (the band) and n, the number
    of seeds; ``series`` is its position in the legend.
    """
    found: dict[str, dict[str, dict[str, list[Any]]]] = {}
    places = {entry.name: place for place, entry in enumerate(chart.series)}
    means = [metric.key for metric in chart.metrics if not metric.median]
    medians = [metric.key for metric in chart.metrics if metric.median]
    summaries = [("value", _means(chart.frame, means)), ("value", _medians(chart.frame, medians))]
    if chart.reference is not None:
        summaries.append(("difference", _means(differences(chart), means)))
    for view, summary in summaries:
        for key in summary["n"].columns:
            columns = {name: table[key].to_list() for name, table in summary.items()}
            for panel, lines in _lines(summary["n"].index.to_list(), columns, places).items():
                found.setdefault(panel, {}).setdefault(key, {})[view] = lines
    return found


def differences(chart: Chart) -> pd.DataFrame:
    """Return the frame with each metric minus that of the reference with the same seed and x."""
    assert chart.reference is not None
    names = [metric.key for metric in chart.metrics if not metric.median]
    every = {metric.key for metric in chart.metrics}
    on = [name for name in chart.reference.columns if name not in every]
    reference = chart.reference[[*on, *names]]
    joined = chart.frame.merge(reference, on=on, suffixes=("", " reference"))
    for name in names:
        joined[name] = joined[name] - joined[f"{name} reference"]
    return joined


def _means(frame: pd.DataFrame, keys: list[str]) -> dict[str, pd.DataFrame]:
    values = frame[keys].where(np.isfinite(frame[keys]))
    groups = values.groupby([frame[name] for name in POINT])
    mean, error = groups.mean(), groups.sem().fillna(0.0)
    return {"y": mean, "low": mean - error, "high": mean + error, "n": groups.count()}


def _medians(frame: pd.DataFrame, keys: list[str]) -> dict[str, pd.DataFrame]:
    values = frame[keys].where(np.isfinite(frame[keys]) & (frame[keys] > 0))
    groups = values.groupby([frame[name] for name in POINT])
    low, high = groups.quantile(0.25), groups.quantile(0.75)
    return {"y": groups.median(), "low": low, "high": high, "n": groups.count()}


def _lines(
    points: list[tuple[str, str, float]], columns: dict[str, list[float]], places: dict[str, int]
) -> dict[str, list[Any]]:
    """Return panel to lines; points without any value are left out."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for i, (panel, series, x) in enumerate(points):
        if not columns["n"][i]:
            continue
        new = {"series": places[series], "x": [], **{name: [] for name in columns}}
        line = lines.setdefault((panel, series), new)
        line["x"].append(_short(x))
        for name, values in columns.items():
            line[name].append(_short(values[i]))
    found: dict[str, list[Any]] = {}
    for (panel, _), line in lines.items():
        found.setdefault(panel, []).append(line)
    return found


def _short(value: float, digits: int = 5) -> float | int:
    """Return the number with a few significant digits, without a needless fraction."""
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() else rounded
