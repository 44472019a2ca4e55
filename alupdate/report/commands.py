"""The commands that read results: ``alupdate tables``, ``figures``, ``report`` and their like."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from alupdate.report.sources import (
    SOURCE,
    metric_argument,
    read_source,
    say_notes,
    write_result,
)
from alupdate.report.tables import make_tables, table_arguments
from alupdate.utils.display import printable, protect_streams
from alupdate.utils.errors import DONE, INTERRUPTED, WRONG_INPUT, InputError, redacted
from alupdate.utils.metrics import PRIMARY

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        help: one line.
        description: what it writes.
        arguments: adds its arguments to a parser.
        run: does it and returns the exit code, None for success; what it raises is explained in
            one line.
    """

    help: str
    description: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]


def run_command(arguments: Sequence[str]) -> int:
    """Run one of ``COMMANDS``, and return the exit code.

    Args:
        arguments: the name of the command, and its own arguments.
    """
    protect_streams()
    try:
        chosen = _parser().parse_args(arguments)
    except SystemExit as answer:  # of argparse, which has said why
        return int(answer.code or DONE)
    try:
        code = COMMANDS[chosen.command].run(chosen)
    except InputError as error:
        return _say(str(error), WRONG_INPUT)
    except OSError as error:
        named = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _say(named, WRONG_INPUT)
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    return code or DONE


def _say(line: str, code: int) -> int:
    shown = printable(redacted(line))
    print(f"error: {shown}" if code == WRONG_INPUT else shown, file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="alupdate")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        command.arguments(
            commands.add_parser(name, help=command.help, description=command.description)
        )
    return parser


def _figure_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help=f"{SOURCE}, of areas or of benchmark rows")
    parser.add_argument(
        "folder", type=Path, nargs="?", help="where the files go (default: beside the data)"
    )
    metric_argument(parser)
    parser.add_argument(
        "--paper", action="store_true",
        help="the text width of Springer's LNCS (12.2 cm), serif letters of 8 pt, embedded fonts",
    )  # fmt: skip
    parser.add_argument(
        "--against", choices=("labels", "cost"), default="labels",
        help="what curves and AULCs are over (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--only", nargs="+", default=["*"], metavar="PATTERN",
        help='draw the figures whose names match one of these, as in "curves-*" "*-ranks-*"',
    )  # fmt: skip


def _figures(chosen: argparse.Namespace) -> None:
    from alupdate.analysis.catalogue import analysis_input, result_figures
    from alupdate.analysis.render import write_figure
    from alupdate.analysis.theme import PAPER, SCREEN

    source: Path = chosen.source
    folder = chosen.folder or (source if source.is_dir() else source.parent)
    theme = PAPER if chosen.paper else SCREEN
    given = analysis_input(read_source(source, chosen.metric), chosen.metric)
    figures = result_figures(given, theme, chosen.against)
    wanted = [f for f in figures if any(fnmatch(f.name, pattern) for pattern in chosen.only)]
    if not wanted:
        names = ", ".join(figure.name for figure in figures)
        raise InputError(f"--only: {' '.join(chosen.only)} matches no figure of {names}")
    folder.mkdir(parents=True, exist_ok=True)
    if given.note:
        print(f"figures show {given.note}; tables have all", file=sys.stderr)
    for figure in wanted:
        try:
            write_figure(figure, folder, theme)
        except InputError as error:
            print(f"left out {figure.name}: {error}", file=sys.stderr)
        else:
            print(folder / f"{figure.name}.png")


def _report_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help=SOURCE)
    parser.add_argument(
        "target", type=Path, nargs="?", metavar="OUTPUT.html",
        help="the page (default: report.html in the directory, or beside the CSV under its name)",
    )  # fmt: skip


def _report(chosen: argparse.Namespace) -> None:
    from alupdate.report.page import page
    from alupdate.results.reader import read_results

    source: Path = chosen.source
    beside = source / "report.html" if source.is_dir() else source.with_suffix(".html")
    target: Path = chosen.target or beside
    write_result(target, page(read_results(source)))
    print(target)


def _area_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", type=Path, metavar="OUTPUT.csv", help="the file to write")
    parser.add_argument(
        "sources", type=Path, nargs="+", metavar="results/<experiment>", help="experiments"
    )


def _areas(chosen: argparse.Namespace) -> None:
    import pandas as pd

    from alupdate.analysis.aulc import aulc_with_seconds
    from alupdate.analysis.lengths import to_common_length

    names = [folder.resolve().name for folder in chosen.sources]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"two of the experiments are called {twice[0]}; rename one")
    parts = []
    for folder, name in zip(chosen.sources, names, strict=True):
        results = read_source(folder, PRIMARY)
        if results.curves is None or results.timings is None:
            raise InputError(f"{folder}: holds no runs of task=active_learning")
        curves = to_common_length(results.curves, results.stopping)
        part = aulc_with_seconds(curves, results.timings)
        part.insert(0, "experiment", name)
        parts.append(part)
    table = pd.concat(parts)
    write_result(chosen.target, table.to_csv(index=False, lineterminator="\n", float_format="%.5g"))
    print(f"{chosen.target}: {len(table)} runs")


def _gather_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="results/<experiment>", help="the runs")
    parser.add_argument("target", type=Path, metavar="OUTPUT.csv", help="the file to write")
    parser.add_argument(
        "name", nargs="?", default="curve.csv",
        help="which file of each run: curve.csv (default), timings.csv, updates.csv, ...",
    )  # fmt: skip


def _gather(chosen: argparse.Namespace) -> None:
    table = _rows(chosen.source, chosen.name)
    write_result(chosen.target, table.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    print(f"{chosen.target}: {len(table)} rows of {table['run'].nunique()} runs")


def _rows(source: Path, file: str) -> "pd.DataFrame":
    """Return the rows of one kind of file of all completed runs.

    Without the metrics that were added later and that none of them has.

    Raises:
        InputError: there are no such rows.
    """
    from alupdate.results.csv_tables import KINDS
    from alupdate.results.reader import read_results
    from alupdate.utils.metrics import LATER_METRICS

    fields = {kind.file: field for field, kind in KINDS.items() if kind.file}
    if file not in fields:
        raise InputError(f"{file}: is no table of a run; available: {', '.join(fields)}")
    results = read_results(source)
    say_notes(results.notes())
    table: pd.DataFrame | None = getattr(results, fields[file])
    if table is None:
        raise InputError(f"{source}: holds no {file} of a completed run")
    unknown = [name for name in LATER_METRICS if name in table and table[name].isna().all()]
    return table.drop(columns=unknown)


COMMANDS = {
    "tables": Command(
        "print all tables of an experiment, and write them as Markdown, LaTeX and CSV",
        "Print every table that the runs of an experiment allow, as Markdown, and write each as "
        "a .md, a .tex (for the LaTeX package booktabs) and a .csv. With --cite one table for a "
        "paper; with --compare A another folder of results cell by cell.",
        table_arguments,
        make_tables,
    ),
    "figures": Command(
        "draw all figures of an experiment",
        "Draw every figure that the runs of an experiment allow, as .png and .pdf, and write the "
        "numbers behind each as .csv.",
        _figure_arguments,
        _figures,
    ),
    "report": Command(
        "write one HTML page about an experiment",
        "Write one self-contained HTML page about an experiment: figures, tables, settings, "
        "failures.",
        _report_arguments,
        _report,
    ),
    "areas": Command(
        "write the AULC of every run of some experiments",
        "Write one row per run: its AULC, the area under its curve of test accuracy, and the "
        "median seconds of a query.",
        _area_arguments,
        _areas,
    ),
    "gather": Command(
        "gather one kind of CSV file of all runs",
        "Gather one kind of CSV file of all runs of an experiment into one compact file.",
        _gather_arguments,
        _gather,
    ),
}
"""What ``alupdate NAME ...`` and ``scripts/NAME.py ...`` do."""
