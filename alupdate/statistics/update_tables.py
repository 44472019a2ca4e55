"""Tables of updates against retraining."""

from collections.abc import Iterator

import pandas as pd

from alupdate.statistics.result_table import ResultTable
from alupdate.statistics.update_series import REFERENCES
from alupdate.statistics.updates import METHOD, gap_closed, speedups

SIZES = {"n_initial": "initial labels", "n_new": "new labels"}


def update_tables(updates: pd.DataFrame) -> Iterator[ResultTable]:
    """Yield the tables that an updating study allows."""
    if updates["method"].isin(REFERENCES).all():
        return
    gaps = gap_closed(updates).rename(
        columns={"standard_error": "gap_error", "low": "gap_low", "high": "gap_high"}
    )
    yield ResultTable(
        "gap-closed",
        "Gap to retraining closed by each update",
        "gap: sum(update - base) / sum(retrain - base) of test accuracy over all sizes and seeds "
        "± standard error over seeds [95 % percentile bootstrap interval]; 0 the base model, 1 "
        "retraining. retrain_p: paired t-test over seeds that the update is as accurate as "
        "retraining. worst: lowest mean of update - base in any cell of sizes. speedup: median "
        "ratio of seconds, against retraining as configured and against L-BFGS.",
        _shown(gaps),
    )
    for size, words in SIZES.items():
        yield ResultTable(
            f"speedup-{size.replace('_', '-')}",
            f"Speed-up of each update by number of {words}",
            "Median ratio of the seconds of retraining, as configured and by L-BFGS, to those of "
            "the update, over data sets, seeds and the other size.",
            speedups(updates, size),
        )


def _shown(gaps: pd.DataFrame) -> pd.DataFrame:
    gamma = gaps["gamma"].map("{:g}".format).where(gaps["step_size"] != "auto", "auto")
    table = gaps.assign(gamma=gamma).drop(columns="step_size")
    return table.sort_values(METHOD[:2], kind="stable", ignore_index=True)
