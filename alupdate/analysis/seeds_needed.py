"""How many seeds does it take to tell two strategies apart?"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

from alupdate.analysis.question import AnalysisInput, ResultTable
from alupdate.analysis.ranks import ALPHA
from alupdate.analysis.variants import SETTING, named
from alupdate.utils.errors import InputError, suggestion
from alupdate.utils.metrics import higher_is_better

TOLD = 0.01
"""The difference in AULC that is to be told from none."""
TEST_POWERS = (0.8, 0.9)
"""How likely the test is to find it."""
MIN_SEEDS = 3
"""With fewer pairs the standard deviation of their difference is not estimated."""
LARGE_SHIFT = 10.0
"""Above it the test never errs in the sign, and scipy does not find a probability that small."""


def power_of(deviation: float, seeds: int, difference: float = TOLD) -> float:
    """Return how likely a paired t-test finds a difference, at ``ALPHA`` and two-sided.

    By the noncentral t distribution with n - 1 degrees of freedom and noncentrality
    sqrt(n) difference / deviation, as in [Cohen1988].

    Args:
        deviation: standard deviation of the differences of pairs; above 0.
        seeds: n, the number of pairs; at least 2.
        difference: the true mean difference.

    Example:
        >>> round(power_of(0.02, 34), 3)
        0.808
    """
    critical = stats.t.isf(ALPHA / 2, seeds - 1)
    shift = np.sqrt(seeds) * abs(difference) / deviation
    upper, lower = stats.nct.sf(critical, seeds - 1, shift), 0.0
    if shift < LARGE_SHIFT:
        lower = stats.nct.cdf(-critical, seeds - 1, shift)
    return float(upper + lower)


def seeds_needed(deviation: float, power: float, difference: float = TOLD) -> int:
    """Return the smallest number of pairs with which a paired t-test has this power.

    Two where there is no deviation.

    Raises:
        ValueError: the deviation is not a finite number.

    Example:
        >>> seeds_needed(0.02, 0.8), seeds_needed(0.01, 0.8)
        (34, 10)
    """
    if not np.isfinite(deviation):
        raise ValueError(f"deviation {deviation} is not finite")
    if deviation <= 1e-3 * abs(difference):
        return 2
    low, high = 1, 2
    while power_of(deviation, high, difference) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if power_of(deviation, middle, difference) < power:
            low = middle
        else:
            high = middle
    return high


def seeds_needed_frame(aulc: pd.DataFrame, better: bool, reference: str | None) -> pd.DataFrame:
    """Return one row per variant and setting: what telling it from the reference takes.

    Args:
        aulc: from ``alupdate.analysis.aulc.aulc_per_run``.
        better: whether a larger area is the better one.
        reference: the short name of a variant; None for the best of each setting without an
            oracle.

    Raises:
        InputError: no setting has a variant of that name.
    """
    table = named(aulc)
    names = sorted(table["variant"].unique())
    if reference is not None and reference not in names:
        hint = suggestion(reference, names)
        raise InputError(
            f"--reference: {reference} is no variant; {hint}available: {'; '.join(names)}"
        )
    rows = []
    for setting, group in table.groupby(SETTING):
        wide = group.pivot_table(index="seed", columns="variant", values="area")
        base = best_variant(group, better) if reference is None else reference
        if base in wide:
            others = wide.columns.drop(base)
            rows += [[*setting, base, *_row(wide, base, name)] for name in others]
    needed = [f"seeds_for_power_{round(100 * power)}" for power in TEST_POWERS]
    columns = [*SETTING, "against", "variant", "difference", "deviation", "seeds", *needed, "note"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype(dict.fromkeys(needed, "Int64"))


def best_variant(aulc: pd.DataFrame, better: bool) -> str:
    """Return the best mean AULC of one setting; oracles only where there is nothing else.

    Args:
        aulc: rows with a column ``variant``.
        better: whether a larger area is the better one.
    """
    practical = aulc[~aulc["oracle"].astype(bool)]
    means = (practical if len(practical) else aulc).groupby("variant")["area"].mean()
    return str(means.idxmax() if better else means.idxmin())


def _row(wide: pd.DataFrame, base: str, name: str) -> list[object]:
    gaps = (wide[name] - wide[base]).dropna().to_numpy()
    seeds = len(gaps)
    mean = float(gaps.mean()) if seeds else np.nan
    if seeds < MIN_SEEDS:
        few = f"{seeds} common seeds: too few to estimate the deviation; run {MIN_SEEDS} or more"
        return [name, mean, np.nan, seeds, *([pd.NA] * len(TEST_POWERS)), few]
    deviation = float(gaps.std(ddof=1)) if np.isfinite(gaps).all() else np.nan
    if np.isnan(deviation):
        return [name, mean, np.nan, seeds, *([pd.NA] * len(TEST_POWERS)), "an AULC is infinite"]
    needed = [seeds_needed(deviation, power) for power in TEST_POWERS]
    return [name, mean, deviation, seeds, *needed, ""]


def seeds_needed_tables(given: AnalysisInput) -> Iterator[ResultTable]:
    """Yield the numbers of seeds where a setting has two variants.

    Raises:
        InputError: the reference that was asked for is no variant.
    """
    if given.aulc is None:
        return
    better = higher_is_better(given.metric)
    frame = seeds_needed_frame(given.aulc, better, given.reference)
    if not len(frame):
        return
    first, second = (f"{power:g}".lstrip("0") for power in TEST_POWERS)
    yield ResultTable(
        f"seeds-needed-{given.metric}",
        f"Seeds needed to tell a difference of {f'{TOLD:g}'.lstrip('0')}",
        f"Of AULC (area under the learning curve) of {given.label}, against the variant in the "
        "second column, "
        + ("the best without an oracle" if given.reference is None else "as asked for")
        + ". deviation: standard deviation of the difference of runs with the same seed. The last "
        f"columns: seeds with which a paired t-test (two-sided, level {f'{ALPHA:g}'.lstrip('0')}) "
        f"finds a true difference of {f'{TOLD:g}'.lstrip('0')} with power {first} and {second}, if "
        "that is the deviation; it is itself an estimate, from 10 seeds known to about a quarter.",
        frame,
    )
