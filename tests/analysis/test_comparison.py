"""Two folders of results: what is injected is found, and nothing else."""

import numpy as np
import pytest
from scipy import stats

from alupdate.analysis.aulc import aulc_per_run
from alupdate.analysis.comparison import compare_results
from alupdate.report.commands import run_command
from alupdate.results.reader import Results, read_results
from tests.support.curve_tables import random_curves
from tests.support.experiments import records, write_run


def write(folder, seeds=range(3), strategies=("random", "margin"), **settings):
    for seed in seeds:
        for name in strategies:
            write_run(folder, seed=seed, strategy={"name": name}, **settings)
    return folder


def compared(first, second):
    frame = compare_results(read_results(first), read_results(second)).frame
    return frame.set_index("variant")


def test_the_same_twice_is_identical(tmp_path, capsys):
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    given = ["tables", "--compare", str(first), str(second), str(tmp_path / "out")]
    assert run_command(given) == 0
    assert capsys.readouterr().out.endswith(f"1 table in {tmp_path / 'out'}\n2 identical\n")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "comparison-accuracy.csv", "comparison-accuracy.md", "comparison-accuracy.tex"
    }  # fmt: skip
    found = compared(first, second)
    assert (found["difference"] == 0).all()
    assert (found["identical_runs"] == 3).all()


def test_one_altered_run_is_no_noise(tmp_path):
    first, second = write(tmp_path / "a"), write(tmp_path / "b", seeds=(0, 1))
    for name in ("random", "margin"):
        changed = records(7, "other") if name == "margin" else None
        write_run(second, seed=2, strategy={"name": name}, done=changed)
    found = compared(first, second)
    assert found["verdict"].to_dict() == {"margin": "different", "random": "identical"}
    assert found.loc["margin", "note"].startswith("seeds 2 changed, and 2 others are identical")
    given = ["tables", "--compare", str(first), str(second)]
    assert run_command(given) == 1


def test_settings_that_differ_are_named(tmp_path):
    first = write(tmp_path / "a", strategies=("margin",))
    second = write(tmp_path / "b", strategies=("margin",), update={"name": "retrain", "gamma": 2.0})
    found = compared(first, second)
    assert found["verdict"].tolist() == ["not comparable"]
    assert found["note"].item() == "update.gamma is 10.0 in A and 2.0 in B"


def test_other_numbers_of_cycles_are_not_compared(tmp_path):
    first = write(tmp_path / "a", strategies=("margin",))
    second = write(tmp_path / "b", strategies=("margin",), cycles=4)
    found = compared(first, second)
    assert found["verdict"].item() == "not comparable"
    assert "2 cycles of 10 in A" in found["note"].item()
    assert "3 cycles of 10 in B" in found["note"].item()


def test_a_missing_strategy_is_said(tmp_path):
    first, second = write(tmp_path / "a"), write(tmp_path / "b", strategies=("random",))
    assert compared(first, second)["verdict"]["margin"] == "only in A"
    assert compared(second, first)["verdict"]["margin"] == "only in B"
    assert run_command(["tables", "--compare", str(first), str(second)]) == 1


@pytest.mark.parametrize("place", ["empty", "nowhere", "text.csv", "updates.csv"])
def test_what_is_no_result_is_one_line(place, tmp_path, capsys):
    first = write(tmp_path / "a", seeds=(0,), strategies=("random",))
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.csv").write_text("hello,world\n1,2\n")
    (tmp_path / "updates.csv").write_text("run,cycle,phase,seconds\nr,0,select,1\n")
    for given in ([place, "a"], ["a", place]):
        paths = [str(tmp_path / name) for name in given]
        assert run_command(["tables", "--compare", *paths, str(tmp_path / "out")]) == 2
        line = capsys.readouterr().err
        assert line.startswith("error: ")
        assert line.count("\n") == 1
    assert first.is_dir()
    assert not (tmp_path / "out").exists()


def outcome(before, after, **changes):
    found = compare_results(Results("a", curves=before), Results("b", curves=after), **changes)
    return found.frame.set_index("variant").loc["margin"]


def test_differences_of_pairs_are_those_of_a_paired_test():
    before = random_curves(0, ("margin",), n_seeds=8)
    after = random_curves(1, ("margin",), n_seeds=8)
    areas = [aulc_per_run(table)["area"].to_numpy() for table in (before, after)]
    found = outcome(before, after)
    assert found["test"] == "paired t"
    assert found["difference"] == pytest.approx((areas[1] - areas[0]).mean())
    assert found["raw_p"] == pytest.approx(stats.ttest_rel(areas[1], areas[0]).pvalue)
    shifted = after.assign(accuracy=after["accuracy"] + 0.2)
    assert outcome(before, shifted)["verdict"] == "different"
    assert outcome(before, shifted)["holm_p"] < 0.05


def test_other_seeds_are_compared_by_welch():
    before = random_curves(0, ("margin",), n_seeds=8)
    after = random_curves(0, ("margin",), n_seeds=6)
    areas = [aulc_per_run(table)["area"].to_numpy() for table in (before, after)]
    found = outcome(before, after.assign(seed=after["seed"] + 50))
    assert found["test"] == "Welch"
    assert found["raw_p"] == pytest.approx(
        stats.ttest_ind(areas[1], areas[0], equal_var=False).pvalue
    )
    assert found["verdict"] == "same within noise"


def test_rounding_alone_is_no_difference_and_a_shift_of_all_is():
    before = random_curves(0, ("margin",), n_seeds=4)
    rounded = outcome(before, before.assign(nll=before["nll"] + 1e-9))
    assert rounded["verdict"] == "same within noise"
    assert rounded["note"].startswith("rounding only")
    assert outcome(before, before.assign(nll=before["nll"] + 1e-3))["verdict"] != "identical"
    assert outcome(before, before.assign(accuracy=before["accuracy"] + 0.01))["holm_p"] < 0.05


def test_one_run_that_differs_gives_no_verdict():
    before = random_curves(0, ("margin",), n_seeds=1)
    after = before.assign(accuracy=before["accuracy"] + 0.01)
    assert outcome(before, before)["verdict"] == "identical"
    assert outcome(before, after)["verdict"] == "not comparable"
    assert outcome(before, after.assign(seed=9))["verdict"] == "not comparable"


def test_areas_are_compared_with_areas_only():
    areas = aulc_per_run(random_curves()).assign(labels=np.nan, query_seconds=np.nan)
    results = Results("a", areas=areas)
    assert set(compare_results(results, results).frame["verdict"]) == {"identical"}
    with pytest.raises(Exception, match="must both be runs, or both files of areas"):
        compare_results(results, Results("b", curves=random_curves()))
    with pytest.raises(Exception, match="is not known of areas"):
        compare_results(results, results, "nll")


def test_p_values_are_corrected_for_all_cells():
    tables = [random_curves(seed, ("random", "margin"), n_seeds=8) for seed in (0, 1)]
    frame = compare_results(*(Results("x", curves=table) for table in tables)).frame
    smallest = frame["raw_p"].idxmin()
    assert frame["holm_p"][smallest] == pytest.approx(min(1.0, 2 * frame["raw_p"][smallest]))
