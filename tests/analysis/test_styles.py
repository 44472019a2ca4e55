import itertools

import numpy as np
import pandas as pd
import pytest

from alupdate.analysis.catalogue import analysis_input, result_figures
from alupdate.analysis.curves import learning_curve
from alupdate.analysis.styles import (
    MARKERS,
    METHODS,
    ORACLE,
    PALETTE,
    STRATEGIES,
    MethodStyles,
    VariantStyles,
    marks_of,
)
from alupdate.report.charts import curve_chart, update_charts
from alupdate.results.reader import Results
from alupdate.utils.metrics import METRIC_NAMES
from alupdate.utils.paths import conf_dir
from tests.support.curve_tables import random_curves, study

EVERY = (*STRATEGIES, "lookahead_300", "my own", "Falcun")
ORACLES = ("lookahead", "greedy_lookahead", "ensemble_lookahead", "boss")
OWN = ("my own", "bald, but better", "zz")
OWN_RULES = ("kalman", "a rule", "zeroth_order")
UPDATES = ("retrain", "second_order", "map", "first_order", "monte_carlo")


def row(strategy, batch="top_b", update="retrain", oracle=False):
    return {"strategy": strategy, "batch": batch, "update": update, "oracle": oracle}


def styles_of(strategies=EVERY, updates=("retrain",)):
    pairs = itertools.product(strategies, updates)
    return VariantStyles.of(pd.DataFrame(pairs, columns=["strategy", "update"]))


def test_every_strategy_of_the_package_has_a_style():
    ours = {path.stem for path in (conf_dir() / "strategy").glob("*.yaml")}
    assert ours - {"plugin", "skactiveml"} <= set(STRATEGIES)


def test_colours_are_from_the_palette_for_every_eye():
    assert {colour for colour, _ in STRATEGIES.values()} <= set(PALETTE)


def test_all_known_series_are_told_apart_without_colour():
    """By marker, line, and whether the marker is hollow."""
    shown = set()
    rows = [
        row(name, batch, oracle=name in ORACLES)
        for name, batch in itertools.product(STRATEGIES, ("top_b", "sequential"))
    ]
    for series in rows:
        style = styles_of().style(series)
        shown.add((style.marker, str(style.line), style.hollow))
    assert len(shown) == len(rows)


def test_all_updates_are_told_apart_without_colour():
    assert len({marker for _, marker in METHODS.values()}) == len(METHODS)


def test_ways_of_learning_differ_in_the_line():
    updates = (*UPDATES, *OWN_RULES)
    styles = styles_of(("margin",), updates)
    lines = {str(styles.style(row("margin", update=update)).line) for update in updates}
    assert len(lines) == len(updates)


@pytest.mark.parametrize("batch", ["top_b", "sequential"])
def test_oracles_are_dashed(batch):
    styles = styles_of()
    assert styles.style(row("lookahead", batch, oracle=True)).line == ORACLE
    assert styles.style(row("lookahead", batch)).line != ORACLE


def test_known_names_keep_their_style_whatever_else_is_there():
    for names in (EVERY, ("random", *OWN)):
        marks = styles_of(names).marks
        assert {name: marks[name] for name in STRATEGIES if name in names}.items() <= (
            STRATEGIES.items()
        )


def test_unknown_names_take_free_colours_first_in_a_fixed_order():
    names = [f"own {i}" for i in range(7)]
    marks = marks_of(["random", *names], STRATEGIES)
    others = [colour for colour in PALETTE if colour != STRATEGIES["random"][0]]
    assert [marks[name][0] for name in names] == others
    assert marks == marks_of(["random", *names], STRATEGIES)


@pytest.mark.parametrize("known", [[], ["random"], list(STRATEGIES)])
def test_no_two_names_share_colour_and_marker_while_there_are_pairs(known):
    pairs = len(PALETTE) * len(MARKERS)
    names = [*known, *(f"own {i}" for i in range(pairs - len(known)))]
    marks = marks_of(names, STRATEGIES)
    assert len(set(marks.values())) == pairs
    assert len(marks_of([*names, "one more"], STRATEGIES)) == pairs + 1


def test_a_name_that_is_not_in_the_experiment_has_a_style_of_its_own():
    styles = styles_of(("random", *OWN))
    later = styles.style(row("later", update="another"))
    assert (later.colour, later.marker) not in styles.marks.values()
    assert later.line not in styles.lines.values()
    methods = MethodStyles.of(study())
    method = methods.style("kalman")
    assert (method.colour, method.marker) not in methods.marks.values()


def own_curves():
    """Unknown strategies, each with retraining and with an unknown rule."""
    table = random_curves(0, ("random", "margin", *OWN))
    other = random_curves(1, ("random", *OWN)).assign(update="kalman")
    other["run"] += "-kalman"
    return pd.concat([table, other], ignore_index=True)


def own_updates():
    """Unknown rules at five step sizes, beside a known one."""
    first = study()
    rows = first[first["method"] == "map"]
    parts = [first]
    for place, name in enumerate(OWN_RULES):
        for gamma in (0.1, 0.3, 1.0, 3.0, 10.0):
            mine = rows[rows["gamma"] == 1.0].assign(method=name, gamma=gamma)
            parts.append(mine.assign(accuracy=mine["accuracy"] - 0.01 * place - 0.001 * gamma))
    return pd.concat(parts, ignore_index=True).assign(
        **dict.fromkeys((*METRIC_NAMES[1:], "decision_flips", "agreement"), 0.1)
    )


def drawn(**tables):
    given = analysis_input(Results("x", **tables))
    return {figure.name: figure.draw() for figure in result_figures(given)}


def lines_of(figure):
    """Colour, marker and dashes of every labelled line in a figure."""
    return {
        line.get_label(): (line.get_color(), line.get_marker(), line.get_linestyle())
        for panel in figure.axes
        for line in panel.get_lines()
        if not line.get_label().startswith("_")
    }


def test_every_figure_of_curves_shows_unknown_strategies_alike():
    figures = drawn(curves=own_curves())
    curves = lines_of(figures["curves-d-b"])
    names = {f"{name}, {update}" for name in ("random", *OWN) for update in ("retrain", "kalman")}
    assert set(curves) == {*names, "margin, retrain"}
    assert len({style[:2] for style in curves.values()}) == 2 + len(OWN)
    (dots,) = figures["x-areas"].axes
    assert {text.get_text() for text in dots.get_yticklabels()} == set(curves)


def test_figures_of_one_experiment_agree_though_each_shows_a_part():
    first = random_curves(0, ("random", "my own"))
    second = random_curves(1, ("random", "bald, but better", "my own")).assign(dataset="e")
    second["run"] += "-e"
    figures = drawn(curves=pd.concat([first, second], ignore_index=True))
    small, large = lines_of(figures["curves-d-b"]), lines_of(figures["curves-e-b"])
    assert small.items() <= large.items()
    assert len(set(large.values())) == 3
    for name in ("difference-d-b", "difference-e-b", "x-labels-saved"):
        others = lines_of(figures[name])
        assert others
        assert others.items() <= large.items(), name


def test_every_figure_of_updates_shows_unknown_rules():
    updates = own_updates()
    figures = drawn(updates=updates)
    assert set(figures) == {"x-d-b", "x-gap", "x-speedup", "x-gamma"}
    sizes = {label.partition(",")[0]: style for label, style in lines_of(figures["x-d-b"]).items()}
    gammas = lines_of(figures["x-gamma"])
    assert set(sizes) == set(gammas) == {"base", "retrain", "map", *OWN_RULES}
    for name in ("map", *OWN_RULES):
        assert sizes[name] == gammas[name]
    assert len({style[:2] for style in sizes.values()}) == len(sizes)
    (gap,) = figures["x-gap"].axes
    assert {text.get_text() for text in gap.get_yticklabels()} == {"map", *OWN_RULES}
    bars = figures["x-speedup"].axes[0]
    assert len(bars.containers) == 1 + len(OWN_RULES)


def test_charts_of_the_report_have_the_styles_of_the_figures():
    (chart, *_) = update_charts(own_updates())
    styles = {series.name.partition(",")[0]: series.style for series in chart.series}
    assert set(styles) == {"base", "retrain", "retrain_lbfgs", "map", *OWN_RULES}
    drawn_lines = lines_of(drawn(updates=own_updates())["x-gamma"])
    for name in OWN_RULES:
        assert (styles[name].colour, styles[name].marker) == drawn_lines[name][:2]
    curves = lines_of(drawn(curves=own_curves())["curves-d-b"])
    chart = curve_chart(Results("x", curves=own_curves()))
    for series in chart.series:
        assert (series.style.colour, series.style.marker) == curves[series.name][:2]


def test_many_unknown_strategies_are_all_drawn():
    names = [f"own {i:03}" for i in range(130)]
    figure = learning_curve(random_curves(0, names, n_seeds=1, cycles=1))
    assert set(lines_of(figure)) == set(names)
    assert np.isfinite(figure.get_size_inches()).all()
