import numpy as np
import pandas as pd
import pytest

from alupdate.analysis.benchmark_growth import FEW_LINES, draw_growth, growth_table, slope
from alupdate.analysis.theme import SCREEN, grid


@pytest.mark.parametrize("exponent", [-1.0, 0.0, 0.5, 1.0, 2.0])
def test_a_power_law_has_its_exponent(exponent):
    sizes = np.array([1, 3, 10, 30, 100])
    assert slope(sizes, 7e-3 * sizes**exponent) == pytest.approx(exponent)


def test_only_the_upper_half_of_the_range_counts():
    """Below, a constant cost hides the growth: here 1 second, against 1 per 100 above."""
    sizes = np.array([1, 10, 100, 1000, 10_000])
    costs = np.array([1.0, 1.0, 1.0, 10.0, 100.0])
    assert slope(sizes, costs) == pytest.approx(1.0)
    assert slope(sizes[::-1], costs[::-1]) == pytest.approx(1.0)
    costs[:2] = 1000.0
    assert slope(sizes, costs) == pytest.approx(1.0)


def test_it_is_the_least_squares_line():
    rng = np.random.default_rng(0)
    sizes, costs = 10.0 ** np.arange(2, 9), rng.lognormal(size=7)
    upper = sizes >= 1e5
    expected = np.polyfit(np.log(sizes[upper]), np.log(costs[upper]), 1)[0]
    assert slope(sizes, costs) == pytest.approx(expected)


def test_two_sizes_make_a_line_and_one_makes_none():
    assert slope([10, 1000], [1, 10]) == pytest.approx(0.5)
    assert slope([1, 2, 1000], [5, 1, 10]) == pytest.approx(np.log(10) / np.log(500))
    assert np.isnan(slope([10], [1]))
    assert np.isnan(slope([10, 10], [1, 2]))


def benchmark():
    def row(variable, operation, value, seconds):
        what = f"{operation}: D=384, {variable} {value}"
        return {
            "section": "growth", "what": what, "variable": variable, "value": value,
            "seconds": seconds, "mib": 2.0,
        }  # fmt: skip

    return pd.DataFrame(
        [
            row("phase", "a whole run", 0.5, 1.0) | {"section": "whole run"},
            row("pool", "query", 100, 4.0),
            row("pool", "query", 10, 1.0),
            row("classes", "query", 10, 3.0),
            row("classes", "update", 10, 5.0),
            row("classes", "update", 20, 10.0),
            row(np.nan, "a large query", np.nan, 1.0),
        ]
    )


def test_lines_are_by_variable_and_operation_in_order():
    table = growth_table(benchmark())
    assert table["variable"].tolist() == ["pool", "pool", "classes", "classes", "classes"]
    assert table["operation"].tolist() == ["query"] * 3 + ["update"] * 2
    assert table["value"].tolist() == [10, 100, 10, 10, 20]
    np.testing.assert_allclose(table["slope"], [np.log10(4)] * 2 + [np.nan] + [1.0] * 2)


def test_without_variables_there_are_no_lines():
    rows = benchmark().tail(1)
    table = growth_table(rows)
    assert table.empty
    assert list(table) == ["variable", "operation", "value", "seconds", "mib", "slope"]


@pytest.mark.parametrize("count", [FEW_LINES, FEW_LINES + 1])
def test_slopes_stand_in_the_panel_or_if_lines_are_many_in_the_legend(count):
    rows = [
        {
            "variable": "size",
            "operation": f"op {i}",
            "value": v,
            "seconds": v,
            "mib": 1.0,
            "slope": 1,
        }
        for i in range(count)
        for v in (1.0, 10.0)
    ]
    figure = draw_growth(pd.DataFrame(rows))
    inside = [text.get_text() for panel in figure.axes for text in panel.texts]
    (legend,) = figure.legends
    listed = [text.get_text() for text in legend.get_texts()]
    many = count > FEW_LINES
    assert inside == ([] if many else ["slope 1.00"] * count)
    assert listed == [f"op {i}, slope 1.00" if many else f"op {i}" for i in range(count)]


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (3, 1), (4, 2), (5, 2), (7, 3)])
def test_panels_are_divided_among_rows_evenly(count, rows):
    panels = grid(count, SCREEN, columns=3)[1]
    shape = panels[0].get_subplotspec().get_gridspec().get_geometry()
    assert len(panels) == count
    assert shape == (rows, -(-count // rows))
