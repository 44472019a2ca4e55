"""Print how much of the gap to retraining each update closes, as Markdown.

usage: python scripts/gaps.py results/<experiment>

The argument may also be a CSV of gathered updates.csv files. Gap closed is
sum(update - base) / sum(retrain - base) of the accuracies over all sizes and seeds.
"""

import sys
from pathlib import Path

import pandas as pd

from alupdate.errors import InputError
from alupdate.results.frame import read_runs
from alupdate.results.update_stats import gap_closed

COLUMNS = ("update", "posterior", "gamma", "gap closed", "worst cell", "speed-up", "by L-BFGS")


def table(gaps: pd.DataFrame) -> list[str]:
    """Return the lines of a Markdown table of one data set's gaps."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    for row in gaps.to_dict("records"):
        gamma = f"{row['gamma']:g}" if row["step_size"] == "fixed" else "auto"
        lines.append(
            f"| {row['method']} | {row['likelihood']}, {row['prior_precision']:g} | {gamma} "
            f"| {row['gap']:.3f} ± {row['standard_error']:.3f} | {100 * row['worst']:+.1f} points "
            f"| {row['speedup']:.1f} | {row['lbfgs_speedup']:.1f} |"
        )
    return lines


def main(arguments: list[str]) -> int:
    """Print one table per data set and return the exit code."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        updates = read_runs(Path(arguments[0]), "updates.csv")
        if "n_initial" not in updates.columns:
            raise InputError(f"{arguments[0]}: is no table of an updating study")
        updates.loc[updates["step_size"] == "auto", "gamma"] = 0.0  # one row, whatever was chosen
        everything = gap_closed(updates)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for (dataset, backbone), gaps in everything.groupby(["dataset", "backbone"]):
        seeds = gaps["seeds"].min()
        print(f"\n{dataset}, {backbone}: {seeds} seeds; posterior: likelihood, prior precision\n")
        print("\n".join(table(gaps)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
