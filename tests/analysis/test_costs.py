import numpy as np
import pandas as pd
import pytest

from alupdate.analysis.catalogue import COST, analysis_input, result_figures, result_tables
from alupdate.analysis.costs import aulc_over_cost, cost_ranges, curves_over_cost
from alupdate.report.commands import run_command
from alupdate.results.reader import Results
from alupdate.utils.errors import InputError
from tests.support.curve_tables import curves
from tests.support.experiments import write_run

TABLE = curves({"random": [[0.0, 0.5, 1.0]], "margin": [[0.0, 1.0, 1.0]]})


def paid(table, sums, unit="words"):
    """Costs of runs by strategy, the sums after each cycle."""
    rows = table[["run", "cycle", "n_labelled"]].copy()
    rows["cost"] = [
        sums[name][c] for name, c in zip(table["strategy"], table["cycle"], strict=True)
    ]
    return rows.assign(unit=unit)


def given_of(sums, table=TABLE, **more):
    return analysis_input(Results("x", curves=table, costs=paid(table, sums, **more)))


CHEAP = {"random": [1, 3, 5], "margin": [1, 2, 9]}


def test_areas_are_exact_between_common_costs():
    (over,) = cost_ranges(given_of(CHEAP))
    assert (over.low, over.high, over.unit) == (1, 5, "words")
    areas = aulc_over_cost(over, "accuracy").set_index("strategy")["area"]
    assert areas["random"] == pytest.approx(0.5)  # a line from 0 to 1
    assert areas["margin"] == pytest.approx((0.5 + 3) / 4)  # 0 to 1 within one unit, then 1


def test_equal_costs_give_the_areas_over_labels():
    given = given_of({"random": [10, 20, 30], "margin": [10, 20, 30]})
    (over,) = cost_ranges(given)
    found = aulc_over_cost(over, "accuracy").sort_values("strategy")["area"].tolist()
    assert found == pytest.approx(given.aulc.sort_values("strategy")["area"].tolist())


def test_curves_are_read_off_at_common_costs():
    (over,) = cost_ranges(given_of(CHEAP))
    lines = curves_over_cost(over, "accuracy").set_index(["strategy", "n_labelled"])["accuracy"]
    assert lines["random", 3.0] == pytest.approx(0.5)
    assert lines["margin", 2.0] == pytest.approx(1.0)
    assert lines.index.get_level_values(1).min() == 1
    assert lines.index.get_level_values(1).max() == 5


def test_tables_and_figures_over_cost():
    given = given_of(CHEAP)
    names = {table.name for table in result_tables(given)}
    assert "areas-accuracy-cost" in names
    figures = {figure.name: figure for figure in result_figures(given, against=COST)}
    assert set(figures) == {"curves-d-b-cost", "difference-d-b-cost", "x-areas-cost"}
    panel = figures["curves-d-b-cost"].draw().axes[0]
    assert panel.get_xlabel() == "cost (words)"
    assert "cost" in figures["curves-d-b-cost"].frame
    assert np.isfinite(figures["difference-d-b-cost"].frame["mean"]).all()


def test_what_cannot_be_compared_is_one_line():
    with pytest.raises(InputError, match="no cost is covered by all runs"):
        cost_ranges(given_of({"random": [1, 2, 3], "margin": [4, 5, 6]}))
    given = given_of(CHEAP)
    mixed = given.costs.assign(unit=np.where(given.costs.index < 3, "words", "minutes"))
    with pytest.raises(InputError, match="costs are in minutes and words"):
        cost_ranges(analysis_input(Results("x", curves=TABLE, costs=mixed)))


def test_runs_without_costs_have_no_table_and_refuse_figures(tmp_path, capsys):
    assert "areas-accuracy-cost" not in {
        table.name for table in result_tables(analysis_input(Results("x", curves=TABLE)))
    }
    write_run(tmp_path / "small")
    given = ["figures", str(tmp_path / "small"), str(tmp_path / "out"), "--against", "cost"]
    assert run_command(given) == 2
    assert capsys.readouterr().err == (
        "error: small: no run has costs; run with dataset.cost or dataset.cost_column (a file of "
        "gathered runs holds curves only)\n"
    )
    assert not (tmp_path / "out").exists()


def test_an_unfinished_half_is_left_out():
    both = pd.concat([TABLE, TABLE.assign(dataset="e", run=TABLE["run"] + "e")])
    given = analysis_input(Results("x", curves=both, costs=paid(TABLE, CHEAP)))
    assert [over.setting for over in cost_ranges(given)] == [("d", "b")]
