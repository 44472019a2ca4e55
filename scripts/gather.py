"""Gather one kind of CSV of all runs of an experiment into one compact file.

usage: python scripts/gather.py results/<experiment> OUTPUT.csv [curve.csv | timings.csv | ...]
"""

import sys
from pathlib import Path

from alupdate.results.reader import read_runs
from alupdate.utils.errors import DONE, WRONG_INPUT, InputError
from alupdate.utils.files import replace_file


def main(arguments: list[str]) -> int:
    """Write the gathered table and return the exit code."""
    if len(arguments) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return WRONG_INPUT
    try:
        table = read_runs(Path(arguments[0]), *arguments[2:])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_INPUT
    text = table.to_csv(index=False, lineterminator="\n", float_format="%.6g")
    replace_file(Path(arguments[1]), text)
    print(f"{arguments[1]}: {len(table)} rows of {table['run'].nunique()} runs")
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
