from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skactiveml.pool import CoreSet as LibraryCoreSet

from alupdate.strategies import diversity as distances
from alupdate.strategies import unasked
from alupdate.strategies.diversity import CoreSet
from tests.support.problems import make_query


def naive(query, size):
    rows, known = query.features.numpy(), list(query.labelled_features.numpy())
    picked = []
    for _ in range(size):
        gaps = [min(np.linalg.norm(row - k) for k in known) for row in rows]
        for i in [*query.picked.tolist(), *picked]:
            gaps[i] = -1
        picked.append(int(np.argmax(gaps)))
        known.append(rows[picked[-1]])
    return picked


@given(st.integers(0, 10**6), st.integers(1, 6))
def test_equals_a_loop_over_distances(seed, size):
    query = make_query(seed=seed, candidates=15, dtype=torch.float64, taken=(2,))
    assert CoreSet().select(query, size).tolist() == naive(query, size)


def test_equals_scikit_activeml():
    for seed in range(5):
        query = make_query(seed=seed, dtype=torch.float64)
        features = torch.cat([query.labelled_features, query.features]).numpy()
        labels = np.r_[query.labelled_labels.numpy().astype(float), np.full(40, np.nan)]
        theirs = LibraryCoreSet(random_state=0).query(features, labels, batch_size=6)
        assert CoreSet().select(query, 6).tolist() == (theirs - 8).tolist()


def test_begins_far_from_the_mean_where_nothing_is_labelled():
    query = make_query(features=torch.tensor([[0.0, 0], [1, 0], [0, 1], [9, 9], [-1, 0]]))
    query = replace(query, known_features=query.features[:0], known_labels=query.known_labels[:0])
    assert CoreSet().select(query, 3).tolist()[0] == 3


@pytest.mark.parametrize("numbers", [1, 100])
def test_chunks_change_nothing(numbers, monkeypatch):
    query = make_query(dtype=torch.float64)
    whole = CoreSet().select(query, 5).tolist()
    monkeypatch.setattr(distances, "_CHUNK_NUMBERS", numbers)
    assert CoreSet().select(query, 5).tolist() == whole


def test_features_far_from_the_origin_keep_their_differences():
    """Copies of labelled instances come last, in float32 too."""
    rows = make_query(candidates=60, dimension=64).features * 0.05 + 1000
    query = replace(make_query(features=rows), known_features=rows[:50])
    assert sorted(CoreSet().select(query, 10).tolist()) == list(range(50, 60))


@given(st.integers(0, 10**6), st.integers(1, 8), st.booleans())
def test_a_pool_that_is_not_copied_gives_the_same_choices(seed, size, labelled):
    query = make_query(
        seed=seed, candidates=30, dtype=torch.float64, taken=(4,) if labelled else ()
    )
    if not labelled:
        nothing = query.known_features[:0], query.known_labels[:0]
        query = replace(query, known_features=nothing[0], known_labels=nothing[1])
    picked, scores = CoreSet().select(query, size), CoreSet().utilities(query)
    with pytest.MonkeyPatch.context() as patch:
        for name, number in (("_COPIED_NUMBERS", 0), ("_CHUNK_NUMBERS", 50)):
            patch.setattr(distances, name, number)
        patch.setattr(unasked, "_FIRST_LOOK", 2)
        assert CoreSet().select(query, size).tolist() == picked.tolist()
        torch.testing.assert_close(CoreSet().utilities(query), scores)
