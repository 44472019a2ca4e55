"""Expected accuracy: on a problem whose truth is known, in degenerate cases, against loops."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from alupdate.forecast.accuracy import (
    LeftOut,
    average_confidence,
    expected_accuracy,
)
from alupdate.forecast.growth import LEAST_CYCLES, later_accuracies
from alupdate.forecast.intervals import Estimate, binomial_estimate, binomial_interval
from alupdate.laplace.temperature import best_temperature, leave_one_out_logits
from tests.laplace.test_temperature import mode, problem

seeds = st.integers(0, 10**6)


def drawn(rng, count, scale=2.0, temperature=1.0):
    """Logits, and labels from softmax(logits / temperature)."""
    logits = scale * rng.normal(size=(count, 4))
    chances = softmax(logits / temperature, axis=1).cumsum(axis=1)
    return logits, (rng.random((count, 1)) > chances).sum(axis=1).clip(max=3)


def truth(logits, temperature=1.0):
    return softmax(logits / temperature, axis=1).max(axis=1).mean()


@pytest.mark.parametrize("temperature", [0.7, 1.0, 3.0])
@pytest.mark.parametrize("chosen", [False, True], ids=["random", "uncertain"])
def test_the_interval_has_the_truth_where_that_is_known(temperature, chosen):
    """Labels follow the confidences up to a temperature; labelled instances are harder."""
    hits, plain, errors = 0, [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        pool, _ = drawn(rng, 800)
        logits, labels = drawn(rng, 240 if chosen else 60, temperature=temperature)
        if chosen:
            kept = np.argsort(softmax(logits, axis=1).max(axis=1))[:60]
            logits, labels = logits[kept], labels[kept]
        known = LeftOut(logits, labels, pool)
        found = expected_accuracy(known, rng)
        interval = found.interval(0.9)
        hits += interval.lower <= truth(pool, temperature) <= interval.upper
        errors.append(found.mean - truth(pool, temperature))
        plain.append((logits.argmax(axis=1) == labels).mean() - truth(pool, temperature))
    assert hits >= 51
    assert abs(np.mean(errors)) < 0.05
    if chosen:
        assert np.mean(plain) < -0.05
        assert abs(np.mean(errors)) < abs(np.mean(plain)) / 2


@given(seeds, st.integers(3, 12), st.integers(1, 9))
def test_weights_say_how_often_an_instance_is_there(seed, count, size):
    rng = np.random.default_rng(seed)
    logits, labels = drawn(rng, count)
    pool, _ = drawn(rng, size)
    times = rng.multinomial(count, np.full(count, 1 / count))
    repeated = LeftOut(np.repeat(logits, times, axis=0), np.repeat(labels, times), pool)
    evenly = np.full((1, count), 1 / count)
    found = average_confidence(LeftOut(logits, labels, pool), times[None] / count)
    np.testing.assert_allclose(found, average_confidence(repeated, evenly), atol=1e-12)


@given(seeds)
def test_the_temperature_is_the_best_one(seed):
    """Among all, found by an optimiser, up to the grid."""
    logits, labels = drawn(np.random.default_rng(seed), 80)
    best = best_temperature(torch.from_numpy(logits), torch.from_numpy(labels))
    found = average_confidence(LeftOut(logits, labels, logits), np.full((1, 80), 1 / 80))
    assert found[0] == pytest.approx(truth(logits, best), abs=0.02)


@given(seeds, st.integers(4, 9))
def test_left_out_logits_are_one_newton_step_from_the_mode_without_the_label(seed, count):
    """Each posterior without a label, fitted anew in float64, with every curvature written out."""
    rows, labels = problem(seed, count, 3)
    mean = mode(rows, labels, 1.0)
    found = leave_one_out_logits(mean, rows, labels, 1.0)
    learnt = rows @ mean.T
    anew = torch.stack(
        [
            mode(rows[torch.arange(count) != i], labels[torch.arange(count) != i], 1.0) @ rows[i]
            for i in range(count)
        ]
    )
    assert (found - anew).norm() < (learnt - anew).norm()


@pytest.mark.parametrize("right", [True, False], ids=["all right", "all wrong"])
def test_certain_answers_keep_an_interval(right):
    labels = np.repeat([0, 1], 15)
    logits = 5.0 * np.eye(2)[labels if right else 1 - labels]
    found = expected_accuracy(LeftOut(logits, labels, logits), np.random.default_rng(0))
    interval = found.interval(0.9)
    assert 0 <= interval.lower <= interval.value <= interval.upper <= 1
    assert interval.upper - interval.lower > 0.05
    assert (interval.value > 0.9) if right else (interval.value < 0.6)


def test_nothing_is_said_where_nothing_is_known():
    rng = np.random.default_rng(0)
    logits, labels = drawn(rng, 10)
    one_class = LeftOut(logits, np.zeros(10, np.int64), logits)
    empty = LeftOut(logits[:0], labels[:0], logits)
    no_pool = LeftOut(logits, labels, logits[:0])
    assert [expected_accuracy(known, rng) for known in (one_class, empty, no_pool)] == [None] * 3


def test_fewer_labels_than_classes_are_far_from_certain():
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(50, 40))
    found = expected_accuracy(LeftOut(pool[:9], np.arange(9), pool), rng)
    assert found.error > 0.25


@given(
    st.floats(0, 1), st.floats(1e-6, 0.6), st.integers(1, 1000), st.sampled_from([0.5, 0.9, 0.99])
)
def test_intervals_contain_their_estimate_and_stay_within_0_and_1(mean, error, count, level):
    found = Estimate(mean, error, count).interval(level)
    assert 0 <= found.lower <= found.value <= found.upper <= 1
    wider = Estimate(mean, error, count).interval(0.995)
    assert wider.lower <= found.lower
    assert wider.upper >= found.upper


@pytest.mark.parametrize("accuracy", [0.05, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("count", [1, 7, 50])
def test_the_binomial_interval_is_never_too_narrow(accuracy, count):
    """Its coverage is summed over all outcomes, not drawn."""
    from scipy.stats import binom

    covered = 0.0
    for right in range(count + 1):
        found = binomial_interval(right, count, 0.9)
        assert 0 <= found.lower <= found.value <= found.upper <= 1
        if found.lower <= accuracy <= found.upper:
            covered += binom.pmf(right, count, accuracy)
    assert covered >= 0.9
    assert binomial_estimate(count, count).error > 0


def curve(counts, error=0.01):
    return [(n, Estimate(1 - 1.5 * n**-0.5, error, n)) for n in counts]


def test_a_power_law_goes_on_as_it_is():
    later = later_accuracies(curve(range(20, 120, 10)), [50, 200], np.random.default_rng(0))
    for count, found in zip((160, 310), later, strict=True):
        wanted = 1 - 1.5 * count**-0.5
        interval = found.interval(0.9)
        assert found.mean == pytest.approx(wanted, abs=0.01)
        assert interval.lower < wanted < interval.upper
    assert later[1].mean > later[0].mean
    assert later[1].error > later[0].error


@given(
    st.lists(st.floats(0, 1), min_size=LEAST_CYCLES, max_size=12),
    st.floats(1e-3, 0.3),
)
def test_whatever_the_estimates_later_ones_are_no_lower_and_at_most_1(means, error):
    found = [(10 * (i + 1), Estimate(mean, error, 30)) for i, mean in enumerate(means)]
    later = later_accuracies(found, [50, 200], np.random.default_rng(0))
    assert means[-1] <= later[0].mean <= later[1].mean <= 1
    assert all(estimate.error >= error for estimate in later)


def test_nothing_is_said_about_later_after_few_cycles():
    few = curve(range(20, 20 + 10 * (LEAST_CYCLES - 1), 10))
    assert later_accuracies(few, [50], np.random.default_rng(0)) == []
    assert later_accuracies(curve(range(20, 90, 10)), [], np.random.default_rng(0)) == []
