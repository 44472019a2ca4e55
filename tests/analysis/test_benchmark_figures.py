"""The benchmark's figures show the numbers of its table."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from alupdate.analysis.benchmark_growth import (
    OPERATION_STYLES,
    WHOLE_PROCESS,
    style_of_operation,
)
from alupdate.analysis.catalogue import analysis_input, result_figures
from alupdate.analysis.styles import BLUE, VERMILLION
from alupdate.analysis.theme import PAPER, SCREEN
from alupdate.results.reader import Results, read_results
from benchmarks.growth import VARIABLES, Sizes, operations
from benchmarks.large_pool import OPERATION
from benchmarks.measure import Row, Timing
from benchmarks.table import table_of
from tests.support.scripts import load

RATIOS = {"update": (20.0, 0.5), "peers": (3.0,)}


@pytest.fixture(scope="module")
def table():
    rows = [
        Row(section, f"step {i}, of some size", Timing(2.0, 5, 1.0), "a plain way of doing it",
            Timing(2.0 * ratio, 5, 1.0), "same batch")
        for section, ratios in RATIOS.items()
        for i, ratio in enumerate(ratios)
    ]  # fmt: skip
    for variable in VARIABLES:
        for operation in ("update", "look-ahead query", "sequential margin query"):
            rows += [grown(operation, variable, value) for value in (1000, 10, 100)]
    rows += [grown(OPERATION, "candidates", value) for value in (1000, 10_000)]
    return table_of(rows)


def grown(operation, variable, value):
    timing = Timing(1e-3 * value, 3, 0.0 if value == 10 else 5.0)
    return Row("growth", f"{operation}: {value}", timing, variable=variable, value=value)


def figures(table, theme=SCREEN):
    given = analysis_input(Results("benchmark", benchmark=table))
    return {figure.name: figure for figure in result_figures(given, theme)}


@pytest.mark.parametrize("theme", [SCREEN, PAPER], ids=lambda theme: theme.name)
def test_both_can_be_drawn(table, theme):
    made = figures(table, theme)
    assert set(made) == {"benchmark-growth", "benchmark-speedups"}
    for figure in made.values():
        with theme.applied():
            drawn = figure.draw()
        assert any(axes.has_data() for axes in drawn.axes)
        assert figure.caption.endswith(".")
        if theme is PAPER:
            assert drawn.get_figwidth() <= 4.8


def test_growth_has_a_panel_of_seconds_and_of_memory_for_each_variable(table):
    figure = figures(table)["benchmark-growth"]
    drawn = figure.draw()
    panels = [axes for axes in drawn.axes if axes.has_data()]
    assert len(panels) == 2 * (len(VARIABLES) + 1)
    labels = [axes.get_xlabel() for axes in panels if axes.get_xlabel()]
    assert labels == [*VARIABLES, "candidates"]
    assert all(axes.get_xscale() == axes.get_yscale() == "log" for axes in panels)


def test_growth_shows_seconds_with_their_slopes(table):
    figure = figures(table)["benchmark-growth"]
    panel = figure.draw().axes[0]
    lines = {line.get_label(): line for line in panel.get_lines()}
    here = figure.frame[figure.frame["variable"] == "classes"]
    assert set(lines) == set(here["operation"])
    for operation, rows in here.groupby("operation"):
        np.testing.assert_array_equal(lines[operation].get_xdata(), [10, 100, 1000])
        np.testing.assert_array_equal(lines[operation].get_ydata(), rows["seconds"])
    assert [text.get_text() for text in panel.texts] == ["slope 1.00"] * 3


def test_memory_says_whose_it_is_and_none_is_no_point(table):
    axes = [a for a in figures(table)["benchmark-growth"].draw().axes if a.has_data()]
    titles = [a.get_title() for a in axes if a.get_title()]
    assert titles == ["added at the peak"] * len(VARIABLES) + ["of the whole process"]
    memory = axes[len(VARIABLES) + 1]
    assert np.isnan(memory.get_lines()[0].get_ydata()[0])


def dots_of(axes):
    return [np.asarray(c.get_offsets()) for c in axes.collections if isinstance(c, PathCollection)]


def test_speedups_are_the_ratios_in_their_order(table):
    drawn = figures(table)["benchmark-speedups"].draw()
    for axes, (section, ratios) in zip(drawn.axes, RATIOS.items(), strict=True):
        assert axes.get_title(loc="left") == section
        assert axes.get_xscale() == "log"
        dots = np.concatenate(dots_of(axes))
        np.testing.assert_allclose(dots[:, 0], ratios)
        assert (np.diff(dots[:, 1]) < 0).all()  # the first is on top
        for i, label in enumerate(axes.get_yticklabels()):
            assert label.get_text() == f"step {i}, of some size\nagainst a plain way of doing it"


def test_sizes_of_one_operation_share_a_line_and_limits_have_none():
    rows = [
        Row("update", f"map (gaussian), 10 labels after {n}, D=384", Timing(1.0, 5, 0.0), against,
            Timing(ratio, 5, 0.0))
        for n, ratio, against in (
            ("10", 2.0, "retraining"), ("1,000", 8.0, "retraining"),
            ("10", 0.5, "the arithmetic of its steps alone"),
        )
    ]  # fmt: skip
    (axes,) = figures(table_of(rows))["benchmark-speedups"].draw().axes
    (dots,) = dots_of(axes)
    assert dots[:, 0].tolist() == [2.0, 8.0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["map (gaussian)\nagainst retraining"]
    assert [text.get_text() for text in axes.texts] == ["5\u00d7"]


def test_slower_is_in_another_colour(table):
    axes = figures(table)["benchmark-speedups"].draw().axes[0]
    dots = [c for c in axes.collections if isinstance(c, PathCollection)]
    colours = [tuple(np.round(c.get_facecolors()[0][:3] * 255).astype(int)) for c in dots]
    assert colours == [tuple(bytes.fromhex(c[1:])) for c in (BLUE, VERMILLION)]
    assert [text.get_text() for text in axes.texts] == ["20\u00d7", "0.5\u00d7"]


def test_only_what_the_table_allows_is_drawn(table):
    pairs, growth = table[table["section"] != "growth"], table[table["section"] == "growth"]
    assert set(figures(pairs)) == {"benchmark-speedups"}
    assert set(figures(growth)) == {"benchmark-growth"}


def test_known_operations_have_a_style_of_their_own():
    names = [OPERATION, *operations(Sizes(5, 3, 30, 4, 20, 8))]
    assert WHOLE_PROCESS in OPERATION
    styles = {(s.colour, s.marker, s.hollow) for s in (style_of_operation(n, 0) for n in names)}
    assert len(styles) == len(names)
    assert all(any(name.startswith(start) for start in OPERATION_STYLES) for name in names)
    assert style_of_operation("another", 1).line == "--"


def test_the_script_draws_them_from_the_csv(table, tmp_path, monkeypatch):
    monkeypatch.setattr(Figure, "savefig", lambda _, path, **__: path.touch())
    source = tmp_path / "benchmark.csv"
    table.to_csv(source, index=False)
    found = read_results(source)
    assert found.curves is found.updates is found.areas is None
    assert isinstance(found.benchmark, pd.DataFrame)
    assert load("figures").main([str(source), str(tmp_path / "out")]) == 0
    drawn = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert drawn == {"benchmark-growth.png", "benchmark-speedups.png"}
