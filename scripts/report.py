"""Write one self-contained HTML page about an experiment: figures, tables, settings, failures.

usage: python scripts/report.py results/<experiment> [OUTPUT.html]

The first argument may also be a single run's directory or a CSV of gathered runs. Without a second
one the page is report.html in the directory, or beside the CSV under its name.
"""

import sys
from pathlib import Path

from alupdate.report.page import page
from alupdate.results.reader import read_results
from alupdate.utils.errors import DONE, WRONG_INPUT, InputError
from alupdate.utils.files import replace_file


def main(arguments: list[str]) -> int:
    """Write the page, print its path and return the exit code."""
    if len(arguments) not in (1, 2) or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return WRONG_INPUT
    source = Path(arguments[0])
    beside = source / "report.html" if source.is_dir() else source.with_suffix(".html")
    target = Path(arguments[1]) if len(arguments) > 1 else beside
    try:
        write(target, page(read_results(source)))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_INPUT
    print(target)
    return DONE


def write(target: Path, text: str) -> None:
    """Replace the file.

    Raises:
        InputError: it cannot be written; what was there before is untouched.
    """
    try:
        replace_file(target, text)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
