"""Draw every figure that the runs of an experiment allow, each as PNG and PDF.

usage: python scripts/figures.py results/<experiment> [OUTPUT_DIRECTORY]

The first argument may also be a CSV of gathered runs. Without a second one the figures are put
beside the data. Active-learning runs give a learning curve per data set; updating studies give
accuracy against new labels per data set, accuracy against gamma, and speed-ups; a table of areas
(scripts/areas.py) gives a panel per experiment.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from alupdate.errors import InputError
from alupdate.plots.areas import strategy_areas
from alupdate.plots.learning_curve import learning_curve
from alupdate.plots.updating import accuracy_by_update, robustness, speedups
from alupdate.results.frame import read_runs

MIN_GAMMAS = 5
"""Fewer step sizes do not make a robustness figure."""


def tables(source: Path) -> list[pd.DataFrame]:
    """Return the tables of runs in a CSV file or below a folder.

    Raises:
        InputError: there are none.
    """
    if source.is_file():
        return [read_runs(source)]
    names = [name for name in ("curve.csv", "updates.csv") if any(source.rglob(name))]
    if not names:
        raise InputError(f"{source}: holds no curve.csv or updates.csv")
    return [read_runs(source, name) for name in names]


def figures(table: pd.DataFrame, prefix: str) -> Iterator[tuple[str, Figure]]:
    """Yield file names without ending, and figures, of one table."""
    if "area" in table.columns:
        yield prefix, strategy_areas(table)
        return
    if "method" not in table.columns:
        for (dataset, backbone), group in table.groupby(["dataset", "backbone"]):
            yield f"curves-{dataset!s}-{backbone!s}", learning_curve(group)
        return
    if table["n_new"].nunique() > 1:
        for (dataset, backbone), group in table.groupby(["dataset", "backbone"]):
            yield f"{prefix}-{dataset!s}-{backbone!s}", accuracy_by_update(group)
    fixed = table[table["step_size"] == "fixed"]
    if fixed.groupby("method")["gamma"].nunique().max() >= MIN_GAMMAS:
        yield f"{prefix}-gamma", robustness(table)
    if (table["method"] == "retrain_lbfgs").any():
        yield f"{prefix}-speedup", speedups(table)


def main(arguments: list[str]) -> int:
    """Draw the figures, print their paths and return the exit code."""
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    source = Path(arguments[0])
    beside = source if source.is_dir() else source.parent
    folder = Path(arguments[1]) if len(arguments) > 1 else beside
    try:
        found = tables(source)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    for table in found:
        for name, figure in figures(table, source.stem):
            for ending in ("png", "pdf"):
                path = folder / f"{name}.{ending}"
                figure.savefig(path, dpi=150)
                print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
