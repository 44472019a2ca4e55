"""Charts as data: lines with bands, for every choice that a reader can make."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from alupdate.plots.style import Style
from alupdate.report.svg_style import svg_style

SEEDED = ["panel", "series", "x", "seed"]
"""The columns that ``Chart.frame`` has beside the metrics."""
POINT = SEEDED[:3]
BAND = (
    "Lines are means over seeds, bands one standard error; of seconds and ratios, medians and "
    "quartiles."
)
"""What every chart draws, for its caption."""


@dataclass(frozen=True)
class Metric:
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


SCORES = (
    Metric("accuracy", "test accuracy", "higher is better"),
    Metric("nll", "test negative log-likelihood", "lower is better"),
    Metric("brier", "test Brier score", "lower is better"),
    Metric("ece", "test expected calibration error", "lower is better"),
    Metric("ace", "test adaptive calibration error", "lower is better"),
)
"""What every chart can show of a model."""


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
class Selector:
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
    selectors: tuple[Selector, ...]
    metrics: tuple[Metric, ...]
    series: tuple[Series, ...]
    frame: pd.DataFrame
    reference: pd.DataFrame | None = None
    reference_name: str = ""


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
