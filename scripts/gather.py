"""Gather one kind of CSV of all runs of an experiment into one compact file.

usage: python scripts/gather.py results/<experiment> OUTPUT.csv [curve.csv | timings.csv | ...]
"""

import sys
from pathlib import Path

import pandas as pd

from alupdate.results.csv_tables import KINDS, RUN_TABLES
from alupdate.results.reader import read_results
from alupdate.utils.errors import DONE, WRONG_INPUT, InputError
from alupdate.utils.files import replace_file


def rows_of(source: Path, file: str = "curve.csv") -> pd.DataFrame:
    """Return the rows of one kind of file of all completed runs; a line says what is left out.

    Raises:
        InputError: there are no such rows.
    """
    if file not in RUN_TABLES:
        raise InputError(f"{file}: is no table of a run; available: {', '.join(RUN_TABLES)}")
    results = read_results(source)
    for note in results.notes():
        print(note, file=sys.stderr)
    (field,) = (field for field, kind in KINDS.items() if kind.file == file)
    table: pd.DataFrame | None = getattr(results, field)
    if table is None:
        raise InputError(f"{source}: holds no {file} of a completed run")
    return table


def main(arguments: list[str]) -> int:
    """Write the gathered table and return the exit code."""
    if len(arguments) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return WRONG_INPUT
    try:
        table = rows_of(Path(arguments[0]), *arguments[2:])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_INPUT
    text = table.to_csv(index=False, lineterminator="\n", float_format="%.6g")
    replace_file(Path(arguments[1]), text)
    print(f"{arguments[1]}: {len(table)} rows of {table['run'].nunique()} runs")
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
