"""Where the commands that read results find them, and what they say of what they leave out."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alupdate.utils.display import printable
from alupdate.utils.errors import InputError, redacted
from alupdate.utils.files import replace_file
from alupdate.utils.metrics import METRIC_NAMES, PRIMARY

if TYPE_CHECKING:
    from alupdate.results.reader import Results

SOURCE = "results/<experiment>, a single run's directory, or a CSV file of gathered runs"


def metric_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a metric."""
    parser.add_argument(
        "--metric", choices=METRIC_NAMES, default=PRIMARY,
        help="the metric by which strategies are compared (default: %(default)s)",
    )  # fmt: skip


def read_source(source: Path, metric: str) -> "Results":
    """Return results that have the metric; a line says of each run that is left out why.

    Raises:
        InputError: there are none.
    """
    from alupdate.analysis.lengths import length_notes
    from alupdate.results.reader import read_results

    results = read_results(source)
    say_notes(results.notes())
    results.require(metric)
    say_notes(results.gaps(metric))
    say_notes(length_notes(results))
    return results


def say_notes(lines: Sequence[str]) -> None:
    """Print lines to the standard error stream."""
    for line in lines:
        print(printable(redacted(line)), file=sys.stderr)


def write_result(target: Path, text: str) -> None:
    """Replace a file.

    Raises:
        InputError: it cannot be written; what was there before is untouched.
    """
    try:
        replace_file(target, text)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from error
