"""Coverage of expected accuracies, on a table made by hand and on the committed one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alupdate.analysis.catalogue import analysis_input, result_figures, result_tables
from alupdate.analysis.forecasts import forecast_coverage
from alupdate.analysis.render import markdown
from alupdate.results.reader import read_results

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "results" / "reference" / "forecasts.csv"


def rows(*values):
    columns = ["seed", "ahead", "expected", "lower", "upper", "accuracy"]
    method = {"dataset": "a", "backbone": "b", "strategy": "margin", "batch": "top_b"}
    table = pd.DataFrame(values, columns=columns)
    return table.assign(**method, update="retrain", run="r", cycle=0, n_labelled=10)


def test_coverage_bias_and_width_by_hand():
    table = rows(
        (0, 0, 0.8, 0.7, 0.9, 0.9),
        (1, 0, 0.6, 0.5, 0.7, 0.4),
        (1, 50, 0.6, 0.5, 0.7, np.nan),
    )
    (found,) = forecast_coverage(table).to_dict("records")
    assert found["bias"] == pytest.approx(0.05)
    assert found["rmse"] == pytest.approx(np.sqrt((0.1**2 + 0.2**2) / 2))
    assert (found["coverage"], found["seeds"], found["n"]) == (0.5, 2, 2)
    assert found["width"] == pytest.approx(0.2)


@pytest.fixture(scope="module")
def committed():
    return analysis_input(read_results(COMMITTED))


def test_the_page_shows_the_table_of_the_committed_rows(committed):
    (table,) = result_tables(committed)
    page = (ROOT / "docs" / "findings" / "forecast.md").read_text()
    assert markdown(table).split("\n\n")[1].strip() in page
    assert [figure.name for figure in result_figures(committed)] == ["forecasts-expected"]


def test_nine_of_ten_intervals_have_the_truth_with_the_seeds_that_chose_nothing():
    rows = pd.read_csv(COMMITTED).query("seed >= 5")
    inside = (rows["accuracy"] >= rows["lower"]) & (rows["accuracy"] <= rows["upper"])
    covered = inside.groupby(rows["ahead"]).mean().round(2)
    assert covered.to_dict() == {0: 0.94, 50: 0.93, 200: 0.99}
    assert covered.min() >= 0.9


def test_what_the_page_says_in_words(committed):
    rows = pd.read_csv(COMMITTED).query("ahead == 0")
    early = rows.query("dataset == 'banking77' and n_labelled == 100")
    assert (early["expected"] - early["accuracy"]).mean().round(2) == 0.11
    inside = early["accuracy"].between(early["lower"], early["upper"])
    page = (ROOT / "docs" / "findings" / "forecast.md").read_text()
    assert f"{inside.mean():.2f}".removeprefix("0") in page
