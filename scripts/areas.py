"""One row per run: the area under its accuracy curve, and the median seconds of a query.

usage: python scripts/areas.py OUTPUT.csv results/<experiment> [results/<experiment> ...]
"""

import sys
from pathlib import Path

import pandas as pd

from alupdate.analysis.areas import normalised_area
from alupdate.analysis.variants import VARIANT
from alupdate.results.reader import read_results
from alupdate.utils.errors import DONE, WRONG_INPUT, InputError
from alupdate.utils.files import replace_file
from alupdate.utils.metrics import PRIMARY


def areas_of(experiment: Path) -> pd.DataFrame:
    """Return the rows of one experiment; runs that are not at the last cycle yet are left out.

    Raises:
        InputError: there are no completed runs.
    """
    results = read_results(experiment)
    for note in results.notes():
        print(note, file=sys.stderr)
    results.require(PRIMARY)
    curves, timings = results.curves, results.timings
    if curves is None or timings is None:
        raise InputError(f"{experiment}: holds no runs of task=active_learning")
    reached = curves.groupby("run")["cycle"].transform("max")
    curves = curves[reached == curves["cycle"].max()]
    queries = timings[timings["phase"] == "select"].groupby("run")["seconds"].median()
    names = curves.drop_duplicates("run").set_index("run")[[*VARIANT, "seed"]]
    seconds = names.join(queries.rename("query_seconds")).reset_index(drop=True)
    last = curves.groupby([*VARIANT, "seed"])["n_labelled"].max().rename("labels").reset_index()
    table = normalised_area(curves).merge(last).merge(seconds)
    table.insert(0, "experiment", experiment.name)
    return table


def main(arguments: list[str]) -> int:
    """Write the table and return the exit code."""
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return WRONG_INPUT
    try:
        table = pd.concat([areas_of(Path(folder)) for folder in arguments[1:]])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_INPUT
    text = table.to_csv(index=False, lineterminator="\n", float_format="%.5g")
    replace_file(Path(arguments[0]), text)
    print(f"{arguments[0]}: {len(table)} runs")
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
