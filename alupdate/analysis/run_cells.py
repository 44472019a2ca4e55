"""The cells of two folders of results that belong together, and why some cannot be compared."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import pairwise

import pandas as pd

from alupdate.analysis.variants import VARIANT, named, refuse_doubles
from alupdate.results.reader import Results, Run
from alupdate.results.run_names import places_of_data
from alupdate.utils.errors import InputError
from alupdate.utils.metrics import PRIMARY

MOST_SETTINGS = 4
"""Settings that a reason names."""
DIGEST = "sha256."
"""Prefix of what a run records of the files that decide its result."""
MISSING = "null"
Variant = tuple[object, ...]
"""The values of the columns VARIANT."""


@dataclass(frozen=True, eq=False)
class Cell:
    """The runs of one setting, which differ in the seed only.

    Attributes:
        variant: the values of the columns VARIANT.
        settings: all settings but the seed and where the data lie, and digests of files; None for
            gathered runs, which do not say them.
        runs: seed to rows of curve.csv, in the order of cycles.
    """

    variant: Variant
    settings: Mapping[str, str] | None
    runs: Mapping[int, pd.DataFrame] = field(repr=False)

    @property
    def labels(self) -> list[tuple[int, ...]]:
        """The numbers of labels of the curves, each once."""
        return sorted({tuple(run["n_labelled"].tolist()) for run in self.runs.values()})


@dataclass(frozen=True, eq=False)
class CellPair:
    """A cell of A and the one of B that belongs to it; None where there is none.

    Attributes:
        name: short, and unique within the data set and backbone.
    """

    dataset: str
    backbone: str
    name: str
    first: Cell | None
    second: Cell | None


def paired_cells(first: Results, second: Results) -> list[CellPair]:
    """Return every cell of two results, those with the same settings together.

    Where either is a file of gathered runs, the names of strategy, batch and update decide.

    Raises:
        InputError: one has no learning curves, or two runs of one cell have the same seed.
    """
    _require_one_kind(first, second)
    both = (first, second)
    if first.runs and second.runs:
        ignored = _without_meaning(both)
        cells = [list(_cells_of_runs(results, ignored)) for results in both]
    else:
        cells = [list(_cells(results)) for results in both]
    pairs: list[tuple[Cell | None, Cell | None, str]] = []
    for variant in sorted({cell.variant for some in cells for cell in some}, key=str):
        here = [[cell for cell in some if cell.variant == variant] for some in cells]
        pairs += _matched(*here)
    table = pd.DataFrame([_either(a, b).variant for a, b, _ in pairs], columns=VARIANT)
    return [
        CellPair(str(row["dataset"]), str(row["backbone"]), row["variant"] + suffix, a, b)
        for row, (a, b, suffix) in zip(named(table).to_dict("records"), pairs, strict=True)
    ]


def _either(first: Cell | None, second: Cell | None) -> Cell:
    found = first or second
    assert found is not None
    return found


def _require_one_kind(first: Results, second: Results) -> None:
    """Refuse what has no learning curves, and curves against areas."""
    for results in (first, second):
        if results.curves is None and results.areas is None:
            raise InputError(f"{results.name}: --compare needs runs of task=active_learning")
    if (first.curves is None) != (second.curves is None):
        raise InputError(
            f"--compare: {first.name} and {second.name} must both be runs, or both files of areas"
        )


def _cells(results: Results) -> Iterator[Cell]:
    """Yield the cells of gathered runs, or of runs by the names that their tables have."""
    curves = results.curves
    if curves is None:  # an AULC is that of a curve of one point
        assert results.areas is not None
        areas = results.areas.rename(columns={"area": PRIMARY, "labels": "n_labelled"})
        names = areas[[*VARIANT, "seed"]].astype(str).agg(" ".join, axis=1)
        labels = areas["n_labelled"].fillna(0).astype(int)
        curves = areas.assign(run=names, cycle=0, n_labelled=labels)
        _refuse_doubled_areas(curves)
    refuse_doubles(curves)
    for key, group in curves.groupby(VARIANT):
        runs = {int(str(s)): _ordered(run) for s, run in group.groupby("seed")}
        yield Cell(tuple(key), None, runs)


def _refuse_doubled_areas(curves: pd.DataFrame) -> None:
    twice = curves[curves["run"].duplicated()]
    if len(twice):
        raise InputError(f"two areas are of one run: {twice['run'].iloc[0]}")


def _cells_of_runs(results: Results, ignored: Set[str]) -> Iterator[Cell]:
    """Yield the cells of runs by their settings, but for those that are ignored."""
    found: dict[tuple[Variant, frozenset[tuple[str, str]]], dict[int, pd.DataFrame]] = {}
    for run in results.runs:
        if "curves" not in run.tables:
            continue
        curve = _ordered(run.tables["curves"])
        kept = {
            key: value
            for key, value in _facts(run).items()
            if value != MISSING and key not in ignored
        }
        variant = tuple(curve.iloc[0][VARIANT])
        runs = found.setdefault((variant, frozenset(kept.items())), {})
        seed = int(curve["seed"].iloc[0])
        if seed in runs:
            raise InputError(
                f"{results.name}: {run.name} and {runs[seed]['run'].iloc[0]} have the same "
                "settings and seed; keep them in folders of their own"
            )
        runs[seed] = curve
    for (variant, settings), runs in found.items():
        yield Cell(variant, dict(settings), runs)


def _facts(run: Run) -> dict[str, str]:
    """Return a run's settings, and the digests of files that decide its result."""
    digests = {key: value for key, value in run.provenance.items() if key.startswith(DIGEST)}
    return {**run.settings, **digests}


def _without_meaning(results: Iterable[Results]) -> Set[str]:
    """Return the keys that tell no cells apart: the seed, and where data lie.

    To ask for the latter imports PyTorch: it is done only if settings of data differ.
    """
    runs = [run.settings for some in results for run in some.runs]
    differ = any(key.startswith("dataset.") for key in _differing(runs))
    return {"seed", *(places_of_data() if differ else ())}


def _ordered(run: pd.DataFrame) -> pd.DataFrame:
    return run.sort_values("cycle", ignore_index=True)


def _matched(
    first: Sequence[Cell], second: Sequence[Cell]
) -> list[tuple[Cell | None, Cell | None, str]]:
    """Return pairs of cells of one variant, and what their names need behind them.

    Those with the same settings belong together; so do those that are left if there is one each,
    since one was changed into the other.
    """
    texts = _suffixes([*first, *second])
    pairs: list[tuple[Cell | None, Cell | None, str]] = []
    left_first, left_second = list(first), list(second)
    for cell in first:
        other = next((c for c in left_second if c.settings == cell.settings), None)
        if other is not None:
            pairs.append((cell, other, texts[id(cell)]))
            left_first.remove(cell)
            left_second.remove(other)
    if len(left_first) == len(left_second) == 1:
        suffix = texts[id(left_first[0])] if pairs else ""
        return [*pairs, (left_first[0], left_second[0], suffix)]
    pairs += [(cell, None, texts[id(cell)]) for cell in left_first]
    return pairs + [(None, cell, texts[id(cell)]) for cell in left_second]


def _suffixes(cells: Sequence[Cell]) -> dict[int, str]:
    """Return by identity of a cell which of the settings in which some differ it has."""
    keys = sorted(_differing(cell.settings or {} for cell in cells))
    if not keys:
        return {id(cell): "" for cell in cells}
    return {
        id(cell): f" ({', '.join(f'{k}={(cell.settings or {}).get(k, MISSING)}' for k in keys)})"
        for cell in cells
    }


def _differing(settings: Iterable[Mapping[str, str]]) -> set[str]:
    found = list(settings)
    keys = set[str]().union(*found)
    return {key for key in keys if len({some.get(key, MISSING) for some in found}) > 1}


def why_not_comparable(first: Cell, second: Cell) -> str:
    """Return the settings that differ; empty where the cells may be compared."""
    ours, theirs = first.settings or {}, second.settings or {}
    keys = sorted(_differing([ours, theirs]))
    if keys:
        values = [
            f"{key} is {ours.get(key, MISSING)} in A and {theirs.get(key, MISSING)} in B"
            for key in keys[:MOST_SETTINGS]
        ]
        more = len(keys) - MOST_SETTINGS
        return "; ".join(values) + (f"; and {more} more" if more > 0 else "")
    for name, cell in (("A", first), ("B", second)):
        if len(cell.labels) > 1:
            return f"runs of {name} differ: " + " or ".join(map(_in_words, cell.labels[:2]))
    (before,), (after,) = first.labels, second.labels
    return "" if before == after else f"{_in_words(before)} in A, {_in_words(after)} in B"


def _in_words(labels: tuple[int, ...]) -> str:
    """Return initial labels, cycles and batch sizes of a curve."""
    sizes = sorted({after - before for before, after in pairwise(labels)})
    batches = f" of {' or '.join(map(str, sizes))}" if sizes else ""
    return f"{labels[0]} initial labels and {len(labels) - 1} cycles{batches}"
