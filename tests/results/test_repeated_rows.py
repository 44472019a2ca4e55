"""A row that is there twice would count as one more run or cycle: such files are refused."""

from pathlib import Path

import pytest

from alupdate.results.reader import read_results
from alupdate.run import exit_code
from alupdate.utils.errors import InputError
from tests.support.experiments import write_run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    for seed in range(2):
        write_run(tmp_path / "good", seed=seed)
    return tmp_path / "good"


@pytest.mark.parametrize("kind", ["curves", "timings", "queries"])
def test_a_row_that_is_there_twice_is_not_one_more_run(folder, tmp_path, kind):
    path = tmp_path / "all.csv"
    rows = getattr(read_results(folder), kind)
    rows.to_csv(path, index=False, lineterminator="\n")
    last = len(rows) + 2
    path.write_text(path.read_text() + path.read_text().splitlines()[2] + "\n")
    with pytest.raises(InputError, match=rf"line {last} is about the same as line 3 \(run "):
        read_results(path)


def test_areas_of_a_run_that_are_there_twice_are_not_two_seeds(tmp_path):
    lines = (ROOT / "results" / "reference" / "strategy-areas.csv").read_text().splitlines()
    path = tmp_path / "areas.csv"
    path.write_text("\n".join([*lines, lines[4], ""]))
    last = len(lines) + 1
    with pytest.raises(InputError, match=rf"line {last} is about the same as line 5 \(exp"):
        read_results(path)


def test_a_run_with_a_row_twice_is_damaged(folder):
    path = next(folder.iterdir()) / "curve.csv"
    text = path.read_text()
    path.write_text(text + text.splitlines()[-1] + "\n")
    (found,) = read_results(folder).missing
    assert "line 5 is about the same as line 4" in found.reason


def test_a_curve_whose_labels_do_not_grow_is_damaged(folder):
    path = next(folder.iterdir()) / "curve.csv"
    path.write_text(path.read_text().replace(",1,20,", ",1,10,"))
    (found,) = read_results(folder).missing
    assert "line 3: n_labelled must be more than in the cycle before" in found.reason


def test_areas_of_two_experiments_with_one_name_are_not_mixed(folder, tmp_path, capsys):
    target = tmp_path / "areas.csv"
    assert exit_code(["areas", str(target), str(folder), f"{folder}/../good"]) == 2
    assert capsys.readouterr().err == "error: two of the experiments are called good; rename one\n"
    assert not target.exists()
