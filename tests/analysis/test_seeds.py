import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from alupdate.analysis.seeds import (
    N_RESAMPLES,
    bootstrap_interval,
    difference_of,
    mean_of,
    note,
    paired_t,
    wilcoxon,
    wilcoxon_tests,
)
from tests.support import references_statistics as reference

SAMPLES = arrays(
    np.float64, st.integers(2, 9), elements=st.floats(-1, 1).map(lambda x: round(x, 6))
)


def test_mean_and_error_of_known_values():
    mean = mean_of(np.array([0.1, 0.3]))
    assert mean.value == pytest.approx(0.2)
    assert mean.standard_error == pytest.approx(0.1)
    assert mean.seeds == 2


def test_a_single_seed_has_no_error_and_no_interval():
    mean = mean_of(np.array([0.5]))
    assert mean.value == 0.5
    assert np.isnan([mean.standard_error, mean.low, mean.high]).all()


def test_interval_is_bca():
    values = np.random.default_rng(3).exponential(size=12)
    resamples = np.random.default_rng(1).choice(values, size=(100_000, 12))
    expected = reference.bca(values, resamples)
    assert bootstrap_interval(values) == pytest.approx(expected, abs=0.03)
    assert N_RESAMPLES > 1000


def test_interval_covers_the_mean_as_often_as_it_says():
    """For 30 values of a normal distribution, 95 % of intervals hold its mean."""
    rng = np.random.default_rng(0)
    intervals = [bootstrap_interval(rng.normal(size=30)) for _ in range(100)]
    assert 0.88 <= np.mean([low <= 0 <= high for low, high in intervals]) <= 1


@given(SAMPLES)
def test_interval_lies_within_the_values_and_does_not_change(values):
    low, high = bootstrap_interval(values)
    assert values.min() - 1e-12 <= low <= high <= values.max() + 1e-12
    assert bootstrap_interval(values) == (low, high)


@given(SAMPLES)
def test_t_test_is_scipys_and_symmetric(gaps):
    p_value = paired_t(gaps)
    if np.ptp(gaps) == 0:
        assert np.isnan(p_value)
    elif np.ptp(gaps) > 1e-3:
        assert p_value == pytest.approx(stats.ttest_rel(gaps, np.zeros_like(gaps)).pvalue)
        assert p_value == pytest.approx(paired_t(-gaps))


def test_t_test_of_known_values():
    pairs = np.array([[0.3, 0.1], [0.4, 0.3]])  # differences .2 and .1: t = 3, 1 degree
    answer = difference_of(pairs)
    assert answer.t_p == pytest.approx(2 * np.arctan(1 / 3) / np.pi)
    assert answer.mean.value == pytest.approx(0.15)


@pytest.mark.parametrize("seed", range(5))
def test_wilcoxon_is_exact_for_few_seeds(seed):
    gaps = np.random.default_rng(seed).normal(0.3, 1, size=4 + seed)
    assert wilcoxon(gaps) == pytest.approx(reference.wilcoxon(gaps))


@pytest.mark.parametrize(
    "gaps", [[1, 1, 2, -2, 3, 0], [-1, -1, -1, 2, 5], [0.5, -0.5], [2, 2, 2, 2, 2, 2, -1]]
)
def test_wilcoxon_with_ties_and_zeros_is_that_of_scipy(gaps):
    values = np.array(gaps, dtype=float)
    nonzero = values[values != 0]
    assert wilcoxon(values) == pytest.approx(reference.wilcoxon(nonzero))
    assert wilcoxon(values) == pytest.approx(stats.wilcoxon(nonzero).pvalue)


@pytest.mark.parametrize("seeds", [3, 4, 5, 6, 7])
def test_fewer_than_six_seeds_can_never_reach_the_level(seeds):
    smallest = wilcoxon(np.arange(1.0, seeds + 1))  # all differences on one side
    assert smallest == pytest.approx(2.0 ** (1 - seeds))
    assert (smallest > 0.05) == bool(note(seeds))


def test_equal_values_leave_the_tests_undefined():
    answer = difference_of(np.array([[0.3, 0.3], [0.4, 0.4]]))
    assert np.isnan([answer.t_p, answer.wilcoxon_p]).all()
    assert answer.mean.low == answer.mean.high == 0


def test_notes():
    assert note(0) == "no common seed"
    assert note(1) == "one seed: no error, no claim"
    assert note(5) == "5 seeds: too few for a claim (Wilcoxon p >= 0.0625)"
    assert note(10) == ""


@pytest.mark.parametrize("seeds", [1, 2, 6, 30])
def test_many_wilcoxon_tests_are_those_of_scipy_one_by_one(seeds, monkeypatch):
    rng = np.random.default_rng(seeds)
    parts = [rng.normal(size=(50, seeds)), rng.integers(-3, 4, size=(15, seeds))]
    gaps = np.vstack([*parts, np.zeros((1, seeds))])
    rows = [row[row != 0] for row in gaps]
    expected = [stats.wilcoxon(row).pvalue if len(row) and seeds > 1 else np.nan for row in rows]
    calls = []
    alone = stats.wilcoxon
    monkeypatch.setattr(stats, "wilcoxon", lambda x, axis: calls.append(x) or alone(x, axis=axis))
    np.testing.assert_allclose(wilcoxon_tests(gaps), expected, rtol=1e-12)
    assert len(calls) <= 2 * seeds  # by number of differences, with and without ties
