"""Where stopping rules would have ended runs, and curves of unequal length."""

import numpy as np
import pandas as pd
import pytest

from alupdate.analysis.catalogue import analysis_input, result_figures, result_tables
from alupdate.analysis.lengths import left_out_of_tables, length_notes, to_common_length
from alupdate.analysis.stopping import LOST, stops_per_run, summarise_ended, summarise_stops
from alupdate.report.page import page
from alupdate.results.reader import Results
from alupdate.utils.errors import InputError
from tests.support.curve_tables import curves


def verdicts(table, stops, ended=False):
    """Rows of stopping.csv: run -> rule -> cycles at which the rule says stop."""
    identity = [
        "run", "dataset", "backbone", "strategy", "batch", "update", "seed", "cycle", "n_labelled",
        "oracle", "accuracy",
    ]  # fmt: skip
    rows = []
    for row in table[identity].to_dict("records"):
        for rule, cycles in stops.get(row["run"], {}).items():
            stop = row["cycle"] in cycles
            rows.append({**row, "rule": rule, "value": 0.5, "stop": stop, "ended": ended and stop})
    return pd.DataFrame(rows)


RUNS = curves({"random": [[0.2, 0.5, 0.6], [0.2, 0.4, 0.7]], "margin": [[0.2, 0.6, 0.8]]})
STOPS = verdicts(
    RUNS,
    {
        "d-random-0": {"kappa": {1, 2}, "accuracy_plateau": set()},
        "d-random-1": {"kappa": set(), "accuracy_plateau": {0}},
        "d-margin-0": {"kappa": {1}, "accuracy_plateau": {2}},
    },
)


def test_labels_saved_and_accuracy_lost_at_the_first_stop():
    table = stops_per_run(STOPS).set_index(["strategy", "seed", "rule"])
    first = table.loc[("random", 0, "kappa")]
    assert (first["stopped"], first["labels"]) == (True, 20)
    assert first[LOST] == pytest.approx(0.1)
    assert first["saved"] == pytest.approx(1 / 3)
    never = table.loc[("random", 1, "kappa")]
    assert (never["stopped"], never["labels"], never[LOST], never["saved"]) == (False, 30, 0, 0)
    late = table.loc[("margin", 0, "accuracy_plateau")]
    assert (late["stopped"], late["saved"]) == (True, 0)


def test_means_and_errors_over_seeds():
    row = (
        summarise_stops(stops_per_run(STOPS)).set_index(["variant", "rule"]).loc["random", "kappa"]
    )
    assert (row["stopped"], row["labels"], row["seeds"]) == (0.5, 25, 2)
    assert row[LOST] == pytest.approx(0.05)
    assert row[f"{LOST}_error"] == pytest.approx(np.std([0.1, 0], ddof=1) / np.sqrt(2))
    assert row["saved"] == pytest.approx(1 / 6)


ENDED = curves({"random": [[0.2, 0.5], [0.2, 0.4, 0.7, 0.8]], "margin": [[0.2, 0.6, 0.8]]})
ENDS = verdicts(ENDED, {"d-random-0": {"kappa": {1}}, "d-margin-0": {"kappa": {2}}}, ended=True)


def test_curves_are_cut_to_the_end_of_the_shortest_ended_run():
    other = curves({"random": [[0.1, 0.2, 0.3]]}, dataset="e")
    both = pd.concat([ENDED, other], ignore_index=True)
    cut = to_common_length(both, ENDS)
    assert cut.groupby("run")["n_labelled"].max().to_dict() == {
        "d-random-0": 20, "d-random-1": 20, "d-margin-0": 20, "e-random-0": 30,
    }  # fmt: skip
    results = Results("r", curves=both, stopping=ENDS)
    (line,) = length_notes(results)
    assert line == (
        "d, b: curves are cut to 20 labels, where kappa ended run d-random-0, the first of 2 runs "
        "that rules ended"
    )
    assert {run.run: run.state for run in left_out_of_tables(results)} == {
        "d-random-0": "stopped", "d-margin-0": "stopped",
    }  # fmt: skip


def test_tables_and_figures_compare_ended_runs_over_the_same_labels():
    results = Results("r", curves=ENDED, stopping=ENDS)
    given = analysis_input(results)
    areas = given.aulc.set_index(["strategy", "seed"])["area"]
    assert areas.loc[("random", 1)] == pytest.approx(0.3)
    assert areas.loc[("margin", 0)] == pytest.approx(0.4)
    tables = {table.name: table.frame for table in result_tables(given)}
    assert tables["stopping-ended"].set_index("variant")["labels"].to_dict() == {
        "margin": 30,
        "random": 20,
    }
    assert "stopping-rules" not in tables
    assert "r-stops" not in {figure.name for figure in result_figures(given)}
    assert "ended by kappa after 20 labels" in page(results)
    assert summarise_ended(ENDS)["runs"].tolist() == [1, 1]


def test_a_shorter_run_that_no_rule_ended_is_left_out_with_a_line():
    results = Results("r", curves=ENDED)
    notes = length_notes(results)
    assert [line.split(" (")[0] for line in notes] == ["left out d-margin-0", "left out d-random-0"]
    assert analysis_input(results).curves["run"].unique().tolist() == ["d-random-1"]


def test_without_rules_nothing_is_cut():
    assert to_common_length(RUNS, None) is RUNS
    assert to_common_length(RUNS, STOPS) is RUNS


def test_the_figure_marks_where_rules_stop():
    given = analysis_input(Results("r", curves=RUNS, stopping=STOPS))
    (figure,) = [f for f in result_figures(given) if f.name == "r-stops"]
    (panel,) = figure.draw().axes
    marks = [line for line in panel.lines if len(line.get_xdata()) == 1]
    assert [float(line.get_xdata()[0]) for line in marks] == [20, 30, 25, 20]


def test_gathered_verdicts_alone_give_table_and_figure():
    given = analysis_input(Results("stopping", stopping=STOPS))
    assert [table.name for table in result_tables(given)] == ["stopping-rules"]
    assert [figure.name for figure in result_figures(given)] == ["stopping-stops"]


def test_runs_that_look_alike_are_refused():
    twice = pd.concat([STOPS, STOPS.assign(run="another")])
    with pytest.raises(InputError, match="differ only in settings"):
        stops_per_run(twice)
