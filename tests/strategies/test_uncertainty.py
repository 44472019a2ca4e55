from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.strategies.uncertainty import Entropy, LeastConfidence, Margin, margin_uncertainty
from tests.support.problems import make_query
from tests.support.references import softmax


def with_probabilities(*rows):
    query = make_query(candidates=len(rows), classes=len(rows[0]))
    return replace(query, kept_logits=torch.tensor(rows).log())


CLOSE_TOP_TWO = (0.45, 0.44, 0.11)
FLAT = (0.40, 0.31, 0.29)
SURE = (0.90, 0.05, 0.05)
SPREAD = (0.50, 0.25, 0.25)


def test_margin_wants_the_closest_top_two():
    query = with_probabilities(SURE, FLAT, CLOSE_TOP_TWO, SPREAD)
    assert Margin().select(query, 4).tolist() == [2, 1, 3, 0]


def test_entropy_wants_the_flattest():
    query = with_probabilities(SURE, CLOSE_TOP_TWO, FLAT, SPREAD)
    assert Entropy().select(query, 4).tolist() == [2, 3, 1, 0]


def test_least_confidence_wants_the_smallest_top():
    query = with_probabilities(SURE, CLOSE_TOP_TWO, FLAT, SPREAD)
    assert LeastConfidence().select(query, 4).tolist() == [2, 1, 3, 0]


def test_ties_go_to_the_first_candidate():
    query = with_probabilities(SURE, FLAT, FLAT, FLAT)
    assert Margin().select(query, 2).tolist() == [1, 2]


@given(st.integers(0, 10**6), st.integers(2, 8))
def test_margin_uncertainty_of_each_row(seed, classes):
    logits = np.random.default_rng(seed).normal(size=(6, classes)) * 3
    expected = []
    for row in logits:
        second, first = np.sort(softmax(row))[-2:]
        expected.append(1 - (first - second))
    np.testing.assert_allclose(margin_uncertainty(torch.from_numpy(logits)), expected, rtol=1e-9)
