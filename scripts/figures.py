"""Draw the learning curves of an experiment, one PNG and one PDF per data set.

usage: python scripts/figures.py results/<experiment> [OUTPUT_DIRECTORY]

The first argument may also be a CSV of gathered runs. Without a second one the figures are put
beside the data.
"""

import sys
from pathlib import Path

from alupdate.errors import InputError
from alupdate.plots.learning_curve import learning_curve
from alupdate.results.frame import read_runs


def main(arguments: list[str]) -> int:
    """Draw the figures, print their paths and return the exit code."""
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    source = Path(arguments[0])
    beside = source if source.is_dir() else source.parent
    folder = Path(arguments[1]) if len(arguments) > 1 else beside
    try:
        curves = read_runs(source)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    for (dataset, backbone), group in curves.groupby(["dataset", "backbone"]):
        figure = learning_curve(group)
        for ending in ("png", "pdf"):
            path = folder / f"curves-{dataset}-{backbone}.{ending}"
            figure.savefig(path, dpi=150)
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
