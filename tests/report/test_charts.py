import json
import math
from collections import Counter
from pathlib import Path
from statistics import mean, median, stdev

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alupdate.analysis.styles import MARKERS, PALETTE, Style
from alupdate.report import svg_style as svg_style_module
from alupdate.report.charts import (
    Chart,
    ChartMetric,
    Series,
    acquired_classes,
    as_json,
    curve_chart,
    panels,
    update_charts,
)
from alupdate.report.svg_style import (
    DARK_BACKGROUND,
    MIN_CONTRAST,
    contrast,
    marker_name,
    on_dark,
    svg_style,
)
from alupdate.results.reader import Results, read_results
from alupdate.utils.metrics import METRIC_NAMES
from tests.support.experiments import write_run, write_study

LINE = Style("#0072B2", "o", "-")


def chart(frame, median=False, reference=None):
    return Chart(
        key="k",
        title="",
        caption="",
        x_label="",
        x_log=False,
        selectors=(),
        metrics=(ChartMetric("score", "score", median=median),),
        series=(Series("a", LINE), Series("b", LINE)),
        frame=frame,
        reference=reference,
    )


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["0", "1"]),
        st.sampled_from(["a", "b"]),
        st.integers(1, 3),
        st.integers(0, 4),
        st.floats(-10, 10) | st.just(math.nan) | st.just(math.inf),
    ),
    min_size=1,
    unique_by=lambda row: row[:4],
)


def frame_of(rows):
    return pd.DataFrame(rows, columns=["panel", "series", "x", "seed", "score"])


def points(lines):
    """Return (panel, series position, x) to (y, low, high, n)."""
    return {
        (panel, line["series"], x): (line["y"][i], line["low"][i], line["high"][i], line["n"][i])
        for panel, found in lines.items()
        for line in found
        for i, x in enumerate(line["x"])
    }


def values_of(rows, keep=math.isfinite):
    found = {}
    for panel, series, x, _, value in rows:
        if keep(value):
            found.setdefault((panel, "ab".index(series), x), []).append(value)
    return found


def assert_points(lines, expected):
    found = points(lines)
    assert found.keys() == expected.keys()
    for key, point in expected.items():
        assert found[key] == pytest.approx(point, rel=1e-4, abs=1e-9)


@settings(max_examples=25)
@given(ROWS)
def test_lines_are_means_with_standard_errors(rows):
    lines = {k: v["score"]["value"] for k, v in panels(chart(frame_of(rows))).items()}
    expected = {}
    for key, values in values_of(rows).items():
        error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
        expected[key] = (mean(values), mean(values) - error, mean(values) + error, len(values))
    assert_points(lines, expected)


@settings(max_examples=25)
@given(ROWS)
def test_lines_of_ratios_are_medians_with_quartiles(rows):
    lines = {k: v["score"]["value"] for k, v in panels(chart(frame_of(rows), True)).items()}
    expected = {
        key: (median(v), np.quantile(v, 0.25), np.quantile(v, 0.75), len(v))
        for key, v in values_of(rows, lambda value: math.isfinite(value) and value > 0).items()
    }
    assert_points(lines, expected)


@settings(max_examples=25)
@given(ROWS)
def test_differences_are_paired_by_seed(rows):
    rows = [row for row in rows if math.isfinite(row[-1])]
    base = {(panel, x, seed): value for panel, s, x, seed, value in rows if s == "a"}
    reference = pd.DataFrame(
        [[*key, value] for key, value in base.items()], columns=["panel", "x", "seed", "score"]
    )
    if reference.empty:
        return
    found = panels(chart(frame_of(rows), reference=reference))
    lines = {k: v["score"]["difference"] for k, v in found.items() if "difference" in v["score"]}
    paired = [
        (panel, s, x, seed, value - base[panel, x, seed])
        for panel, s, x, seed, value in rows
        if (panel, x, seed) in base
    ]
    expected = {key: (mean(values), len(values)) for key, values in values_of(paired).items()}
    got = {key: (y, n) for key, (y, _, _, n) in points(lines).items()}
    assert got.keys() == expected.keys()
    for key, point in expected.items():
        assert got[key] == pytest.approx(point, rel=1e-4, abs=1e-6)


@settings(max_examples=25)
@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), min_size=1, max_size=4))
def test_classes_acquired_are_counted_up_to_each_cycle(batches):
    rows = [("run", cycle, label) for cycle, batch in enumerate(batches) for label in batch]
    found = acquired_classes(pd.DataFrame(rows, columns=["run", "cycle", "label"]))
    for cycle, row in enumerate(found.to_dict("records")):
        counts = Counter(label for batch in batches[: cycle + 1] for label in batch)
        total = counts.total()
        entropy = -sum(c / total * math.log(c / total) for c in counts.values())
        assert row["classes"] == len(counts)
        assert row["effective_classes"] == pytest.approx(math.exp(entropy))


@pytest.fixture(scope="module")
def curves(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "curves"
    for seed in range(2):
        for name in ("random", "margin"):
            for update in ("retrain", "second_order"):
                groups = {"strategy": {"name": name}, "update": {"name": update}}
                write_run(folder, seed=seed, compare=update != "retrain", **groups)
    return read_results(folder)


def test_everything_known_of_a_cycle_can_be_chosen(curves):
    keys = {metric.key for metric in curve_chart(curves).metrics}
    assert keys >= {
        "accuracy", "ace", "classes", "agreement", "speedup", "seconds_of_select",
        "seconds_of_retrain",
    }  # fmt: skip


def test_only_the_curve_is_needed(curves):
    made = curve_chart(Results("curves", curves=curves.curves))
    assert {metric.key for metric in made.metrics} == set(METRIC_NAMES)


@pytest.mark.parametrize("known", ["no run", "one run"])
def test_a_metric_that_runs_lack_is_offered_where_one_has_it(known, curves):
    *_, name = METRIC_NAMES
    table = curves.curves.copy()
    table.loc[(table["run"] != table["run"].iloc[0]) | (known == "no run"), name] = math.nan
    made = curve_chart(Results("curves", curves=table))
    assert (name in {metric.key for metric in made.metrics}) == (known == "one run")
    lines = panels(made)["0"].get(name, {}).get("value", [])
    assert [line["n"] for line in lines] == ([[1, 1, 1]] if known == "one run" else [])
    json.dumps(as_json(made), allow_nan=False)


def test_each_update_is_compared_with_random_selection_of_its_own(curves):
    lines = panels(curve_chart(curves))["0"]["accuracy"]["difference"]
    names = [entry.name for entry in curve_chart(curves).series]
    zero = {names[line["series"]] for line in lines if not any(line["y"])}
    assert zero == {"random, retrain", "random, second_order"}
    curve = curves.curves.set_index(["strategy", "update", "n_labelled", "seed"])["accuracy"]
    for update in ("retrain", "second_order"):
        (line,) = (line for line in lines if names[line["series"]] == f"margin, {update}")
        gaps = curve["margin"][update] - curve["random"][update]
        assert line["y"] == pytest.approx(gaps.groupby("n_labelled").mean().to_list(), rel=1e-4)
        assert line["n"] == [2, 2, 2]


def test_without_random_selection_there_are_no_differences(curves):
    curve = curves.curves
    made = curve_chart(Results("curves", curves=curve[curve["strategy"] != "random"]))
    assert made.reference_name == ""
    assert set(panels(made)["0"]["accuracy"]) == {"value"}


@pytest.fixture(scope="module")
def updates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "study"
    for seed in range(3):
        write_study(folder, seed)
    return read_results(folder).updates


def test_updates_are_shown_at_their_best_gamma(updates):
    by_new, by_initial, by_gamma = update_charts(updates)
    rows = updates[updates["method"] == "second_order"]
    means = {g: mean(rows[rows["gamma"] == g]["accuracy"]) for g in rows["gamma"].unique()}
    best = max(means, key=lambda gamma: means[gamma])
    names = [entry.name for entry in by_new.series]
    assert names == [
        "base", "retrain", "retrain_lbfgs", f"second_order, gamma {best:g}", "map, gamma 1",
        "map, gamma auto",
    ]  # fmt: skip
    assert by_initial.x_label == "initial labels"
    assert by_gamma.x_label == "step size gamma"


def test_a_panel_of_updates_is_what_its_selectors_say(updates):
    by_new = update_charts(updates)[0]
    assert by_new.selectors[1].choices == ("all (mean)", "10", "50")
    retrained = updates[updates["method"] == "retrain"]
    for panel, rows in {"0|0": retrained, "0|2": retrained[retrained["n_initial"] == 50]}.items():
        lines = panels(by_new)[panel]["accuracy"]["value"]
        (line,) = (line for line in lines if by_new.series[line["series"]].name == "retrain")
        expected = [mean(rows[rows["n_new"] == n]["accuracy"]) for n in (1, 10, 100)]
        assert line["x"] == [1, 10, 100]
        assert line["y"] == pytest.approx(expected, rel=1e-4)
        assert line["n"] == [3, 3, 3]


def test_updates_are_compared_with_retraining(updates):
    by_new = update_charts(updates)[0]
    lines = panels(by_new)["0|0"]["accuracy"]["difference"]
    names = [by_new.series[line["series"]].name for line in lines]
    assert set(names) == {entry.name for entry in by_new.series}
    means = updates.groupby(["method", "n_new"])["accuracy"].mean()
    expected = (means["base"] - means["retrain"]).to_list()
    assert lines[names.index("base")]["y"] == pytest.approx(expected, rel=1e-3)


def test_what_has_no_gamma_is_level_in_the_chart_against_gamma(updates):
    by_gamma = update_charts(updates)[-1]
    lines = panels(by_gamma)["0"]["accuracy"]["value"]
    (line,) = (line for line in lines if by_gamma.series[line["series"]].name == "base")
    assert line["x"] == [0.1, 1, 10]
    assert len(set(line["y"])) == 1


def test_what_is_sent_to_the_page_is_enough_for_every_line(curves):
    made = curve_chart(curves)
    sent = as_json(made)["panels"]["0"]
    for metric in made.metrics:
        for line, full in zip(
            sent[metric.key]["value"], panels(made)["0"][metric.key]["value"], strict=True
        ):
            assert (line["x"], line["y"]) == (full["x"], full["y"])
            assert line["n"] in (full["n"], *set(full["n"]))
            if metric.median:
                assert (line["low"], line["high"]) == (full["low"], full["high"])
            else:
                rebuilt = [y + e for y, e in zip(line["y"], line["error"], strict=True)]
                # the mean, its error and their sum are each rounded for the page
                assert rebuilt == pytest.approx(full["high"], rel=2e-3, abs=1e-5)


def test_every_colour_stands_out_from_a_dark_page():
    for colour in (*PALETTE, "#7F7F7F", "#000001", "#123456"):
        assert contrast(on_dark(colour), DARK_BACKGROUND) >= MIN_CONTRAST
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_the_page_has_a_shape_for_every_marker_of_the_figures():
    text = Path(svg_style_module.__file__).with_name("assets").joinpath("drawing.js").read_text()
    (body,) = (part.split("};")[0] for part in text.split("const MARKERS = {")[1:])
    for style in (*MARKERS, "x", "."):
        marker = marker_name(style)
        name = marker if marker.isalnum() else f'"{marker}"'
        assert f"{name}: " in body, marker


def test_dashes_are_multiples_of_the_line_width():
    assert svg_style(Style("#000000", "o", (0, (4, 2)), hollow=True)) == {
        "light": "#000000", "dark": "#ffffff", "marker": "o", "hollow": True, "dash": "8 4"
    }  # fmt: skip
    assert svg_style(LINE)["dash"] == ""


def test_an_update_is_shown_without_a_metric_that_it_lacks(updates):
    *_, name = METRIC_NAMES
    with_it, without = update_charts(updates), update_charts(updates.assign(**{name: math.nan}))
    for before, after in zip(with_it, without, strict=True):
        assert {m.key for m in before.metrics} - {m.key for m in after.metrics} == {name}
        kept = {key: {n: v for n, v in panel.items() if n != name}
                for key, panel in panels(before).items()}  # fmt: skip
        assert panels(after) == kept
