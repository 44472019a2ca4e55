import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alupdate.analysis.labels_saved import SHARES, labels_needed, labels_saved, summarise_saved
from tests.support import references_statistics as reference
from tests.support.curve_tables import curves


def test_known_answer():
    """Random goes from .2 to .6 in 20 labels, margin in 10."""
    table = curves({"random": [[0.2, 0.4, 0.6]], "margin": [[0.2, 0.6, 0.6]]})
    saved = labels_saved(table).set_index("level")
    assert saved["target"].tolist() == pytest.approx([0.3, 0.4, 0.5, 0.6])
    assert saved["reference_labels"].tolist() == pytest.approx([15, 20, 25, 30])
    assert saved["labels"].tolist() == pytest.approx([12.5, 15, 17.5, 20])
    assert saved["saved"].tolist() == pytest.approx([2.5, 5, 7.5, 10])


def test_what_is_never_reached_is_minus_infinity_and_counted():
    table = curves(
        {
            "random": [[0.2, 0.4, 0.6]] * 3,
            "margin": [[0.2, 0.3, 0.4], [0.2, 0.3, 0.4], [0.2, 0.6, 0.6]],
        }
    )
    last = summarise_saved(labels_saved(table)).set_index("level").loc[1.0]
    assert last["saved"] == -np.inf
    assert last["reached"] == 1
    assert last["seeds"] == 3
    assert last["note"].startswith("2 of 3 runs never reach it; 3 seeds: too few")


def test_one_run_that_never_reaches_the_target_leaves_a_median():
    runs = [[0.2, 0.3, 0.4], [0.2, 0.6, 0.6], [0.2, 0.6, 0.6]]
    table = curves({"random": [[0.2, 0.4, 0.6]] * 3, "margin": runs})
    last = summarise_saved(labels_saved(table)).set_index("level").loc[1.0]
    assert last["saved"] == pytest.approx(10)
    assert last["share"] == pytest.approx(1 / 3)


def test_loss_is_saved_where_it_falls():
    table = curves({"random": [[0.2, 0.4, 0.6]], "margin": [[0.2, 0.6, 0.6]]})
    by_loss = labels_saved(table, "nll")
    assert by_loss["saved"].tolist() == pytest.approx(labels_saved(table)["saved"].tolist())
    assert by_loss["target"].tolist() == pytest.approx([0.7, 0.6, 0.5, 0.4])


def test_without_a_reference_there_is_nothing():
    assert labels_saved(curves({"margin": [[0.2, 0.4]]})).empty


HEIGHTS = st.lists(st.floats(0, 1), min_size=2, max_size=6)


@given(HEIGHTS, st.floats(0, 1))
def test_labels_needed_is_the_first_crossing_of_the_running_maximum(heights, target):
    labels = 10.0 * np.arange(1, len(heights) + 1)
    needed = labels_needed(labels, np.array(heights), target)
    expected = reference.labels_needed(labels, heights, target)
    assert needed == pytest.approx(expected, abs=0.02) or (
        # a step of the reference's walk can fall short of a peak by a hair
        expected == np.inf and max(heights) == pytest.approx(target)
    )


@given(HEIGHTS)
def test_the_reference_saves_nothing_against_itself(heights):
    table = curves({"random": [heights], "margin": [heights]})
    assert labels_saved(table)["saved"].tolist() == [0.0] * len(SHARES)
