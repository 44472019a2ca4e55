import numpy as np
import pandas as pd
import pytest

from alupdate.analysis.aulc import aulc_per_run, compare, summarise_aulc
from alupdate.analysis.batch_construction import sequential_gains
from alupdate.analysis.curves import learning_curve
from alupdate.analysis.oracles import oracle_comparisons, oracle_gaps
from alupdate.utils.errors import InputError
from tests.support.curve_tables import curves


def test_area_of_a_straight_line_is_its_mean_height():
    areas = aulc_per_run(curves({"random": [[0.2, 0.4, 0.6]]}))
    assert areas["area"].tolist() == pytest.approx([0.4])


def test_area_does_not_depend_on_the_order_of_rows():
    table = curves({"random": [[0.1, 0.9, 0.3]]})
    assert aulc_per_run(table.iloc[::-1])["area"].tolist() == pytest.approx([0.55])


def test_summary_and_paired_difference():
    table = curves({"random": [[0.1, 0.1], [0.3, 0.3]], "margin": [[0.3, 0.3], [0.4, 0.4]]})
    areas = aulc_per_run(table)
    summary = summarise_aulc(areas).set_index("strategy")
    assert summary.index.tolist() == ["margin", "random"]
    assert summary.loc["random", "mean"] == pytest.approx(0.2)
    assert summary.loc["random", "standard_error"] == pytest.approx(0.1)
    difference = compare(areas, {"strategy": "random"}).iloc[0]
    assert difference["difference"] == pytest.approx(0.15)
    assert difference["standard_error"] == pytest.approx(0.05)
    assert difference["t_p"] == pytest.approx(2 * np.arctan(1 / 3) / np.pi)  # t = 3, 1 df


def test_only_common_seeds_are_paired():
    table = curves({"random": [[0.1, 0.1]], "margin": [[0.3, 0.3], [0.9, 0.9]]})
    difference = compare(aulc_per_run(table), {"strategy": "random"}).iloc[0]
    assert difference["seeds"] == 1
    assert difference["difference"] == pytest.approx(0.2)
    assert np.isnan(difference["t_p"])


def test_runs_that_the_table_cannot_tell_apart_are_refused():
    twice = pd.concat([curves({"random": [[0.1, 0.1]]}), curves({"random": [[0.2, 0.2]]})])
    twice["run"] = ["a", "a", "b", "b"]
    with pytest.raises(InputError, match="runs a and b differ only in settings"):
        aulc_per_run(twice)


def test_unknown_reference_is_refused():
    with pytest.raises(ValueError, match="names 0 variants"):
        compare(aulc_per_run(curves({"random": [[0.1, 0.1]]})), {"strategy": "entropy"})


def test_figure_has_a_line_per_strategy_and_dashes_oracles():
    table = curves({"random": [[0.1, 0.2], [0.2, 0.3]], "lookahead": [[0.4, 0.5], [0.6, 0.7]]})
    (axes,) = learning_curve(table).axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert set(lines) == {"random", "lookahead (oracle)"}
    assert lines["lookahead (oracle)"].get_linestyle() == "--"
    assert lines["random"].get_linestyle() == "-"
    np.testing.assert_allclose(lines["random"].get_ydata(), [0.15, 0.25])
    assert axes.get_xlabel() == "labels acquired"


def test_a_single_checkpoint_is_its_own_area():
    assert aulc_per_run(curves({"random": [[0.4]]}))["area"].tolist() == [0.4]


def test_sequential_gains_pair_by_seed():
    table = curves(
        {
            "random": [[0.1, 0.1]],
            ("margin", "top_b"): [[0.1, 0.1], [0.3, 0.3], [0.9, 0.9]],
            ("margin", "sequential"): [[0.2, 0.2], [0.5, 0.5]],
        }
    )
    (gain,) = sequential_gains(aulc_per_run(table)).to_dict("records")
    assert gain["strategy"] == "margin"
    assert gain["difference"] == pytest.approx(0.15)
    assert gain["standard_error"] == pytest.approx(0.05)
    assert gain["seeds"] == 2


def test_oracles_meet_the_best_variant_without_oracle():
    table = curves({"random": [[0.1, 0.1]], "margin": [[0.3, 0.3]], "lookahead": [[0.2, 0.2]]})
    (gap,) = oracle_gaps(aulc_per_run(table)).to_dict("records")
    assert (gap["strategy"], gap["other_strategy"]) == ("lookahead", "margin")
    assert gap["difference"] == pytest.approx(-0.1)
    ((name, others),) = oracle_comparisons(aulc_per_run(table))
    assert name == "lookahead"
    assert dict(zip(others["strategy"], others["difference"], strict=True)) == pytest.approx(
        {"random": -0.1, "margin": 0.1}
    )


def test_variants_without_a_common_seed_are_said():
    table = curves({"random": [[0.1, 0.1]], "margin": [[0.3, 0.3], [0.4, 0.4]]})
    apart = table[(table["strategy"] == "random") | (table["seed"] == 1)]
    (row,) = compare(aulc_per_run(apart), {"strategy": "random"}).to_dict("records")
    assert np.isnan(row["difference"])
    assert row["note"] == "no common seed"
