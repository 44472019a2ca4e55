"""Every table and figure that results allow, question by question.

A new question is a module of this package with functions that yield its tables and its figures,
and its lines in the lists below.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from alupdate.analysis.accuracy_by_size import size_figures
from alupdate.analysis.aulc import aulc_figures, aulc_per_run, aulc_tables
from alupdate.analysis.batch_construction import batch_figures, batch_tables
from alupdate.analysis.benchmark_growth import growth_figures
from alupdate.analysis.benchmark_speedups import ratio_figures
from alupdate.analysis.candidates import candidate_figures
from alupdate.analysis.costs import cost_figures, cost_tables
from alupdate.analysis.curves import curve_figures, curve_tables
from alupdate.analysis.disturbances import disturbance_figures, disturbance_tables
from alupdate.analysis.forecasts import forecast_figures, forecast_tables
from alupdate.analysis.gap_closed import gap_figures, gap_tables
from alupdate.analysis.labels_saved import labels_saved_figures, labels_saved_tables
from alupdate.analysis.lengths import to_common_length
from alupdate.analysis.oracles import oracle_figures, oracle_tables
from alupdate.analysis.penalty import penalty_figures, penalty_tables
from alupdate.analysis.question import AnalysisInput, ResultFigure, ResultTable
from alupdate.analysis.ranks import rank_figures, rank_tables
from alupdate.analysis.seeds_needed import seeds_needed_tables
from alupdate.analysis.step_sizes import gamma_figures
from alupdate.analysis.stopping import stopping_figures, stopping_tables
from alupdate.analysis.styles import MethodStyles, VariantStyles
from alupdate.analysis.theme import SCREEN, Theme
from alupdate.analysis.update_speedups import speedup_figures, speedup_tables
from alupdate.analysis.variants import best_variants, finished
from alupdate.results.reader import Results
from alupdate.utils.errors import InputError
from alupdate.utils.metrics import PRIMARY, higher_is_better

TABLES: tuple[Callable[[AnalysisInput], Iterator[ResultTable]], ...] = (
    aulc_tables, cost_tables, batch_tables, oracle_tables, rank_tables, curve_tables,
    penalty_tables, labels_saved_tables, seeds_needed_tables, stopping_tables, gap_tables,
    speedup_tables, forecast_tables, disturbance_tables,
)  # fmt: skip
"""Functions that yield tables, in the order in which they are shown."""
FIGURES: tuple[Callable[[AnalysisInput, Theme], Iterator[ResultFigure]], ...] = (
    curve_figures, penalty_figures, labels_saved_figures, stopping_figures, aulc_figures,
    batch_figures, oracle_figures, candidate_figures, rank_figures, size_figures, gamma_figures,
    gap_figures, speedup_figures, growth_figures, ratio_figures, forecast_figures,
    disturbance_figures,
)  # fmt: skip
"""Functions that yield figures, in the order in which they are drawn."""


LABELS, COST = DRAWN_OVER = ("labels", "cost")
"""What learning curves are drawn over."""


def analysis_input(results: Results, metric: str = PRIMARY) -> AnalysisInput:
    """Return what the questions read.

    Args:
        results: of an experiment. Runs with fewer cycles than others of their setting are left
            out, as they are not finished; where a stopping rule has ended a run, the curves of
            its setting are cut to a common length (``alupdate.analysis.lengths``).
        metric: a column of curve.csv, by which strategies are compared.

    Raises:
        InputError: runs differ in settings that the table does not show, or areas were computed
            of another metric.
    """
    tables = (results.curves, results.updates, results.areas, results.benchmark)
    curves, updates, areas, benchmark = (
        table if table is not None and len(table) else None for table in tables
    )
    if areas is not None and metric != PRIMARY:
        raise InputError(f"metric: {metric} is not known of areas; they are of {PRIMARY}")
    named = next((t for t in (curves, areas, results.stopping) if t is not None), None)
    done = None if curves is None else finished(to_common_length(curves, results.stopping))
    aulc = areas if done is None else aulc_per_run(done, metric)
    aulc = aulc if aulc is not None and len(aulc) else None
    given = AnalysisInput(
        name=results.name,
        metric=metric,
        curves=done,
        aulc=aulc,
        updates=updates,
        costs=results.costs,
        stopping=results.stopping,
        benchmark=benchmark,
        forecasts=results.forecasts,
        methods=MethodStyles() if updates is None else MethodStyles.of(updates),
        chosen=None if aulc is None else best_variants(aulc, higher_is_better(metric)),
    )
    return given if named is None else replace(given, variants=VariantStyles.of(given.drawn(named)))


def result_tables(given: AnalysisInput) -> list[ResultTable]:
    """Return every table that the data allow."""
    return [table for tables in TABLES for table in tables(given)]


def result_figures(
    given: AnalysisInput, theme: Theme = SCREEN, against: str = LABELS
) -> list[ResultFigure]:
    """Return every figure that the data allow; a note says what it leaves out, if anything.

    Args:
        given: tables of an experiment.
        theme: sizes and fonts.
        against: what the curves are drawn over, one of ``DRAWN_OVER``.

    Raises:
        InputError: the runs have no costs, over which they are to be drawn.
    """
    kinds = FIGURES if against == LABELS else (cost_figures,)
    found = [figure for figures in kinds for figure in figures(given, theme)]
    if not given.note:
        return found
    of_variants = {"strategy", "variant"}
    return [f.with_note(given.note) if of_variants & set(f.frame) else f for f in found]
