"""Check the claims on sequential batches and on look-ahead: Markdown tables, paired by seed.

usage: python scripts/claims.py AREAS.csv ...

Each AREAS.csv comes from scripts/areas.py. Differences are of AULCs, areas under the
learning curve of test accuracy, with standard errors and paired t-tests. An experiment
without top-b batches, such as digits-map-acquired, is compared with those of the experiment
that its name continues (digits): top-b batches do not depend on how sequential ones are built.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from alupdate.analysis.seeds import difference_of

KEYS = ["strategy", "batch"]
TOP_B = "top_b"


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
    differences = []
    for key in sorted(wide.columns):
        name, batch = str(key[0]), str(key[1])
        if batch != TOP_B and (name, TOP_B) in wide.columns:
            what = name if batch == "sequential" else f"{name}, {batch}"
            differences.append(f"| {what} | {difference(wide, (name, batch), (name, TOP_B))} |")
    yield from _table("sequential minus top-b", differences)
    free = [key for key in means.index if key[0] not in oracles]
    top = _best(means, free)
    others = means.sort_values(ascending=False).index.drop([top])
    rows = [f"| {' '.join(key)} | {difference(wide, top, key)} |" for key in others]
    yield from _table(f"{' '.join(top)} minus", rows)
    yield from _table("look-ahead", list(_lookahead(wide, means, free)))


def _lookahead(wide: pd.DataFrame, means: pd.Series, free: list[tuple[str, str]]) -> Iterator[str]:
    """Yield the rows on look-ahead; ``free`` are the variants without an oracle."""
    others = [key for key in free if key[0] != "expected_lookahead"]
    pairs = [
        (("lookahead", TOP_B), _best(means, free)),
        (("greedy_lookahead", TOP_B), ("lookahead", TOP_B)),
        (("greedy_lookahead", TOP_B), _best(means, free)),
        (("expected_lookahead", TOP_B), _best(means, others)),
        (("expected_lookahead", "sequential"), _best(means, others)),
    ]
    for first, second in pairs:
        if first in wide.columns and second in wide.columns and first != second:
            what = f"{' '.join(first)} minus {' '.join(second)}"
            yield f"| {what} | {difference(wide, first, second)} |"


def _table(heading: str, rows: list[str]) -> list[str]:
    """Return the lines of a table of differences; none where there is no row."""
    return [f"\n| {heading} | difference | p | seeds |\n|---|---|---|---|", *rows] if rows else []


def with_top_b(name: str, areas: pd.DataFrame) -> pd.DataFrame:
    """Return an experiment's rows, with the top-b batches of the one that its name continues.

    Args:
        name: of the experiment.
        areas: of all experiments.
    """
    rows: pd.DataFrame = areas[areas["experiment"] == name]
    if (rows["batch"] == TOP_B).any():
        return rows
    names = [other for other in areas["experiment"].unique() if name.startswith(f"{other}-")]
    if not names:
        return rows
    base = areas[(areas["experiment"] == max(names, key=len)) & (areas["batch"] == TOP_B)]
    both: pd.DataFrame = pd.concat([rows, base[base["strategy"].isin(rows["strategy"])]])
    return both


def _best(means: pd.Series, keys: list[tuple[str, str]]) -> tuple[str, str]:
    return max(keys, key=means.__getitem__)


def main(arguments: list[str]) -> int:
    """Print the tables of every experiment and return the exit code."""
    if not arguments or not all(Path(name).is_file() for name in arguments):
        print(__doc__, file=sys.stderr)
        return 2
    areas = pd.concat([pd.read_csv(name) for name in arguments])
    for name in sorted(areas["experiment"].unique()):
        print(f"\n### {name}")
        print("\n".join(lines(with_top_b(name, areas))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
