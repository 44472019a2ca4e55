"""One self-contained HTML page about an experiment."""

import json
from dataclasses import dataclass, replace

import pandas as pd
from markupsafe import Markup, escape

from alupdate.analysis.catalogue import analysis_input, result_tables
from alupdate.analysis.lengths import to_common_length
from alupdate.analysis.question import ResultTable
from alupdate.analysis.render import cells
from alupdate.analysis.variants import SETTING
from alupdate.report.charts import Chart, as_json, curve_chart, update_charts
from alupdate.report.summary import Facts, facts
from alupdate.report.template import rendered
from alupdate.results.provenance import now
from alupdate.results.reader import Results

SCRIPTS = ("drawing.js", "reader.js")
WIDE, LONG = 14, 40
"""A table with more columns or rows than these is folded away at first."""


@dataclass(frozen=True)
class TablePart:
    """One table as text.

    Attributes:
        caption: the data set and backbone, and what holds for all rows; may be empty.
        numeric: whether a column holds numbers, and so is set to the right.
    """

    caption: str
    names: list[str]
    numeric: list[bool]
    rows: list[list[str]]


@dataclass(frozen=True)
class ShownTable:
    """A table of results, with a part for each data set where it tells them apart.

    Attributes:
        key: of the HTML element.
        text: what the columns mean.
        folded: whether the reader has to open it.
    """

    key: str
    title: str
    text: str
    parts: list[TablePart]
    folded: bool


def page(results: Results) -> str:
    """Return the HTML text.

    Raises:
        InputError: runs differ in settings that their tables do not show.
    """
    tables = [_shown(table) for table in result_tables(analysis_input(results))]
    return render(facts(results), charts_of(results), tables)


def charts_of(results: Results) -> list[Chart]:
    """Return every chart that the completed runs allow."""
    found = []
    if results.curves is not None:
        cut = to_common_length(results.curves, results.stopping)
        found.append(curve_chart(replace(results, curves=cut)))
    if results.updates is not None:
        found += update_charts(results.updates)
    return found


def render(about: Facts, charts: list[Chart], tables: list[ShownTable]) -> str:
    """Return the HTML text; everything that comes from runs is escaped."""
    values = {
        "about": about,
        "charts": charts,
        "tables": tables,
        "made": now(),
        "data": Markup(_inert([as_json(chart) for chart in charts])),  # noqa: S704 no < within
    }
    filters = {"breakable": _breakable, "minute": _minute}
    return rendered("alupdate.report", "page.html.j2", "page.css", SCRIPTS, filters, values)


def _breakable(text: str) -> Markup:
    """Return the escaped text, which may be broken after each underscore."""
    return escape(text).replace("_", Markup("_<wbr>"))


def _minute(time: str) -> str:
    """Return an ISO 8601 time in UTC, to the minute; nothing for nothing."""
    return f"{time[:16].replace('T', ' ')} UTC" if time else ""


def _inert(document: object) -> str:
    """Return JSON in which nothing can end the HTML element that holds it."""
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _shown(table: ResultTable) -> ShownTable:
    parts = [_part("", table.frame)]
    if set(SETTING) <= set(table.frame):
        groups = table.frame.groupby(SETTING, sort=False)
        parts = [
            _part(", ".join(map(str, key)), rows.drop(columns=SETTING)) for key, rows in groups
        ]
    return ShownTable(
        key=f"table-{table.name}",
        title=table.title,
        text=table.caption,
        parts=parts,
        folded=any(len(part.names) > WIDE or len(part.rows) > LONG for part in parts),
    )


def _part(setting: str, frame: pd.DataFrame) -> TablePart:
    """Return a table as text; a note that all rows share stands in the caption."""
    captions = [setting]
    if "note" in frame and frame["note"].nunique() == 1:
        captions.append(str(frame["note"].iloc[0]))
        frame = frame.drop(columns="note")
    names, rows = cells(frame)
    numeric = {str(c).replace("_", " ") for c in frame.select_dtypes("number")}
    return TablePart(
        caption="; ".join(filter(None, captions)),
        names=names,
        numeric=[name in numeric for name in names],
        rows=rows,
    )
