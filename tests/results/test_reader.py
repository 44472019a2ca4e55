import pytest

from alupdate.results.reader import read_results
from alupdate.results.records import CURVE_COLUMNS
from alupdate.utils.errors import InputError
from tests.support.curve_tables import random_curves

GOOD = random_curves()[list(CURVE_COLUMNS)]


def write(folder, table, run="run"):
    (folder / run).mkdir()
    table.to_csv(folder / run / "curve.csv", index=False)


def test_runs_below_a_folder_are_one_table(tmp_path):
    write(tmp_path, GOOD[GOOD["seed"] < 3], "a")
    write(tmp_path, GOOD[GOOD["seed"] >= 3], "b")
    found = read_results(tmp_path)
    assert found.updates is None
    assert len(found.curves) == len(GOOD)


def test_a_file_is_recognised_by_its_columns(tmp_path):
    GOOD.to_csv(tmp_path / "any.csv", index=False)
    assert len(read_results(tmp_path / "any.csv").curves) == len(GOOD)
    areas = GOOD.drop(columns="cycle").assign(area=0.5, experiment="e")
    areas.to_csv(tmp_path / "areas.csv", index=False)
    assert set(read_results(tmp_path / "areas.csv").areas["dataset"]) == {"e"}


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (GOOD.drop(columns="accuracy"), r"run/curve\.csv: has no column accuracy"),
        (GOOD.iloc[:0], r"run/curve\.csv: has no rows"),
        (GOOD.assign(accuracy="high"), "column accuracy holds something that is no number"),
    ],
)
def test_what_is_no_curve_is_refused(table, complaint, tmp_path):
    write(tmp_path, table)
    with pytest.raises(InputError, match=complaint):
        read_results(tmp_path)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b'"\n', b"\xff\xfe\x00a"])
def test_a_file_that_is_no_table_of_ours_is_refused_in_one_line(content, tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_results(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no curve"):
        read_results(tmp_path)
