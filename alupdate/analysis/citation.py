"""One table of results that a paper can cite: the best in bold, and what is not told apart."""

from collections.abc import Iterable
from importlib import metadata

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alupdate.analysis.question import AnalysisInput, ResultTable
from alupdate.analysis.ranks import ALPHA, holm
from alupdate.analysis.seeds import EQUAL_WITHIN, MIN_PAIRS, paired_t
from alupdate.analysis.seeds_needed import best_variant
from alupdate.analysis.variants import SETTING, named, whole
from alupdate.results.reader import Results
from alupdate.utils.errors import InputError
from alupdate.utils.metrics import higher_is_better

BEST, ALIKE, APART, UNTESTED, ORACLE = "best", "alike", "apart", "untested", "oracle"
"""Marks of a value: the best one, not told apart from it, told apart, too few pairs of seeds to
say, and not compared."""


def program_version() -> str:
    """Return the version of this program."""
    return metadata.version("alupdate")


def versions_of(results: Results) -> str:
    """Return the versions and revisions of the program that made the runs, in words."""
    if not results.runs:
        return "a version that gathered runs do not say"
    found = {
        f"{run.provenance.get('versions.alupdate', 'unknown')}"
        + _revision(run.provenance.get("git_revision", "null"))
        for run in results.runs
        if run.state == "completed"
    }
    return " and ".join(sorted(found))


def _revision(revision: str) -> str:
    return "" if revision in ("null", "") else f" (revision {revision})"


def marks(values: pd.DataFrame, better: bool) -> tuple[pd.Series, pd.Series]:
    """Return the marks and corrected p-values of the variants of one setting.

    Each variant is compared with the best mean by a paired t-test over common seeds; p-values are
    corrected by Holm for the variants of the setting. Oracles are not compared.

    Args:
        values: variant, oracle, seed and ``area``, the value of a run.
        better: whether a larger value is the better one.
    """
    wide = values.pivot_table(index="seed", columns="variant", values="area")
    best = best_variant(values, better)
    oracles = set(values["variant"][values["oracle"].astype(bool)]) - {best}
    others = [name for name in wide.columns if name != best and name not in oracles]
    gaps = {name: (wide[name] - wide[best]).dropna().to_numpy() for name in others}
    tested = [name for name in others if len(gaps[name]) >= MIN_PAIRS]
    raw = np.array([p_of_gaps(gaps[name]) for name in tested])
    corrected = pd.Series(holm(raw), index=tested, dtype=float)
    words = {best: BEST} | dict.fromkeys(oracles, ORACLE) | dict.fromkeys(others, UNTESTED)
    words |= {name: ALIKE if p >= ALPHA else APART for name, p in corrected.items()}
    return pd.Series(words), corrected


def p_of_gaps(gaps: NDArray[np.floating]) -> float:
    """Return the p-value of a paired t-test; 1 where all pairs are equal, 0 where all differ alike.

    Example:
        >>> p_of_gaps(np.zeros(3)), p_of_gaps(np.full(3, 0.5))
        (1.0, 0.0)
    """
    found = paired_t(gaps)
    return found if not np.isnan(found) else float(np.abs(gaps).max(initial=0.0) <= EQUAL_WITHIN)


def citation_table(given: AnalysisInput, results: Results) -> ResultTable:
    """Return the table: AULC, the metric at the last number of labels, and how they were made.

    Raises:
        InputError: there are no learning curves or AULCs.
    """
    if given.aulc is None:
        raise InputError(f"{results.name}: --cite needs runs of task=active_learning")
    better = higher_is_better(given.metric)
    parts = [_summary(named(given.aulc), "AULC", better)]
    if given.curves is not None:
        parts.append(_summary(_last(given), f"final_{given.metric}", better))
    frame = parts[0]
    for part in parts[1:]:
        frame = frame.merge(part.drop(columns="seeds"), on=[*SETTING, "variant"])
    labels = _labels(given)
    if labels is not None:
        frame = frame.merge(labels, on=[*SETTING, "variant"], how="left")
    order = [*frame.columns.drop("seeds"), "seeds"]
    frame = frame[order].sort_values(
        [*SETTING, "AULC"], ascending=[True, True, not better], ignore_index=True
    )
    return ResultTable(
        f"citation-{given.metric}", f"Results by {given.label}", _caption(given, results), frame
    )


def _summary(values: pd.DataFrame, column: str, better: bool) -> pd.DataFrame:
    """Return mean, standard error, mark and corrected p-value of each variant and setting."""
    rows = []
    for setting, group in values.groupby(SETTING):
        words, corrected = marks(group, better)
        for name, runs in group.groupby("variant"):
            area = runs["area"]
            p = corrected.get(name, np.nan)
            rows.append([*setting, name, area.mean(), area.sem(), words[name], p, len(area)])
    names = [column, f"{column}_error", f"{column}_mark", f"{column}_holm_p", "seeds"]
    return pd.DataFrame(rows, columns=[*SETTING, "variant", *names])


def _last(given: AnalysisInput) -> pd.DataFrame:
    """Return each run's metric at its last number of labels, as ``area``."""
    assert given.curves is not None
    curves = named(whole(given.curves, given.metric))
    is_last = curves["n_labelled"] == curves.groupby("run")["n_labelled"].transform("max")
    return curves[is_last].rename(columns={given.metric: "area"})


def _labels(given: AnalysisInput) -> pd.DataFrame | None:
    """Return the labels at the ends of the curves, as text; None where they are not known."""
    if given.curves is not None:
        known = named(whole(given.curves, given.metric))
        runs = known.groupby([*SETTING, "variant"])["n_labelled"]
        texts = runs.agg(["min", "max"]).astype(str).agg(" to ".join, axis=1)
        return texts.rename("labels").reset_index()
    assert given.aulc is not None
    if "labels" not in given.aulc or given.aulc["labels"].isna().any():
        return None
    runs = named(given.aulc).groupby([*SETTING, "variant"])["labels"]
    return runs.agg(lambda found: _listed(sorted(set(found)))).reset_index()


def _listed(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:.0f}" for number in numbers)


def _caption(given: AnalysisInput, results: Results) -> str:
    level = f"{ALPHA:g}".lstrip("0")
    return (
        f"AULC: area under the curve of test {given.label} over the number of labels, by the "
        "trapezoidal rule, divided by the range of labels, so that it is the mean height. Mean "
        "over seeds ± standard error. Bold: the best mean of a data set and backbone, without "
        f"oracles. †: not told apart from it at the {level} level by a paired t-test over common "
        "seeds (two-sided), corrected by Holm for the strategies of the data set; ‡: not tested, "
        f"as there are fewer than {MIN_PAIRS} common seeds. Oracles are not compared. Runs of "
        f"alupdate: {versions_of(results)}. Table by alupdate {program_version()}."
    )
