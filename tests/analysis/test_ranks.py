import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from alupdate.analysis.ranks import holm, rank
from tests.support import references_statistics as reference


def scores(blocks, variants, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(blocks, variants)) + np.arange(variants)
    return pd.DataFrame(values, columns=list("abcdefgh"[:variants]))


def test_known_ranks():
    table = pd.DataFrame({"a": [0.9, 0.8], "b": [0.8, 0.8], "c": [0.1, 0.9]})
    ranking = rank(table)
    assert ranking.ranks.to_dict() == {"a": 1.75, "c": 2.0, "b": 2.25}
    assert rank(table, better_if_higher=False).ranks.to_dict() == {"b": 1.75, "c": 2.0, "a": 2.25}


def test_friedman_and_pairwise_tests_are_those_of_scipy_and_scikit_posthocs():
    table = scores(12, 4)
    ranking = rank(table)
    assert ranking.friedman_p == pytest.approx(stats.friedmanchisquare(*table.to_numpy().T).pvalue)
    long = table.melt(var_name="variant", value_name="score")
    expected = scikit_posthocs.posthoc_wilcoxon(long, "score", "variant", p_adjust="holm")
    names = list(table.columns)
    np.testing.assert_allclose(
        ranking.pairwise.loc[names, names], expected.loc[names, names], rtol=1e-9
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_step_down_rejection(p_values):
    corrected = holm(np.array(p_values))
    np.testing.assert_allclose(corrected, reference.holm(p_values))
    assert (corrected >= np.array(p_values)).all()
    assert (corrected <= 1).all()


def test_holm_of_known_values():
    assert holm(np.array([0.01, 0.04, 0.03])).tolist() == pytest.approx([0.03, 0.06, 0.06])


def test_too_few_blocks_are_said():
    assert "too few for Friedman's test" in rank(scores(4, 3)).note
    note = rank(scores(4, 8)).note
    assert "no pair can differ at 0.05: the smallest corrected p of 4 blocks" in note
    assert rank(scores(12, 4)).note == ""
    smallest = rank(scores(7, 4)).pairwise.to_numpy().min()
    assert smallest >= 2.0**-6 * 6 - 1e-12  # what the note promises


def test_two_variants_have_no_friedman_test():
    assert np.isnan(rank(scores(8, 2)).friedman_p)


def test_equal_variants_have_no_test():
    ranking = rank(pd.DataFrame(np.ones((6, 3)), columns=list("abc")))
    assert np.isnan(ranking.friedman_p)
    assert (ranking.pairwise == 1).all(axis=None)
