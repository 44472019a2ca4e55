"""Print every table that the runs of an experiment allow, as Markdown, and write them to files.

usage: python scripts/tables.py results/<experiment> [OUTPUT_DIRECTORY] [--metric METRIC]

The first argument may also be a CSV of gathered runs. Each table becomes a .csv, a .tex (for the
LaTeX package booktabs) and a .md in OUTPUT_DIRECTORY, by default the folder tables beside the
data. METRIC is a column of test scores, by default accuracy. The statistics are in
alupdate/analysis.
"""

import argparse
import sys
from pathlib import Path

from alupdate.analysis.render import csv, latex, markdown
from alupdate.analysis.tables import result_tables
from alupdate.results.reader import read_results
from alupdate.utils.errors import DONE, WRONG_INPUT, InputError
from alupdate.utils.files import replace_file
from alupdate.utils.metrics import METRIC_NAMES, PRIMARY


def main(arguments: list[str]) -> int:
    """Print and write the tables, and return the exit code."""
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--metric", choices=METRIC_NAMES, default=PRIMARY)
    try:
        chosen = parser.parse_args(arguments)
    except SystemExit as answer:
        return int(answer.code or 0)
    beside = chosen.source if chosen.source.is_dir() else chosen.source.parent
    folder = chosen.folder or beside / "tables"
    try:
        found = read_results(chosen.source)
        for note in found.notes():
            print(note, file=sys.stderr)
        found.require(chosen.metric)
        tables = result_tables(found.curves, found.updates, found.areas, chosen.metric)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_INPUT
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        print(markdown(table))
        for ending, render in (("csv", csv), ("tex", latex), ("md", markdown)):
            replace_file(folder / f"{table.name}.{ending}", render(table))
    print(f"{len(tables)} tables in {folder}")
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
