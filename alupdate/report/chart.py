"""Charts as data: lines with bands, for every choice that a reader can make."""

from collections.abc import Sequence
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
        reference: rows in the same form without series, to which differences are taken.
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
    frames = {"value": chart.frame}
    if chart.reference is not None:
        frames["difference"] = differences(chart)
    for view, frame in frames.items():
        for metric in chart.metrics:
            if view == "difference" and metric.median:
                continue
            for panel, lines in _lines(frame, metric, chart.series).items():
                found.setdefault(panel, {}).setdefault(metric.key, {})[view] = lines
    return found


def differences(chart: Chart) -> pd.DataFrame:
    """Return the frame with each metric minus that of the reference with the same seed and x."""
    assert chart.reference is not None
    names = [metric.key for metric in chart.metrics if not metric.median]
    on = [name for name in chart.reference.columns if name not in names]
    joined = chart.frame.merge(chart.reference, on=on, suffixes=("", " reference"))
    for name in names:
        joined[name] = joined[name] - joined[f"{name} reference"]
    return joined


def _lines(frame: pd.DataFrame, metric: Metric, series: Sequence[Series]) -> dict[str, list[Any]]:
    values = frame[metric.key]
    rows = frame[np.isfinite(values) & ((values > 0) if metric.median else True)]
    groups = rows.groupby(POINT)[metric.key]
    if metric.median:
        bounds = {"y": groups.median(), "low": groups.quantile(0.25), "high": groups.quantile(0.75)}
    else:
        mean, error = groups.mean(), groups.sem().fillna(0.0)
        bounds = {"y": mean, "low": mean - error, "high": mean + error}
    table = pd.DataFrame(bounds | {"n": groups.count()}).reset_index()
    places = {entry.name: place for place, entry in enumerate(series)}
    found: dict[str, list[Any]] = {}
    for (panel, name), line in table.groupby(["panel", "series"], sort=True):
        lists = {c: [_short(v) for v in line[c]] for c in ("x", "y", "low", "high", "n")}
        found.setdefault(str(panel), []).append({"series": places[str(name)], **lists})
    return found


def _short(value: float) -> float | int:
    """Return the number with five significant digits, without a needless fraction."""
    rounded = float(f"{value:.5g}")
    return int(rounded) if rounded.is_integer() else rounded


def as_json(chart: Chart) -> dict[str, Any]:
    """Return what the page's script needs to know of a chart."""
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
        "panels": panels(chart),
    }
