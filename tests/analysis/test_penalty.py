import numpy as np
import pandas as pd
import pytest

from alupdate.analysis.penalty import penalty_matrix
from alupdate.analysis.variants import named
from tests.support import references_statistics as reference
from tests.support.curve_tables import curves, random_curves


def test_known_matrix():
    """Margin beats random at one of two checkpoints: clearly at 20 labels, not at 30."""
    table = curves(
        {
            "random": [[0.1, 0.20, 0.5], [0.1, 0.21, 0.5], [0.1, 0.22, 0.5]],
            "margin": [[0.1, 0.40, 0.4], [0.1, 0.42, 0.6], [0.1, 0.41, 0.5]],
        }
    )
    matrix = penalty_matrix(table)
    assert matrix.loc["margin", "random"] == 0.5
    assert matrix.loc["random", "margin"] == 0
    assert matrix.mean()["random"] == 0.25
    assert matrix.mean()["margin"] == 0


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize("metric", ["accuracy", "nll"])
def test_matrix_is_that_of_loops_and_scipy(metric, confidence):
    table = pd.concat([random_curves(0), random_curves(1, n_seeds=4).assign(dataset="e")])
    table = table[~((table["strategy"] == "margin") & (table["seed"] == 0))]  # a missing run
    matrix = penalty_matrix(table, metric, confidence)
    shown = named(table)
    if metric == "nll":
        shown = shown.assign(nll=-shown["nll"])
    expected = reference.penalty(shown, metric, confidence, list(matrix.index))
    for i in matrix.index:
        for j in matrix.columns:
            assert matrix.loc[i, j] == pytest.approx(expected[i][j]), (i, j)
    assert matrix.to_numpy().sum() > 0


def test_entries_are_at_most_the_number_of_settings_and_nobody_beats_itself():
    table = pd.concat([random_curves(s).assign(dataset=str(s)) for s in range(3)])
    matrix = penalty_matrix(table).to_numpy()
    assert (np.diag(matrix) == 0).all()
    assert (matrix + matrix.T <= 3 + 1e-12).all()


def test_one_seed_beats_nobody():
    table = curves({"random": [[0.1, 0.2]], "margin": [[0.1, 0.9]]})
    assert penalty_matrix(table).to_numpy().sum() == 0


def test_equal_differences_count_as_beating():
    table = curves({"random": [[0.1, 0.25]] * 2, "margin": [[0.1, 0.5]] * 2})
    assert penalty_matrix(table).loc["margin", "random"] == 1
