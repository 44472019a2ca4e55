import itertools

import pytest

from alupdate.analysis.theme import ORACLE, PALETTE, STRATEGIES, UPDATES, colour_of, style_of
from alupdate.utils.paths import conf_dir


def row(strategy, batch="top_b", update="retrain", oracle=False):
    return {"strategy": strategy, "batch": batch, "update": update, "oracle": oracle}


def test_every_strategy_of_the_package_has_a_style():
    ours = {path.stem for path in (conf_dir() / "strategy").glob("*.yaml")}
    assert ours - {"plugin", "skactiveml"} <= set(STRATEGIES)


def test_colours_are_from_the_palette_for_every_eye():
    assert {colour for colour, _ in STRATEGIES.values()} <= set(PALETTE)


def test_all_known_series_are_told_apart_without_colour():
    """By marker, line, and whether the marker is hollow."""
    shown = set()
    rows = [
        row(name, batch, oracle=name in ("lookahead", "greedy_lookahead"))
        for name, batch in itertools.product(STRATEGIES, ("top_b", "sequential"))
    ]
    for series in rows:
        style = style_of(series)
        shown.add((style.marker, str(style.line), style.hollow))
    assert len(shown) == len(rows)


def test_all_updates_are_told_apart_without_colour():
    assert len({marker for _, marker in UPDATES.values()}) == len(UPDATES)


def test_ways_of_learning_differ_in_the_line():
    updates = ("retrain", "second_order", "map", "first_order", "monte_carlo")
    lines = {str(style_of(row("margin", update=update)).line) for update in updates}
    assert len(lines) == len(updates)


@pytest.mark.parametrize("batch", ["top_b", "sequential"])
def test_oracles_are_dashed(batch):
    assert style_of(row("lookahead", batch, oracle=True)).line == ORACLE
    assert style_of(row("lookahead", batch)).line != ORACLE


@pytest.mark.parametrize("name", ["lookahead_300", "my own", "Falcun"])
def test_unknown_strategies_have_a_stable_style_that_no_known_one_has(name):
    style = style_of(row(name))
    assert style == style_of(row(name))
    assert (style.colour, style.marker) not in STRATEGIES.values()
    assert colour_of(f"{name}, sequential (oracle)") == style.colour


def test_unknown_strategies_are_spread_over_the_styles():
    styles = {(s.colour, s.marker) for s in (style_of(row(f"own {i}")) for i in range(40))}
    assert len(styles) > 25
