import math

import pandas as pd
import pytest

from alupdate.analysis.accuracy_by_size import accuracy_by_update, size_means
from alupdate.analysis.gap_closed import best_gaps, gap_closed, gap_dots
from alupdate.analysis.step_sizes import gamma_means, robustness
from alupdate.analysis.styles import MethodStyles
from alupdate.analysis.update_speedups import speedup_bars, update_speedups
from alupdate.analysis.updates import best_gamma
from alupdate.utils.errors import InputError
from tests.support.curve_tables import study

STYLES = MethodStyles.of(study())


def test_gap_closed_is_the_ratio_of_the_sums():
    gaps = gap_closed(study()).set_index("gamma")
    assert gaps.loc[1.0, "gap"] == pytest.approx(0.75)
    assert gaps.loc[1.0, "standard_error"] == pytest.approx(0.25)
    assert gaps.loc[1.0, "worst"] == pytest.approx(0.15)
    assert gaps.loc[10.0, "gap"] == pytest.approx((-0.01 + 0.1) / 0.6)
    assert gaps.loc[10.0, "worst"] == pytest.approx(-0.01)
    assert gaps.loc[1.0, "speedup"] == pytest.approx(100)
    assert gaps.loc[1.0, "lbfgs_speedup"] == pytest.approx(50)
    assert (gaps["seeds"] == 2).all()


def test_best_gamma_has_the_highest_accuracy():
    rows = study()
    assert best_gamma(rows[rows["method"] == "map"]) == 1.0


def test_studies_of_two_backbones_are_kept_apart_and_doubles_are_refused():
    other = study().assign(backbone="c", accuracy=study()["accuracy"] / 2)
    gaps = gap_closed(pd.concat([study(), other])).set_index(["backbone", "gamma"])
    assert gaps.loc[("b", 1.0), "gap"] == pytest.approx(0.75)
    with pytest.raises(InputError, match="keep them apart"):
        gap_closed(pd.concat([study(), study()]))


def test_interval_and_test_of_the_gap():
    gaps = gap_closed(study()).set_index("gamma")
    assert gaps.loc[1.0, ["low", "high"]].tolist() == pytest.approx(
        [0.5, 1]
    )  # the ratios of the two seeds
    # update - retrain: -.3 and 0 in all; t = -1 with one degree of freedom
    assert gaps.loc[1.0, "retrain_p"] == pytest.approx(0.5)
    assert gaps.loc[1.0, "note"] == "2 seeds: too few for a claim (Wilcoxon p >= 0.5)"


def test_automatic_step_sizes_are_one_row():
    rows = study()
    chosen = rows["gamma"].notna() & (rows["n_new"] == 1) & (rows["gamma"] == 1)
    automatic = rows[rows["gamma"] == 1].assign(step_size="auto")
    automatic.loc[chosen[chosen].index, "gamma"] = 3.0
    gaps = gap_closed(pd.concat([rows, automatic]))
    assert gaps["step_size"].tolist().count("auto") == 1
    auto = gaps[gaps["step_size"] == "auto"].iloc[0]
    assert auto["gap"] == pytest.approx(0.75)
    assert math.isnan(auto["gamma"])


def test_best_gap_of_each_update():
    best = best_gaps(study()).iloc[0]
    assert (best["name"], best["gamma"]) == ("map", 1.0)
    assert best["gap"] == pytest.approx(0.75)


def test_a_seed_without_a_gap_has_no_error():
    rows = study()
    rows.loc[(rows["seed"] == 0) & (rows["method"] == "retrain"), "accuracy"] = 0.5
    gaps = gap_closed(rows)
    assert gaps["standard_error"].isna().all()
    assert gaps["gap"].notna().all()


def test_speedups_are_medians():
    table = update_speedups(study(), "n_new")
    assert table["speedup"].tolist() == pytest.approx([100, 100])
    assert table["lbfgs_speedup"].tolist() == pytest.approx([50, 50])
    assert table["measurements"].tolist() == [4, 4]


def test_means_are_over_seeds_with_their_error():
    means = size_means(study()).set_index(["series", "n_new"])
    assert means.loc[("map, gamma 1", 10), "mean"] == pytest.approx(0.8)
    assert means.loc[("map, gamma 1", 10), "standard_error"] == pytest.approx(0.1)
    assert means.loc[("retrain", 1), "mean"] == pytest.approx(0.7)
    by_gamma = gamma_means(study()).set_index(["series", "gamma"])
    assert by_gamma.loc[("map", 10.0), "mean"] == pytest.approx(0.545)


def test_two_posteriors_are_two_lines():
    second = study()
    second = second[second["method"] == "map"].assign(likelihood="gaussian")
    lines = robustness(gamma_means(pd.concat([study(), second])), STYLES).axes[0].get_lines()
    assert {line.get_label() for line in lines} == {
        "base", "retrain", "map (gaussian, 0.3)", "map (per_class, 0.3)"
    }  # fmt: skip


def test_figures_show_every_method():
    lines = robustness(gamma_means(study()), STYLES).axes[0].get_lines()
    assert {line.get_label() for line in lines} == {"base", "retrain", "map"}
    panels = accuracy_by_update(study()).axes
    assert panels[0].get_title() == "10 initial labels"
    tables = {size: update_speedups(study(), size) for size in ("n_initial", "n_new")}
    panels = speedup_bars(tables, STYLES).axes
    tops = [[bar.get_y() + bar.get_height() for bar in panel.patches] for panel in panels]
    fast, slow = pytest.approx(100), pytest.approx(50)
    assert tops == [[fast, fast], [slow, slow]]


def test_gaps_far_below_zero_are_arrows():
    gaps = best_gaps(study())
    below = pd.concat([gaps, gaps.assign(name="monte_carlo", method="monte_carlo", gap=-6.0)])
    (panel,) = gap_dots(below, STYLES).axes
    assert [text.get_text() for text in panel.texts if "-6.0" in text.get_text()]
    assert panel.get_xlim()[0] == -0.5


@pytest.mark.parametrize("along", ["n_new", "n_initial"])
def test_accuracy_along_both_sizes(along):
    figure = accuracy_by_update(study(), along)
    assert len(figure.axes) == (1 if along == "n_new" else 2)
    labels = {line.get_label() for line in figure.axes[0].get_lines()}
    assert labels == {"base", "retrain", "map, gamma 1"}


def test_where_retraining_gains_nothing_there_is_no_gap_and_no_figure():
    rows = [
        {"dataset": "d", "backbone": "b", "seed": seed, "n_initial": 10, "n_new": 2}
        | {"method": method, "likelihood": "", "prior_precision": math.nan, "gamma": gamma}
        | {"step_size": "", "accuracy": 0.5, "seconds": 1.0, "speedup": 1.0, "run": f"r{seed}"}
        for seed in (0, 1)
        for method, gamma in (("base", math.nan), ("retrain", math.nan), ("map", 1.0))
    ]
    gaps = gap_closed(pd.DataFrame(rows))
    assert gaps["gap"].isna().all()
    assert best_gaps(pd.DataFrame(rows)).empty
