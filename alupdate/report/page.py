"""One self-contained HTML page about an experiment."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from alupdate import __version__
from alupdate.analysis.catalogue import analysis_input, result_tables
from alupdate.analysis.question import ResultTable
from alupdate.analysis.render import cells
from alupdate.analysis.variants import SETTING, finished
from alupdate.report.charts import Chart, as_json, curve_chart, update_charts
from alupdate.results.provenance import now
from alupdate.results.reader import MissingRun, Results

MAX_VALUES = 30
"""More values than these of one setting are counted instead of listed."""


@dataclass(frozen=True)
class Varying:
    """A setting with more than one value, or that only some runs have.

    Attributes:
        key: ``group.key``.
        values: value and number of runs, in order.
        without: number of runs that have no such setting.
        owners: the options of the group that have it, where these decide; empty otherwise.
    """

    key: str
    values: tuple[tuple[str, int], ...]
    without: int
    owners: tuple[str, ...]

    @property
    def is_choice(self) -> bool:
        """Whether runs differ in the value, rather than in whether they have it."""
        return len(self.values) > 1 or not self.without


def common(runs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the settings that all runs share."""
    if not runs:
        return {}
    return {k: v for k, v in runs[0].items() if all(run.get(k) == v for run in runs)}


def varying(runs: Sequence[Mapping[str, str]]) -> list[Varying]:
    """Return the settings that differ between runs, or that only some runs have."""
    shared = common(runs)
    keys = dict.fromkeys(key for run in runs for key in run if key not in shared)
    return [_varying(key, runs) for key in keys]


def _varying(key: str, runs: Sequence[Mapping[str, str]]) -> Varying:
    values = [run[key] for run in runs if key in run]
    counted = [(value, values.count(value)) for value in sorted(set(values), key=natural)]
    if key == "seed" and all(value.isdigit() for value in values):
        counted = [(ranges(map(int, values)), len(values))]
    elif len(counted) > MAX_VALUES:
        counted = [(f"{len(counted)} different values", len(values))]
    return Varying(key, tuple(counted), len(runs) - len(values), _owners(key, runs))


def _owners(key: str, runs: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """Return the names in the key's group of the runs that have the key, if no other run has."""
    name = f"{key.split('.', maxsplit=1)[0]}.name"
    having = {run.get(name, "") for run in runs if key in run}
    lacking = {run.get(name, "") for run in runs if key not in run}
    return () if having & lacking or not lacking - {""} else tuple(sorted(having))


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as text, neighbours as ranges: 0 to 4 and 7 as two parts."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}\N{EN DASH}{b}" for a, b in spans)


def natural(text: str) -> list[tuple[bool, float, str]]:
    """Return a key that sorts numbers within texts by value."""
    parts = re.split(r"(\d+(?:\.\d+)?)", text)
    return [
        (i % 2 == 0, float(p) if i % 2 else 0.0, "" if i % 2 else p) for i, p in enumerate(parts)
    ]


@dataclass(frozen=True)
class Facts:
    """Summary and provenance of an experiment.

    Attributes:
        name: of the experiment.
        summary: short statements: what, and how much.
        missing: runs that figures or tables leave out.
        oracles: a sentence per strategy that sees labels not acquired yet.
        settings, provenance: what all runs share: key to value.
        varying_settings, varying_provenance: in what they differ.
        has_runs: whether run directories were read; a file of gathered runs has none.
    """

    name: str
    summary: tuple[tuple[str, str], ...]
    missing: tuple[MissingRun, ...]
    oracles: tuple[str, ...]
    settings: Mapping[str, str]
    varying_settings: Sequence[Varying]
    provenance: Mapping[str, str]
    varying_provenance: Sequence[Varying]
    has_runs: bool


def facts(results: Results) -> Facts:
    """Return summary and provenance of an experiment."""
    runs = results.runs
    settings, provenance = [run.settings for run in runs], [run.provenance for run in runs]
    return Facts(
        name=results.name,
        summary=tuple(_summary(results)),
        missing=(*results.missing, *_shorter(results)),
        oracles=tuple(_oracles(results)),
        settings=common(settings),
        varying_settings=varying(settings),
        provenance=common(provenance),
        varying_provenance=varying(provenance),
        has_runs=bool(runs or results.missing),
    )


def _summary(results: Results) -> list[tuple[str, str]]:
    main = [table for table in (results.curves, results.updates) if table is not None]
    finished = sum(table["run"].nunique() for table in main)
    everything = finished + len(results.missing)
    found = [("runs", f"{finished} finished of {everything}")]
    if main:
        seeds = pd.concat([table["seed"] for table in main])
        for column, words in (("dataset", "data set"), ("backbone", "backbone")):
            names = sorted({str(name) for table in main for name in table[column]})
            found.append((f"{words}s" if len(names) > 1 else words, ", ".join(names)))
        found.append(("seeds", ranges(seeds)))
    if results.curves is not None:
        found.append(("strategies", str(results.curves["strategy"].nunique())))
        labels = results.curves["n_labelled"]
        found.append(("labels", f"{labels.min()} to {labels.max()}"))
    if results.timings is not None:
        found.append(("computing time", duration(results.timings["seconds"].sum())))
    times = [run.started for run in results.runs if run.started]
    times += [run.updated for run in results.runs if run.updated]
    if times:
        first, last = min(times)[:10], max(times)[:10]
        found.append(("date", first if first == last else f"{first} to {last}"))
    return found


def _shorter(results: Results) -> list[MissingRun]:
    """Return the runs that statistics leave out, as others of their setting have more cycles."""
    if results.curves is None:
        return []
    curves = results.curves
    left_out = curves[~curves["run"].isin(finished(curves)["run"])]
    return [
        MissingRun(str(run), "shorter", f"ends at cycle {last:g}, before others: in figures only")
        for run, last in left_out.groupby("run")["cycle"].max().items()
    ]


def _oracles(results: Results) -> list[str]:
    said = sorted({run.oracle for run in results.runs if run.oracle})
    if said or results.curves is None:
        return said
    names = sorted(results.curves.loc[results.curves["oracle"], "strategy"].unique())
    return [f"strategy {name} is an oracle: it sees labels not acquired yet" for name in names]


def duration(seconds: float) -> str:
    """Return seconds in the unit that suits them."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


ASSETS = Path(__file__).parent / "assets"
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
        found.append(curve_chart(results))
    if results.updates is not None:
        found += update_charts(results.updates)
    return found


def render(about: Facts, charts: list[Chart], tables: list[ShownTable]) -> str:
    """Return the HTML text; everything that comes from runs is escaped."""
    script = "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS)
    style = (ASSETS / "page.css").read_text(encoding="utf-8")
    environment = Environment(
        loader=PackageLoader("alupdate.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"breakable": _breakable, "minute": _minute}
    return environment.get_template("page.html.j2").render(
        about=about,
        charts=charts,
        tables=tables,
        version=__version__,
        made=now(),
        style=Markup(style),  # noqa: S704 our own file
        script=Markup(script),  # noqa: S704 our own files
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=Markup(_inert([as_json(chart) for chart in charts])),  # noqa: S704 no < within
    )


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
