import math

import pandas as pd
import pytest

from alupdate.errors import InputError
from alupdate.plots.updating import accuracy_by_update, best_gamma, robustness, speedups
from alupdate.statistics.updates import gap_closed


def table():
    """Two seeds, two cells; base .5, retrain .7 and .9; an update at two step sizes."""
    rows = []
    for seed in (0, 1):
        for n_new, retrain in ((1, 0.7), (10, 0.9)):
            results = [
                ("base", "", math.nan, 0.5, 0.0),
                ("retrain", "", math.nan, retrain, 1.0),
                ("retrain_lbfgs", "", math.nan, retrain, 0.5),
                ("map", "multinomial", 1.0, 0.5 + (retrain - 0.5) * (0.5 + 0.5 * seed), 0.01),
                ("map", "multinomial", 10.0, 0.49 if n_new == 1 else 0.6, 0.01),
            ]
            for method, likelihood, gamma, accuracy, seconds in results:
                rows.append(
                    {
                        "run": f"run-{seed}", "dataset": "d", "backbone": "b", "seed": seed,
                        "n_initial": 10, "n_new": n_new, "method": method,
                        "likelihood": likelihood, "prior_precision": 0.3, "gamma": gamma,
                        "step_size": "fixed" if likelihood else "", "accuracy": accuracy,
                        "seconds": seconds, "speedup": 1 / seconds if seconds else math.inf,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def test_gap_closed_is_the_ratio_of_the_sums():
    gaps = gap_closed(table()).set_index("gamma")
    assert gaps.loc[1.0, "gap"] == pytest.approx(0.75)
    assert gaps.loc[1.0, "standard_error"] == pytest.approx(0.25)
    assert gaps.loc[1.0, "worst"] == pytest.approx(0.15)
    assert gaps.loc[10.0, "gap"] == pytest.approx((-0.01 + 0.1) / 0.6)
    assert gaps.loc[10.0, "worst"] == pytest.approx(-0.01)
    assert gaps.loc[1.0, "speedup"] == pytest.approx(100)
    assert gaps.loc[1.0, "lbfgs_speedup"] == pytest.approx(50)
    assert (gaps["seeds"] == 2).all()


def test_best_gamma_has_the_highest_accuracy():
    rows = table()
    assert best_gamma(rows[rows["method"] == "map"]) == 1.0


def test_studies_of_two_backbones_are_kept_apart_and_doubles_are_refused():
    other = table().assign(backbone="c", accuracy=table()["accuracy"] / 2)
    gaps = gap_closed(pd.concat([table(), other])).set_index(["backbone", "gamma"])
    assert gaps.loc[("b", 1.0), "gap"] == pytest.approx(0.75)
    with pytest.raises(InputError, match="keep them apart"):
        gap_closed(pd.concat([table(), table()]))


def test_two_posteriors_are_two_lines():
    second = table()
    second = second[second["method"] == "map"].assign(likelihood="gaussian")
    lines = robustness(pd.concat([table(), second])).axes[0].get_lines()
    assert {line.get_label() for line in lines} == {
        "base", "retrain", "map (gaussian, 0.3)", "map (multinomial, 0.3)"
    }  # fmt: skip


def test_figures_show_every_method():
    lines = robustness(table()).axes[0].get_lines()
    assert {line.get_label() for line in lines} == {"base", "retrain", "map"}
    panels = accuracy_by_update(table()).axes
    assert panels[0].get_title() == "10 initial labels"
    heights = [[bar.get_height() for bar in panel.patches] for panel in speedups(table()).axes]
    fast, slow = pytest.approx(100), pytest.approx(50)
    assert heights == [[fast], [slow], [fast, fast], [slow, slow]]
