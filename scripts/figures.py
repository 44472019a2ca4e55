"""Draw every figure that the runs of an experiment allow, as PNG and PDF, with its data as CSV.

usage: python scripts/figures.py results/<experiment> [OUTPUT_DIRECTORY] [--metric METRIC] [--paper]
       [--only PATTERN ...]

The first argument may also be a CSV of gathered runs, of areas (scripts/areas.py) or of
scripts/benchmark.py. Without a second one the figures are put beside the data. METRIC is a
column of test scores, by default accuracy.
--only: those whose names match one of the patterns, as in --only "curves-*" "*-ranks-*".
--paper: the text width of Springer's LNCS (12.2 cm), serif letters of 8 pt, embedded fonts.
"""

import argparse
import sys
from fnmatch import fnmatch
from pathlib import Path

from alupdate.analysis.figures import result_figures
from alupdate.analysis.theme import PAPER, SCREEN, Look, ResultFigure
from alupdate.results.reader import read_results
from alupdate.utils.errors import DONE, WRONG_INPUT, InputError
from alupdate.utils.files import replace_file
from alupdate.utils.metrics import METRIC_NAMES, PRIMARY


def save(figure: ResultFigure, folder: Path, look: Look) -> None:
    """Write the figure's PNG, PDF and CSV."""
    with look.applied():
        drawn = figure.draw()
        for ending, metadata in (("png", {}), ("pdf", {"CreationDate": None})):
            drawn.savefig(folder / f"{figure.name}.{ending}", metadata=metadata)
    text = figure.frame.to_csv(index=False, lineterminator="\n", float_format="%.6g")
    replace_file(folder / f"{figure.name}.csv", text)


def main(arguments: list[str]) -> int:
    """Draw the figures, print their paths and return the exit code."""
    parser = argparse.ArgumentParser(usage=str(__doc__).split("usage: ")[1])
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--metric", choices=METRIC_NAMES, default=PRIMARY)
    parser.add_argument("--paper", action="store_true")
    parser.add_argument("--only", nargs="+", default=["*"])
    try:
        chosen = parser.parse_args(arguments)
    except SystemExit as answer:
        return int(answer.code or 0)
    source: Path = chosen.source
    folder = chosen.folder or (source if source.is_dir() else source.parent)
    look = PAPER if chosen.paper else SCREEN
    try:
        found = read_results(source)
        for note in found.notes():
            print(note, file=sys.stderr)
        found.require(chosen.metric)
        tables = found.curves, found.updates, found.areas
        figures = list(result_figures(*tables, chosen.metric, source.stem, look, found.benchmark))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_INPUT
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [f for f in figures if any(fnmatch(f.name, pattern) for pattern in chosen.only)]
    for figure in wanted:
        try:
            save(figure, folder, look)
        except InputError as error:
            print(f"left out {figure.name}: {error}", file=sys.stderr)
        else:
            print(folder / f"{figure.name}.png")
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
