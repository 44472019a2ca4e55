"""Check the claims on sequential batches and on look-ahead: Markdown tables, paired by seed.

usage: python scripts/claims.py AREAS.csv

AREAS.csv comes from scripts/areas.py. Differences are of AULCs, areas under the
learning curve of test accuracy, with standard errors and paired t-tests.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from alupdate.analysis.seeds import difference_of

KEYS = ["strategy", "batch"]


def difference(wide: pd.DataFrame, first: tuple[str, str], second: tuple[str, str]) -> str:
    """Return first minus second over common seeds, as the cells of a table row."""
    pairs = wide[[first, second]].dropna().to_numpy()
    if not len(pairs):
        return "(no common seed) | | 0"
    answer = difference_of(pairs)
    gap = answer.mean
    if gap.seeds < 2:
        return f"{gap.value:+.4f} | (one seed) | 1"
    return f"{gap.value:+.4f} ± {gap.standard_error:.4f} | {answer.t_p:.1e} | {gap.seeds}"


def lines(areas: pd.DataFrame) -> Iterator[str]:
    """Yield the tables of one experiment."""
    wide = areas.pivot_table(index="seed", columns=KEYS, values="area")
    means, errors = wide.mean(), wide.sem()
    oracles = set(areas[areas["oracle"]]["strategy"])
    seconds = areas.groupby(KEYS)["query_seconds"].median()
    yield "\n| strategy | batch | AULC | seconds per query | seeds |\n|---|---|---|---|---|"
    for key in means.sort_values(ascending=False).index:
        name = f"{key[0]} (oracle)" if key[0] in oracles else key[0]
        yield (
            f"| {name} | {key[1]} | {means[key]:.4f} ± {errors[key]:.4f} | {seconds[key]:.3g} "
            f"| {wide[key].count()} |"
        )
    yield "\n| sequential minus top-b | difference | p | seeds |\n|---|---|---|---|"
    for strategy in sorted({key[0] for key in wide.columns}):
        both = (strategy, "sequential"), (strategy, "top_b")
        if all(key in wide.columns for key in both):
            yield f"| {strategy} | {difference(wide, *both)} |"
    yield "\n| look-ahead | difference | p | seeds |\n|---|---|---|---|"
    free = [key for key in means.index if key[0] not in oracles]
    others = [key for key in free if key[0] != "expected_lookahead"]
    pairs = [
        (("lookahead", "top_b"), _best(means, free)),
        (("greedy_lookahead", "top_b"), ("lookahead", "top_b")),
        (("greedy_lookahead", "top_b"), _best(means, free)),
        (("expected_lookahead", "top_b"), _best(means, others)),
        (("expected_lookahead", "sequential"), _best(means, others)),
    ]
    for first, second in pairs:
        if first in wide.columns and second in wide.columns and first != second:
            what = f"{' '.join(first)} minus {' '.join(second)}"
            yield f"| {what} | {difference(wide, first, second)} |"


def _best(means: pd.Series, keys: list[tuple[str, str]]) -> tuple[str, str]:
    return max(keys, key=means.__getitem__)


def main(arguments: list[str]) -> int:
    """Print the tables of every experiment and return the exit code."""
    if len(arguments) != 1 or not Path(arguments[0]).is_file():
        print(__doc__, file=sys.stderr)
        return 2
    for name, areas in pd.read_csv(arguments[0]).groupby("experiment"):
        print(f"\n### {name}")
        print("\n".join(lines(areas)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
