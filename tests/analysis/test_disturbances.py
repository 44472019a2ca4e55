"""What disturbances of the data cost, and what they leave of a strategy's gain."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from alupdate.analysis.catalogue import analysis_input, result_figures, result_tables
from alupdate.analysis.disturbances import disturbance_effects, disturbed_forms
from alupdate.config.values import DISTURBANCES
from alupdate.data.disturbances import Disturbances
from alupdate.results.reader import Results

AREAS = {
    ("d", "random"): [0.5, 0.6, 0.55],
    ("d", "margin"): [0.7, 0.75, 0.8],
    ("d_noise0.2", "random"): [0.4, 0.45, 0.5],
    ("d_noise0.2", "margin"): [0.45, 0.5, 0.5],
    ("d_imbalance50", "margin"): [0.3, 0.2],
    ("e", "margin"): [0.9, 0.8],
}


def areas(values=AREAS):
    rows = [
        {"dataset": dataset, "backbone": "b", "strategy": strategy, "batch": "top_b",
         "update": "retrain", "oracle": False, "seed": seed, "area": area}
        for (dataset, strategy), heights in values.items()
        for seed, area in enumerate(heights)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize("confused", [False, True])
@pytest.mark.parametrize("key", DISTURBANCES)
def test_every_name_that_the_program_writes_is_recognised(key, confused):
    kind = {"label_noise_kind": "confusion"} if confused and key == "label_noise" else {}
    value = 50.0 if key == "imbalance" else 0.25
    label = Disturbances(**{key: value}, **kind).disturbance_label
    both = Disturbances(imbalance=1e5, label_noise=0.00001).disturbance_label
    forms = disturbed_forms(["a", f"a{label}", f"a{both}", "b"])
    assert forms == {
        "a": ("a", "clean"), f"a{label}": ("a", label[1:]), f"a{both}": ("a", both[1:])
    }  # fmt: skip


def test_names_that_only_look_alike_are_other_data():
    assert not disturbed_forms(["digits", "digits_small", "digits_noise", "digitsnoise0.2"])
    assert not disturbed_forms(["digits_noise0.2", "digits_outliers0.3"])  # without the clean data


def test_differences_pair_by_seed():
    table = disturbance_effects(areas()).set_index(["dataset", "disturbance", "variant"])
    assert set(table.index.get_level_values("dataset")) == {"d"}
    row = table.loc["d", "noise0.2", "margin"]
    cost = np.subtract(AREAS["d_noise0.2", "margin"], AREAS["d", "margin"])
    gain = np.subtract(AREAS["d_noise0.2", "margin"], AREAS["d_noise0.2", "random"])
    assert row["area"] == pytest.approx(np.mean(AREAS["d_noise0.2", "margin"]))
    for name, gaps in (("minus_clean", cost), ("minus_random", gain)):
        assert row[name] == pytest.approx(gaps.mean())
        assert row[f"{name}_error"] == pytest.approx(gaps.std(ddof=1) / np.sqrt(3))
        assert row[f"{name}_t_p"] == pytest.approx(stats.ttest_1samp(gaps, 0).pvalue)


def test_what_cannot_be_compared_is_left_empty():
    table = disturbance_effects(areas()).set_index(["disturbance", "variant"])
    assert np.isnan(table.loc[("clean", "margin"), "minus_clean"])
    assert np.isnan(table.loc[("noise0.2", "random"), "minus_random"])
    alone = table.loc[("imbalance50", "margin")]  # no random selection there, and two seeds
    assert np.isnan(alone["minus_random"])
    assert (alone["minus_clean"], alone["seeds"]) == (pytest.approx(-0.475), 2)


def test_without_random_selection_the_cost_is_still_there():
    only = {key: heights for key, heights in AREAS.items() if key[1] != "random"}
    table = disturbance_effects(areas(only)).set_index("disturbance")
    assert table["minus_random"].isna().all()
    assert table.loc["noise0.2", "minus_clean"] == pytest.approx(np.mean([-0.25, -0.25, -0.3]))


def test_tables_and_figures():
    given = analysis_input(Results("n", areas=areas()))
    names = [t.name for t in result_tables(given)]
    figures = {f.name: f for f in result_figures(given)}
    assert "disturbances-accuracy" in names
    assert {"n-disturbances-cost", "n-disturbances-gain"} <= set(figures)
    panel = figures["n-disturbances-gain"].draw().axes[0]
    assert [t.get_text() for t in panel.get_xticklabels()] == ["clean", "noise0.2"]
    assert panel.get_title() == "d, b (3 seeds)"


def test_nothing_where_nothing_is_disturbed():
    given = analysis_input(Results("n", areas=areas({("e", "margin"): [0.9, 0.8]})))
    assert "disturbances-accuracy" not in [t.name for t in result_tables(given)]
    assert not [f for f in result_figures(given) if "disturbances" in f.name]
