from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.laplace.updates import update_rule
from alupdate.strategies import badge as badge_file
from alupdate.strategies.badge import Badge
from alupdate.strategies.base import after_labels
from tests.support.memory import peak_mebibytes
from tests.support.problems import make_query
from tests.support.references import softmax


def embeddings(query):
    """The gradient embeddings (P, C * D), written out."""
    rows = []
    for logits, features in zip(query.logits.numpy(), query.features.numpy(), strict=True):
        residual = softmax(logits)
        residual[residual.argmax()] -= 1
        rows.append(np.outer(residual, features).ravel())
    return np.array(rows)


def naive(query, size):
    """k-means++ seeding on written-out embeddings, from the same random numbers."""
    points, chosen = embeddings(query), query.picked.tolist()
    for _ in range(size):
        distances = np.array(
            [min((np.sum((x - points[c]) ** 2) for c in chosen), default=x @ x) for x in points]
        )
        distances[chosen] = 0
        if not chosen:
            chosen.append(int(distances.argmax()))
        else:
            chosen.append(int(query.rng.choice(len(points), p=distances / distances.sum())))
    return chosen[-size:]


@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(1, 8))
def test_equals_seeding_on_written_out_gradients(seed, classes, size):
    first, second = (make_query(seed=seed, classes=classes, dtype=torch.float64) for _ in "ab")
    assert Badge().select(first, size).tolist() == naive(second, size)


@pytest.mark.parametrize("name", ["second_order", "map"])
def test_equals_it_between_updates(name):
    """In a sequential batch the earlier picks count with their gradients under the new model."""
    for seed in range(10):
        answers = []
        for select in (Badge().select, naive):
            query = make_query(seed=seed, dtype=torch.float64)
            picked = []
            for _ in range(4):
                pick = np.array(select(query, 1))
                picked += pick.tolist()
                labels = query.oracle.candidate_labels[pick]
                query = after_labels(query, pick, labels, update_rule(name))
            answers.append(picked)
        assert answers[0] == answers[1]


def test_draws_in_proportion_to_the_squared_distance():
    """The second pick's frequencies against the probabilities, within five standard errors."""
    query = make_query(candidates=6, dtype=torch.float64)
    points = embeddings(query)
    first = int(np.square(points).sum(axis=1).argmax())
    distances = np.square(points - points[first]).sum(axis=1)
    probabilities = distances / distances.sum()
    rng, draws = np.random.default_rng(0), 4000
    picks = [int(Badge().select(replace(query, rng=rng), 2)[1]) for _ in range(draws)]
    frequencies = np.bincount(picks, minlength=6) / draws
    errors = np.sqrt(probabilities * (1 - probabilities) / draws)
    assert (np.abs(frequencies - probabilities) <= 5 * errors).all()


def test_never_builds_the_gradients():
    """P = 5,000, C = 50, D = 400: the gradients would take 400 MB in float32."""
    code = (
        "import torch\n"
        "from alupdate.strategies.badge import Badge\n"
        "from tests.support.problems import make_query\n"
        "query = make_query(candidates=5000, dimension=400, classes=50)\n"
    )
    assert peak_mebibytes(code + "Badge().select(query, 20)") - peak_mebibytes(code) < 60


def test_proposals_are_drawn_in_proportion_to_the_squared_distance(monkeypatch):
    """Frequencies of pairs of picks after the first, against the product of the probabilities."""
    monkeypatch.setattr(badge_file, "KEPT_RESIDUALS", 0)
    query = make_query(candidates=5, dtype=torch.float64)
    points = embeddings(query)
    first = int(np.square(points).sum(axis=1).argmax())
    expected = np.zeros((5, 5))
    to_first = np.square(points - points[first]).sum(axis=1)
    for second in range(5):
        nearest = np.minimum(to_first, np.square(points - points[second]).sum(axis=1))
        if second != first:
            expected[second] = to_first[second] / to_first.sum() * nearest / nearest.sum()
    rng, draws = np.random.default_rng(0), 4000
    counted = np.zeros((5, 5))
    for _ in range(draws):
        picks = Badge().select(replace(query, rng=rng), 3)
        assert picks[0] == first
        counted[picks[1], picks[2]] += 1
    errors = np.sqrt(expected * (1 - expected) / draws)
    assert (np.abs(counted / draws - expected) <= 5 * errors).all()


def test_proposals_know_the_batch_and_end_where_all_candidates_are_alike(monkeypatch):
    monkeypatch.setattr(badge_file, "KEPT_RESIDUALS", 0)
    query = make_query(candidates=40, taken=(3, 7))
    alike = replace(query, features=query.features[:1].expand_as(query.features), kept_logits=None)
    for asked in (query, alike):
        assert sorted([*Badge().select(asked, 38).tolist(), 3, 7]) == list(range(40))


def test_proposals_keep_no_residuals_and_no_logits_of_all():
    """P = 50,000, C = 1,000: the residuals would take 200 MB."""
    code = (
        "import torch\n"
        "from alupdate.strategies import badge\n"
        "from tests.support.problems import make_query\n"
        "badge.KEPT_RESIDUALS = 0\n"
        "query = make_query(candidates=50000, dimension=20, classes=1000)\n"
    )
    assert peak_mebibytes(code + "badge.Badge().select(query, 5)") - peak_mebibytes(code) < 120
