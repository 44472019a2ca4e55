"""Print the area under the learning curve of every variant in an experiment, as Markdown.

usage: python scripts/summary.py results/<experiment> [METRIC]
"""

import sys
from pathlib import Path
from typing import Any

import pandas as pd

from alupdate.errors import InputError
from alupdate.results.frame import read_runs
from alupdate.results.stats import VARIANT, compare, normalised_area, summarise

FEW_SEEDS = 5


def main(arguments: list[str]) -> int:
    """Print one table per data set and return the exit code."""
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    metric = arguments[1] if len(arguments) > 1 else "accuracy"
    try:
        curves = read_runs(Path(arguments[0]))
        if metric not in curves.columns[9:14]:
            raise InputError(f"{metric}: no such metric; one of {', '.join(curves.columns[9:14])}")
        areas = normalised_area(curves, metric)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for (dataset, backbone), group in areas.groupby(["dataset", "backbone"]):
        print(f"\n{dataset}, {backbone}: normalised area under the {metric} curve\n")
        print("\n".join(_table(group)))
    return 0


def _table(areas: pd.DataFrame) -> list[str]:
    """Return the lines of a Markdown table; differences are to random, paired by seed."""
    reference = areas[(areas["strategy"] == "random") & (areas["batch"] == "top_b")]
    one = len(reference.drop_duplicates(VARIANT)) == 1
    to_random = compare(areas, {"strategy": "random", "batch": "top_b"}) if one else None
    lines = ["| strategy | batch | update | area | minus random | p | seeds |", "|" + "---|" * 7]
    for row in summarise(areas).itertuples():
        name = f"{row.strategy} (oracle)" if row.oracle else str(row.strategy)
        difference, p_value = _difference(to_random, row)
        few = " (too few for a claim)" if int(str(row.seeds)) < FEW_SEEDS else ""
        lines.append(
            f"| {name} | {row.batch} | {row.update} | {row.mean:.4f} ± {row.standard_error:.4f} "
            f"| {difference} | {p_value} | {row.seeds}{few} |"
        )
    return lines


def _difference(to_random: pd.DataFrame | None, row: Any) -> tuple[str, str]:
    """Return the difference to random with its standard error, and the p-value, as text."""
    if to_random is None:
        return "", ""
    same = (
        (to_random["strategy"] == row.strategy)
        & (to_random["batch"] == row.batch)
        & (to_random["update"] == row.update)
    )
    if not same.any():
        return "", ""
    found = to_random[same].iloc[0]
    return (
        f"{found['difference']:+.4f} ± {found['standard_error']:.4f}",
        f"{found['p_value']:.1e}",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
