"""Which strategy is best if a query may take so many seconds and no more?"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from alupdate.analysis.aulc import difference_row
from alupdate.analysis.citation import BEST
from alupdate.analysis.question import TESTS, AnalysisInput, ResultTable
from alupdate.analysis.seeds_needed import best_variant
from alupdate.analysis.variants import SETTING, VARIANT, named
from alupdate.results.reader import Results
from alupdate.utils.errors import InputError
from alupdate.utils.metrics import higher_is_better

NONE_WITHIN = "no strategy is within the budget"


def query_seconds(given: AnalysisInput, results: Results) -> pd.DataFrame:
    """Return the AULC of each run beside ``query_seconds``, the median of its queries.

    Raises:
        InputError: there are no learning curves or AULCs, or their seconds are not known.
    """
    areas = given.aulc
    if areas is None:
        raise InputError(f"{results.name}: --budget needs runs of task=active_learning")
    if results.timings is not None and given.curves is not None:
        of_queries = results.timings[results.timings["phase"] == "select"]
        medians = of_queries.groupby("run")["seconds"].median().rename("query_seconds")
        runs = given.curves.drop_duplicates("run")[["run", *VARIANT, "seed"]]
        seconds = runs.merge(medians, on="run").drop(columns="run")
        areas = areas.drop(columns="query_seconds", errors="ignore").merge(seconds, how="left")
    if "query_seconds" not in areas or areas["query_seconds"].isna().any():
        raise InputError(
            f"{results.name}: --budget needs the seconds of queries; give results/<experiment> "
            "with its runs, or a file of scripts/areas.py"
        )
    return areas


def budget_tables(given: AnalysisInput, results: Results, budget: float) -> Iterator[ResultTable]:
    """Yield the best strategy within a budget for each setting, and all of them with their seconds.

    Args:
        given: of the results.
        results: with the seconds.
        budget: the seconds that the median query may take.

    Raises:
        InputError: as ``query_seconds``.
    """
    runs = named(query_seconds(given, results))
    better = higher_is_better(given.metric)
    everything = _all(runs, budget, better)
    words = f"{budget:g} seconds"
    yield ResultTable(
        f"budget-{given.metric}",
        f"Best strategy within {words} per query",
        f"By AULC (area under the learning curve) of {given.label}, mean over seeds ± standard "
        "error, of the strategies without an oracle whose query takes no longer: median over "
        "seeds of the median over cycles, on the machine of the runs. Last columns: the best at "
        f"any price, and what it is above the other, paired by seed. {TESTS}.",
        _best(runs, everything, better),
    )
    yield ResultTable(
        f"budget-all-{given.metric}",
        f"AULC and seconds per query, budget {words}",
        f"Column area: AULC of {given.label}, mean over seeds ± standard error; bold: the best "
        "within the budget, without oracles.",
        everything,
    )


def _all(runs: pd.DataFrame, budget: float, better: bool) -> pd.DataFrame:
    """Return one row per variant: AULC, seconds, and whether these are within the budget."""
    groups = runs.groupby([*SETTING, "variant"])
    frame = groups.agg(
        area=("area", "mean"),
        area_error=("area", "sem"),
        query_seconds=("query_seconds", "median"),
        seeds=("seed", "nunique"),
    ).reset_index()
    frame["within"] = np.where(frame["query_seconds"] <= budget, "yes", "no")
    frame["area_mark"] = ""
    keys = [*SETTING, "variant"]
    kept = runs.merge(frame[frame["within"] == "yes"][keys], on=keys)
    for setting, group in kept[~kept["oracle"].astype(bool)].groupby(SETTING):
        place = (frame[keys] == [*setting, best_variant(group, better)]).all(axis=1)
        frame.loc[place, "area_mark"] = BEST
    order = [*keys, "area", "area_error", "area_mark", "query_seconds", "within", "seeds"]
    return frame[order].sort_values(
        [*SETTING, "area"], ascending=[True, True, not better], ignore_index=True
    )


def _best(runs: pd.DataFrame, everything: pd.DataFrame, better: bool) -> pd.DataFrame:
    rows = []
    for setting, group in runs.groupby(SETTING):
        here = everything[(everything[SETTING] == list(setting)).all(axis=1)]
        table = here.set_index("variant")
        best = best_variant(group, better)
        chosen = table.index[table["area_mark"] == BEST]
        if not len(chosen):
            seconds = table.loc[best, "query_seconds"]
            empty = ["", np.nan, np.nan, np.nan, best, seconds, *[np.nan] * 6, 0, NONE_WITHIN]
            rows.append([*setting, *empty])
            continue
        name = str(chosen[0])
        wide = group.pivot_table(index="seed", columns="variant", values="area")
        pairs = wide[[best, name]].dropna().to_numpy() if best != name else np.empty((0, 2))
        gap = difference_row(pairs) if best != name else [*[np.nan] * 6, len(wide[name]), ""]
        values = table.loc[name, ["area", "area_error", "query_seconds"]]
        rows.append([*setting, name, *values, best, table.loc[best, "query_seconds"], *gap])
    columns = [
        "best_within", "area", "area_error", "query_seconds", "best_at_any_price", "its_seconds",
        "above", "above_error", "above_low", "above_high", "t_p", "wilcoxon_p", "seeds", "note",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=[*SETTING, *columns])
