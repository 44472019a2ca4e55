"""Annotators who err: how often, how, and the same whatever the order of asking."""

from collections import Counter
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alupdate.data.annotators import NoisyAnnotators, lead, majority, symmetric
from alupdate.experiment.annotation import similar

CLASSES, MANY = 5, 4000
LABELS = np.random.default_rng(0).integers(CLASSES, size=MANY)


def annotators(rates=(0.3,), votes=1, seed=0, labels=LABELS, confusion=None):
    confusion = symmetric(CLASSES) if confusion is None else confusion
    return NoisyAnnotators(labels, rates, votes, seed, confusion)


def within_four_deviations(hits, trials, probability):
    return abs(hits - trials * probability) <= 4 * (trials * probability * (1 - probability)) ** 0.5


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.8])
def test_an_annotation_is_wrong_as_often_as_said_and_all_wrong_classes_are_alike(rate):
    given = annotators([rate]).annotate(np.arange(MANY))
    wrong = given != LABELS
    assert within_four_deviations(wrong.sum(), MANY, rate)
    shifts = np.bincount((given - LABELS)[wrong] % CLASSES, minlength=CLASSES)[1:]
    assert all(within_four_deviations(n, wrong.sum(), 1 / (CLASSES - 1)) for n in shifts)


def test_the_bounds_are_never_and_always_wrong():
    everyone = np.arange(MANY)
    assert (annotators([0.0]).annotate(everyone) == LABELS).all()
    assert (annotators([1.0]).annotate(everyone) != LABELS).all()


def test_each_of_several_has_a_rate_of_its_own_and_an_equal_share_of_the_work():
    rates = (0.1, 0.5, 0.0)
    asked, wrong = Counter(), Counter()
    for index in range(MANY):
        rows = annotators(rates, votes=2).annotations(index)
        assert len({who for _, who, _ in rows}) == 2
        for _, who, label in rows:
            asked[who] += 1
            wrong[who] += label != LABELS[index]
    assert all(within_four_deviations(asked[who], MANY, 2 / 3) for who in range(3))
    assert all(within_four_deviations(wrong[who], asked[who], rates[who]) for who in range(3))


def test_annotations_of_one_instance_are_independent():
    """Also those of the same annotator, and whether both are wrong."""
    pairs = [[row[2] for row in annotators([0.4]).annotations(i, 2)] for i in range(MANY)]
    both = sum(c not in pair for pair, c in zip(pairs, LABELS, strict=True))
    assert within_four_deviations(both, MANY, 0.16)


@given(
    st.permutations(range(30)),
    st.integers(1, 29),
    st.lists(st.floats(0, 1), min_size=1, max_size=4),
    st.integers(0, 2**32),
    st.data(),
)
@settings(max_examples=40, deadline=None)
def test_the_same_answers_whatever_the_order_of_asking(order, cut, rates, seed, data):
    votes = data.draw(st.integers(1, len(rates)))
    one, other = (annotators(rates, votes, seed) for _ in range(2))
    together = one.annotate(np.arange(30))
    parts = [other.annotate(np.array(part)) for part in (order[:cut], order[cut:])]
    assert np.concatenate(parts).tolist() == together[list(order)].tolist()
    for index in order:
        assert one.annotations(index, 7)[:votes] == other.annotations(index)


def test_another_seed_gives_other_errors():
    first, second = (annotators(seed=seed).annotate(np.arange(100)) for seed in (0, 1))
    assert (first != second).any()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_the_vote_is_that_of_a_plain_loop(votes):
    best, most = None, 0
    for label in votes:  # the first of equals
        number = 0
        for other in votes:
            number += other == label
        if number > most:
            best, most = label, number
    assert majority(votes) == best
    others = [votes.count(label) for label in range(4) if label != best]
    assert lead(votes) == most - max(others)


def test_annotate_gives_the_vote():
    several = annotators((0.4, 0.4, 0.4), votes=3)
    for index, label in zip(count(), several.annotate(np.arange(50))):
        assert label == majority([row[2] for row in several.annotations(index)])


def test_similar_classes_are_confused_in_inverse_proportion_to_the_squared_distance():
    import torch

    rows = torch.tensor([[0.0, 1], [2.0, 1], [0.0, 1], [5.0, 1], [3.0, 1]])
    weights = similar(rows, np.array([0, 0, 1, 2, 1]), 4)  # means 1, 1.5, 5, none
    wanted = np.array([[0, 4, 1 / 16, 0], [4, 0, 1 / 12.25, 0], [1 / 16, 1 / 12.25, 0, 0]])
    shares = wanted / wanted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(weights[:3] / weights[:3].sum(axis=1, keepdims=True), shares)
    labels = np.zeros(MANY, dtype=np.int64)
    given = annotators([1.0], labels=labels, confusion=weights).annotate(np.arange(MANY))
    assert within_four_deviations((given == 2).sum(), MANY, shares[0, 2])
    assert set(given.tolist()) == {1, 2}


def test_classes_of_equal_means_are_confused_with_each_other_alone():
    import torch

    weights = similar(torch.tensor([[1.0, 1], [1.0, 1], [4.0, 1]]), np.array([0, 1, 2]), 3)
    assert weights[:2].tolist() == [[0, 1, 0], [1, 0, 0]]
    assert weights[2].tolist() == [1, 1, 0]


def test_a_single_class_cannot_be_mistaken():
    alone = annotators([1.0], labels=np.zeros(3, dtype=np.int64), confusion=np.zeros((1, 1)))
    assert alone.annotate(np.arange(3)).tolist() == [0, 0, 0]
