"""Do two folders of results agree, cell by cell? Two versions of the program, or two labs."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from alupdate.analysis.aulc import mean_height
from alupdate.analysis.citation import p_of_gaps, versions_of
from alupdate.analysis.question import ResultTable
from alupdate.analysis.ranks import ALPHA, holm
from alupdate.analysis.run_cells import Cell, CellPair, paired_cells, why_not_comparable
from alupdate.results.reader import Results
from alupdate.utils.errors import InputError
from alupdate.utils.metrics import METRIC_NAMES, PRIMARY, find_metric

IDENTICAL, WITHIN, DIFFERENT = "identical", "same within noise", "different"
ONLY_FIRST, ONLY_SECOND, REFUSED = "only in A", "only in B", "not comparable"
AGREE = frozenset({IDENTICAL, WITHIN})
"""Verdicts that find no difference."""
CHANGED = 1e-5
"""Metrics that differ by more have changed; two machines, or a file with six digits, round by
less."""
COMPARED_COLUMNS = (
    "dataset", "backbone", "variant", "verdict", "difference", "difference_error",
    "difference_low", "difference_high", "test", "raw_p", "holm_p", "seeds", "identical_runs",
    "note",
)  # fmt: skip


@dataclass(frozen=True)
class CellOutcome:
    """What was found of one pair of cells.

    Attributes:
        verdict: one of the constants above; empty where the corrected p-value decides.
        difference: mean AULC of B minus that of A.
        error: its standard error; NaN if it is not known.
        half: half the width of its 95 % interval.
        test: paired t | Welch; empty if nothing was tested.
        p: of the test, not corrected; NaN if nothing was tested.
        seeds: what was compared, as text.
        same: how many pairs of runs with one seed are identical.
        note: what the numbers cannot show.
    """

    verdict: str
    difference: float = np.nan
    error: float = np.nan
    half: float = np.nan
    test: str = ""
    p: float = np.nan
    seeds: str = ""
    same: int = 0
    note: str = ""


def compare_results(first: Results, second: Results, metric: str = PRIMARY) -> ResultTable:
    """Return a row for each cell that either has: data, backbone, strategy, batch, update.

    Raises:
        InputError: one of them holds no learning curves, or areas are of another metric.
    """
    if metric != PRIMARY and (first.curves is None or second.curves is None):
        raise InputError(f"metric: {metric} is not known of areas; they are of {PRIMARY}")
    pairs = paired_cells(first, second)
    outcomes = [_outcome(pair, metric) for pair in pairs]
    raw = np.array([outcome.p for outcome in outcomes])
    corrected = np.full(len(raw), np.nan)
    corrected[~np.isnan(raw)] = holm(raw[~np.isnan(raw)])
    rows = [_row(*values) for values in zip(pairs, outcomes, corrected, strict=True)]
    frame = pd.DataFrame(rows, columns=list(COMPARED_COLUMNS))
    return ResultTable(
        f"comparison-{metric}",
        f"A: {first.name}; B: {second.name}",
        _caption(first, second, metric, frame),
        frame.sort_values(["dataset", "backbone", "variant"], ignore_index=True),
    )


def all_agree(comparison: ResultTable) -> bool:
    """Return whether every cell is there twice and no difference was found."""
    return set(comparison.frame["verdict"]) <= AGREE


def counts_of_verdicts(comparison: ResultTable) -> str:
    """Return how many cells have each verdict, in a line."""
    counts = comparison.frame["verdict"].value_counts()
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


def _row(pair: CellPair, found: CellOutcome, corrected: float) -> list[object]:
    verdict = found.verdict or (DIFFERENT if corrected < ALPHA else WITHIN)
    low, high = found.difference - found.half, found.difference + found.half
    return [
        pair.dataset, pair.backbone, pair.name, verdict, found.difference, found.error, low, high,
        found.test, found.p, corrected, found.seeds, found.same, found.note,
    ]  # fmt: skip


def _outcome(pair: CellPair, metric: str) -> CellOutcome:
    if pair.first is None or pair.second is None:
        return CellOutcome(ONLY_SECOND if pair.first is None else ONLY_FIRST)
    reason = why_not_comparable(pair.first, pair.second)
    if reason:
        return CellOutcome(REFUSED, note=reason)
    areas = [_areas(cell, metric) for cell in (pair.first, pair.second)]
    if any(np.isnan(list(some.values())).any() for some in areas):
        return CellOutcome(REFUSED, note=f"runs lack {metric} at some of their cycles")
    common = sorted(areas[0].keys() & areas[1].keys())
    if len(common) < min(2, *map(len, areas)) or not common:
        return _unpaired(areas)
    return _paired(pair.first, pair.second, areas, common)


def _areas(cell: Cell, metric: str) -> dict[int, float]:
    return {
        seed: mean_height(run["n_labelled"].to_numpy(), run[metric].to_numpy(float))
        for seed, run in cell.runs.items()
    }


def _paired(
    first: Cell, second: Cell, areas: list[dict[int, float]], common: list[int]
) -> CellOutcome:
    """Compare the runs with common seeds."""
    changes = {seed: _largest_change(first.runs[seed], second.runs[seed]) for seed in common}
    gaps = np.array([areas[1][seed] - areas[0][seed] for seed in common])
    changed = [seed for seed in common if changes[seed] > CHANGED]
    same = sum(change == 0 for change in changes.values())
    unmatched = _unmatched(areas, common)
    seeds = f"{len(common)} pairs"
    if not changed:
        most = max(changes.values())
        verdict, rounding = (
            (WITHIN, f"rounding only, {most:.0e} at most") if most else (IDENTICAL, "")
        )
        note = "; ".join(filter(None, [rounding, unmatched]))
        mean = float(gaps.mean())
        return CellOutcome(verdict, mean, seeds=seeds, same=same, note=note)
    if len(common) < 2:
        note = f"one common seed, {common[0]}: no error to judge the difference by"
        return CellOutcome(REFUSED, float(gaps[0]), seeds=seeds, same=same, note=note)
    error = float(gaps.std(ddof=1) / np.sqrt(len(gaps)))
    half = float(stats.t.isf(ALPHA / 2, len(gaps) - 1) * error)
    verdict, note = "", unmatched
    if same:
        listed = ", ".join(map(str, changed))
        verdict = DIFFERENT
        note = f"seeds {listed} changed, and {same} others are identical: no noise; {unmatched}"
    return CellOutcome(
        verdict, float(gaps.mean()), error, half, "paired t", p_of_gaps(gaps), seeds, same,
        note.removesuffix("; "),
    )  # fmt: skip


def _largest_change(before: pd.DataFrame, after: pd.DataFrame) -> float:
    """Return by how much two curves differ in any metric that both have; infinity if in NaN."""
    largest = 0.0
    for name in METRIC_NAMES:
        if name not in before or name not in after:
            continue
        values = [run[name].to_numpy(float) for run in (before, after)]
        gaps = [np.isnan(column) for column in values]
        if gaps[0].all() or gaps[1].all():  # a metric that one program did not know
            continue
        if (gaps[0] != gaps[1]).any():
            return np.inf
        equal = (values[0] == values[1]) | gaps[0]
        if not equal.all():
            largest = max(largest, float(np.abs(values[0] - values[1])[~equal].max()))
    return largest


def _unmatched(areas: list[dict[int, float]], common: list[int]) -> str:
    lines = [
        f"seeds only in {name}: {', '.join(map(str, sorted(some.keys() - set(common))))}"
        for name, some in zip("AB", areas, strict=True)
        if len(some) > len(common)
    ]
    return "; ".join(lines)


def _unpaired(areas: list[dict[int, float]]) -> CellOutcome:
    """Compare runs whose seeds do not match by the test of [Welch1947]."""
    first, second = (np.array(list(some.values())) for some in areas)
    seeds = f"{len(first)} and {len(second)}"
    difference = float(second.mean() - first.mean())
    if min(len(first), len(second)) < 2:
        note = "no common seeds, and one run gives no error to judge the difference by"
        return CellOutcome(REFUSED, difference, seeds=seeds, note=note)
    error = float(np.sqrt(_variance_of_mean(first) + _variance_of_mean(second)))
    if not error:
        p, half = float(difference == 0), 0.0
    else:
        found = stats.ttest_ind(second, first, equal_var=False)
        p = float(found.pvalue)
        half = float(stats.t.isf(ALPHA / 2, found.df) * error)
    note = "too few common seeds to pair by"
    return CellOutcome("", difference, error, half, "Welch", p, seeds, note=note)


def _variance_of_mean(values: NDArray[np.float64]) -> float:
    return float(values.var(ddof=1) / len(values))


def _caption(first: Results, second: Results, metric: str, frame: pd.DataFrame) -> str:
    level = f"{ALPHA:g}".lstrip("0")
    tested = int(frame["holm_p"].notna().sum())
    return (
        f"A: runs of alupdate: {versions_of(first)}. B: {versions_of(second)}. Difference: AULC "
        f"(area under the learning curve) of {find_metric(metric).label}, B minus A, ± standard "
        "error [95 % interval]; of runs with the same seed by a paired t-test, otherwise by "
        f"Welch's, two-sided, corrected by Holm for {tested} tests. Verdict: identical: every "
        f"metric of every common seed; same within noise: p is at least {level}, which few seeds "
        "also give where something differs; different: p is below, or some runs changed while "
        "others with the same settings are identical. Only in A, only in B: nothing to compare "
        "with. Not comparable: the note says why." + _settings_not_known(first, second)
    )


def _settings_not_known(*results: Results) -> str:
    named = [some.name for some in results if not some.runs]
    if not named:
        return ""
    return (
        f" Gathered runs ({', '.join(named)}) do not say their settings: only names and numbers "
        "of labels were checked."
    )
