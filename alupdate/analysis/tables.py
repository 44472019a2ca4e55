"""Tables of areas under learning curves: means, differences, ranks."""

from collections.abc import Iterator, Mapping

import pandas as pd

from alupdate.analysis.areas import (
    DIFFERENCE,
    RANDOM,
    compare,
    normalised_area,
    oracle_gaps,
    references,
    sequential_gains,
    summarise,
)
from alupdate.analysis.labels_saved import labels_saved, summarise_saved
from alupdate.analysis.penalty import CONFIDENCE, penalty_matrix
from alupdate.analysis.ranks import Ranking, rank
from alupdate.analysis.render import ResultTable
from alupdate.analysis.seeds import note
from alupdate.analysis.updates import update_tables
from alupdate.analysis.variants import SETTING, VARIANT, finished, named
from alupdate.utils.metrics import METRIC_NAMES, PRIMARY, higher_is_better

INTERVAL = "95 % intervals are BCa bootstraps of the mean over seeds"
TESTS = f"{INTERVAL}; t_p: paired t-test, wilcoxon_p: Wilcoxon signed-rank test, both two-sided"


def area_tables(areas: pd.DataFrame, metric: str = PRIMARY) -> Iterator[ResultTable]:
    """Yield the tables that areas (from ``normalised_area``) allow."""
    better = higher_is_better(metric)
    yield ResultTable(
        f"areas-{metric}",
        f"Normalised area under the {metric} curve",
        f"Mean over seeds ± standard error [95 % interval]. minus_random pairs by seed. {TESTS}.",
        area_summary(areas, RANDOM, better),
    )
    names = {"difference": "sequential_minus_top_b"}
    gains = named(sequential_gains(areas).assign(batch="top_b"))
    if len(gains):
        yield ResultTable(
            f"sequential-{metric}",
            "Sequential batches against batches picked at once",
            f"Area under the {metric} curve, sequential minus top-b, paired by seed. {TESTS}.",
            _shown(gains.rename(columns=names), "sequential_minus_top_b"),
        )
    gaps = oracle_gaps(areas, better)
    if len(gaps):
        yield ResultTable(
            f"lookahead-{metric}",
            "Oracles against the best strategy without oracle",
            f"Area under the {metric} curve, paired by seed. The best strategy was chosen by its "
            f"mean on the same runs, which favours it. {TESTS}.",
            _oracle_frame(gaps),
        )
    yield from rank_tables(areas, metric)


def area_summary(
    areas: pd.DataFrame, reference: Mapping[str, str], better: bool = True
) -> pd.DataFrame:
    """Return mean areas and differences to the reference, where a setting has exactly one."""
    compared = [
        compare(group, reference)
        for _, group in areas.groupby(SETTING)
        if len(references(group, reference)) == 1
    ]
    table = summarise(areas, better).rename(
        columns={"mean": "area", "standard_error": "area_error", "low": "area_low",
                 "high": "area_high"}
    )  # fmt: skip
    table["note"] = table["seeds"].map(note)
    if compared:
        right = _pairs_renamed(pd.concat(compared), "minus_random").drop(columns="note")
        table = table.merge(right.rename(columns={"seeds": "pairs"}), on=VARIANT, how="left")
        table["pairs"] = table["pairs"].astype("Int64")
    last = ["seeds", "note"]
    columns = [c for c in table.columns if c not in (*VARIANT, *last)]
    return named(table)[[*SETTING, "variant", *columns, *last]]


def _pairs_renamed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table.rename(
        columns={"difference": name, "standard_error": f"{name}_error", "low": f"{name}_low",
                 "high": f"{name}_high"}
    )  # fmt: skip


def _shown(table: pd.DataFrame, name: str) -> pd.DataFrame:
    renamed = _pairs_renamed(table, name)
    values = [name, *_pairs_renamed(pd.DataFrame(columns=DIFFERENCE), name).columns[1:]]
    return renamed[[*SETTING, "variant", *values]]


def _oracle_frame(gaps: pd.DataFrame) -> pd.DataFrame:
    best = gaps[SETTING].copy()
    for column in ("strategy", "batch", "update"):
        best[column] = gaps[f"other_{column}"]
    together = named(pd.concat([gaps[VARIANT], best.assign(oracle=False)], ignore_index=True))
    names = together["variant"].to_numpy()
    table = gaps.assign(variant=names[: len(gaps)], best=names[len(gaps) :])
    shown = _shown(table, "minus_best")
    shown.insert(3, "best", table["best"])
    return shown


def rank_tables(areas: pd.DataFrame, metric: str) -> Iterator[ResultTable]:
    """Yield average ranks and corrected pairwise tests; blocks are data sets, then seeds."""
    for name, title, blocks, ranking in rankings(areas, metric):
        frame = pd.DataFrame(
            {"variant": ranking.ranks.index, "mean_rank": ranking.ranks.to_numpy()}
        ).assign(blocks=ranking.blocks, friedman_p=ranking.friedman_p, note=ranking.note)
        yield ResultTable(
            f"ranks-{name}-{metric}",
            f"Average ranks, {title}",
            f"Ranks (1 the best) of the area under the {metric} curve, averaged over blocks; the "
            f"blocks are {blocks}. friedman_p: Friedman's test that all are alike.",
            frame,
        )
        pairwise = ranking.pairwise.reset_index(names="variant")
        yield ResultTable(
            f"wilcoxon-{name}-{metric}",
            f"Pairwise tests, {title}",
            "p-values of Wilcoxon signed-rank tests over blocks, corrected by Holm for all pairs; "
            f"the blocks are {blocks}." + (f" {ranking.note}." if ranking.note else ""),
            pairwise,
        )


def rankings(areas: pd.DataFrame, metric: str) -> Iterator[tuple[str, str, str, Ranking]]:
    """Yield name, title, what the blocks are, and the ranking.

    First across settings, each a block with the mean over its seeds (Demsar 2006), for the
    variants that all settings have; then within each setting, seeds as blocks.
    """
    better = higher_is_better(metric)
    table = named(areas)
    wide = table.pivot_table(index=SETTING, columns="variant", values="area")
    means = _complete(wide)
    if min(means.shape) > 1:
        blocks = f"{len(means)} data sets (with their backbone), each with its mean over seeds"
        gaps = [str(name) for name in wide.columns.difference(means.columns)]
        gaps += [str(setting[0]) for setting in wide.index.difference(means.index)]
        if gaps:
            blocks += f"; left out, as not everything was run: {', '.join(gaps)}"
        yield "datasets", "data sets as blocks", blocks, rank(means, better)
    for (dataset, backbone), group in table.groupby(SETTING):
        wide = group.pivot_table(index="seed", columns="variant", values="area")
        common = _complete(wide)
        if min(common.shape) > 1:
            blocks = f"the {len(common)} seeds that all of these variants have"
            title = f"{dataset}, {backbone}: seeds as blocks"
            yield f"{dataset}-{backbone}", title, blocks, rank(common, better)


def _complete(wide: pd.DataFrame) -> pd.DataFrame:
    """Return blocks and variants without gaps, as many entries as there can be.

    Either all variants with a gap go, or all blocks with one, or first those blocks that have
    less than half the variants, which would cost the others too much, and then one of the two.
    """
    most = wide[wide.notna().sum(axis=1) >= wide.shape[1] / 2]
    most = most.loc[:, most.notna().sum() >= len(most) / 2]
    choices = [table.dropna(axis=axis) for table in (wide, most) for axis in (1, 0)]
    return max(choices, key=lambda table: (min(table.shape) > 1, table.size, len(table)))


def curve_tables(curves: pd.DataFrame, metric: str = PRIMARY) -> Iterator[ResultTable]:
    """Yield the tables that finished curves allow, those of areas aside."""
    yield ResultTable(
        "final",
        "Test metrics at the last number of labels",
        "Mean over seeds ± standard error.",
        final_metrics(curves),
    )
    if curves.groupby(SETTING)["cycle"].max().min() > 0 and len(_variants(curves)) > 1:
        yield ResultTable(
            f"penalty-{metric}",
            "Pairwise penalty matrix",
            f"How often the row beats the column (paired t-test over seeds at {CONFIDENCE:g} "
            f"confidence, {metric}; every checkpoint after the initial labels counts, in all "
            f"1 per data set and backbone). Last row: mean of the column, lower is better. After "
            f"Ash et al. (2020). {_few(curves)}".strip(),
            penalty_frame(curves, metric),
        )
    saved = labels_saved(curves, metric)
    if len(saved):
        table = named(summarise_saved(saved))
        yield ResultTable(
            f"labels-saved-{metric}",
            "Labels saved at equal accuracy",
            "Labels needed fewer than random selection to reach what it reaches: level 1 is its "
            f"best {metric}, level q that share of the way from its first {metric} to it, for "
            "each seed. Medians over seeds; never: more than half the runs do not reach it.",
            table[[*SETTING, "variant", "level", *table.columns[7:-1]]],
        )


def _variants(curves: pd.DataFrame) -> pd.DataFrame:
    return named(curves)[["variant"]].drop_duplicates()


def _few(curves: pd.DataFrame) -> str:
    remark = note(int(curves.groupby(SETTING)["seed"].nunique().min()))
    return f"{remark[0].upper()}{remark[1:]}." if remark else ""


def final_metrics(curves: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard error of every metric at the last number of labels."""
    table = named(curves)
    last = table[table["n_labelled"] == table.groupby("run")["n_labelled"].transform("max")]
    keys = [*SETTING, "variant", "n_labelled"]
    groups = last.groupby(keys)
    frame = pd.DataFrame(index=groups.size().index)
    for metric in METRIC_NAMES:
        frame[metric], frame[f"{metric}_error"] = groups[metric].mean(), groups[metric].sem()
    frame["seeds"] = groups["seed"].nunique()
    frame["note"] = frame["seeds"].map(note)
    order = [True] * len(SETTING) + [not higher_is_better(PRIMARY)]
    return (
        frame.reset_index().sort_values([*SETTING, PRIMARY], ascending=order).reset_index(drop=True)
    )


def penalty_frame(curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the penalty matrix, the rarely beaten first, with the means of the columns below."""
    matrix = penalty_matrix(curves, metric)
    order = matrix.mean().sort_values(kind="stable").index
    matrix = matrix.loc[order, order]
    matrix.loc["mean"] = matrix.mean()
    return matrix.reset_index(names="variant")


def result_tables(
    curves: pd.DataFrame | None,
    updates: pd.DataFrame | None,
    areas: pd.DataFrame | None = None,
    metric: str = PRIMARY,
) -> list[ResultTable]:
    """Return every table that the data allow.

    Args:
        curves: rows in the form of curve.csv; runs behind the others of their setting are left
            out, as they are not finished.
        updates: rows in the form of updates.csv.
        areas: from ``normalised_area``, where there are no curves any more.
        metric: a column of curve.csv by which strategies are compared.

    Raises:
        InputError: runs differ in settings that the table does not show.
    """
    tables: list[ResultTable] = []
    if curves is not None and len(curves):
        done = finished(curves)
        tables += [*area_tables(normalised_area(done, metric), metric), *curve_tables(done, metric)]
    if areas is not None and len(areas):
        tables += area_tables(areas, metric)
    if updates is not None and len(updates):
        tables += update_tables(updates)
    return tables
