"""Do results agree with the paper's numbers? Theirs beside ours, cell by cell."""

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from alupdate.analysis.paper_numbers import CURVES, PaperNumber, paper_numbers
from alupdate.analysis.paper_settings import Outcome, curve_outcomes, update_outcomes
from alupdate.analysis.question import ResultTable
from alupdate.analysis.seeds import MIN_PAIRS
from alupdate.laplace.names import FIRST_ORDER
from alupdate.results.reader import Results
from alupdate.utils.errors import InputError

NOT_RUN, TOO_FEW, AGREES, ABOVE, BELOW = (
    "not run", "too few seeds", "agrees", "above", "below"
)  # fmt: skip
TINY = 1e-9
"""Of rounding in sums."""
MOST_NAMED = 3
"""Reasons that an error message gives."""
CAPTION = (
    "Theirs: what the notebooks of the paper's authors show, which is not always what the paper "
    "prints. Ours: mean test accuracy over seeds ± standard error. Verdict: agrees where the "
    "difference is at most two standard errors of ours and the rounding of theirs, whose own error "
    f"is not known; fewer than {MIN_PAIRS} seeds give none."
)
UNCHECKED = " Settings that have no column were not checked: gathered runs do not have them."

Measured = dict[PaperNumber, dict[str, dict[int, float]]]
"""Number of the paper to variant to seed to accuracy."""


def paper_tables(results: Results) -> list[ResultTable]:
    """Return a table of all cells of the settings that were run, and one of what is left out.

    Of a file of gathered runs, and of runs made before a setting was added, only what is there
    can be checked.

    Raises:
        InputError: no run has the setting of a number.
    """
    found = _outcomes(results)
    measured = _measured(found)
    left_out = _left_out(found)
    if not measured:
        raise InputError(
            f"{results.name}: no run has a setting of the paper's numbers; {_why(left_out)}"
        )
    cells = ResultTable(
        "paper-numbers", "The paper's numbers", _caption(measured, results), _cells(measured)
    )
    others = ResultTable(
        "paper-left-out",
        "Not compared with the paper's numbers",
        "Rows: runs, or rows of updates.csv.",
        left_out,
    )
    return [cells, others] if len(left_out) else [cells]


def _outcomes(results: Results) -> list[Outcome]:
    settings = {run.name: run.settings for run in results.runs}
    found: list[Outcome] = []
    if results.curves is not None:
        found += curve_outcomes(results.curves, settings)
    if results.updates is not None:
        found += update_outcomes(results.updates, settings)
    return found


def _measured(found: Iterable[Outcome]) -> Measured:
    """Return our accuracies by cell.

    Raises:
        InputError: a variant has two runs of one seed.
    """
    measured: Measured = {}
    for outcome in found:
        for number, accuracy in outcome.accuracies.items():
            of_seed = measured.setdefault(number, {}).setdefault(outcome.variant, {})
            if outcome.seed in of_seed:
                raise InputError(
                    f"{outcome.run}: is a second run of {outcome.variant} with seed "
                    f"{outcome.seed}: keep them apart, or give them labels"
                )
            of_seed[outcome.seed] = accuracy
    return measured


def _cells(measured: Measured) -> pd.DataFrame:
    """Return a row for each variant and number of the settings of which there is any run."""
    run = {(number.study, number.dataset) for number in measured}
    shown = [number for number in paper_numbers() if (number.study, number.dataset) in run]
    rows = [row for number in shown for row in _rows(number, measured.get(number, {}))]
    return pd.DataFrame(rows)


def _rows(number: PaperNumber, ours: dict[str, dict[int, float]]) -> Iterator[dict[str, object]]:
    for variant, of_seed in (ours or {"": {}}).items():
        values = np.array(list(of_seed.values()))
        seeds = len(values)
        mean = float(values.mean()) if seeds else np.nan
        error = float(values.std(ddof=1) / np.sqrt(seeds)) if seeds > 1 else np.nan
        yield {
            "dataset": number.dataset,
            "method": number.method,
            "cell": number.cell,
            "variant": variant,
            "theirs": number.accuracy,
            "ours": mean,
            "ours_error": error,
            "seeds": seeds,
            "difference": mean - number.accuracy,
            "verdict": _verdict(mean - number.accuracy, 2 * error + number.rounding, seeds),
            "note": _note(number),
        }


def _verdict(difference: float, allowed: float, seeds: int) -> str:
    if seeds < MIN_PAIRS:
        return TOO_FEW if seeds else NOT_RUN
    if abs(difference) <= allowed + TINY:
        return AGREES
    return ABOVE if difference > 0 else BELOW


def _note(number: PaperNumber) -> str:
    """Return what is not known of their setting."""
    if number.study == CURVES:
        return "" if number.candidates else "their number of candidates is not known"
    return "their step size is not known" if number.method == FIRST_ORDER else ""


def _left_out(found: Iterable[Outcome]) -> pd.DataFrame:
    """Return how many runs are not compared, by what they are and why."""
    counts = Counter((o.dataset, o.backbone, o.variant, o.reason) for o in found if o.reason)
    columns = ["dataset", "backbone", "variant", "reason"]
    return pd.DataFrame(list(counts), columns=columns).assign(rows=list(counts.values()))


def _why(left_out: pd.DataFrame) -> str:
    """Return the first reasons in one line."""
    reasons = list(dict.fromkeys(left_out["reason"]))
    if not reasons:
        return "there are neither learning curves nor updates"
    more = len(reasons) - MOST_NAMED
    return "; ".join(reasons[:MOST_NAMED]) + (f"; and {more} more reasons" if more > 0 else "")


def _caption(measured: Measured, results: Results) -> str:
    run = {(number.study, number.dataset) for number in measured}
    names = dict.fromkeys((n.study, n.dataset) for n in paper_numbers())
    absent = [f"{dataset} ({study})" for study, dataset in names if (study, dataset) not in run]
    without_runs = f" Without any run: {', '.join(absent)}." if absent else ""
    return CAPTION + without_runs + ("" if results.runs else UNCHECKED)
