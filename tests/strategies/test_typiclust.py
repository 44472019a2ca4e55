from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.strategies.diversity import TypiClust, _Points
from alupdate.strategies.kmeans import centres, kmeans
from tests.support.problems import make_query

STRATEGY = TypiClust(n_neighbours=3, min_cluster_size=2)


def naive(query, size, settings):
    """The rule of the paper, one cluster and one distance at a time."""
    known = len(query.labelled_features)
    points = torch.cat([query.labelled_features, query.features]).numpy()
    points = points / np.linalg.norm(points, axis=1, keepdims=True)
    count = min(known + size, settings.max_clusters, len(points))
    clusters = kmeans(torch.as_tensor(points), count, query.rng)
    covered = list(range(known))
    forbidden, picked = [known + i for i in query.picked.tolist()], []
    for _ in range(size):
        keys = {}
        for cluster in range(count):
            members = np.flatnonzero(clusters == cluster)
            usable = [m for m in members if m >= known and m not in picked + forbidden]
            if usable:
                labels = sum(m in members for m in covered)
                small = len(members) < settings.min_cluster_size
                keys[cluster] = (small, labels, -len(members), cluster)
        cluster = min(keys, key=keys.__getitem__)
        members = np.flatnonzero(clusters == cluster)
        best, most = -1, -np.inf
        for m in members:
            if m < known or m in picked + forbidden:
                continue
            gaps = sorted(np.linalg.norm(points[m] - points[o]) for o in members if o != m)
            typicality = -np.mean(gaps[: settings.n_neighbours]) if gaps else 0.0
            if typicality > most + 1e-12:
                best, most = m, typicality
        picked.append(best)
        covered.append(best)
    return [int(p) - known for p in picked]


@given(st.integers(0, 10**4), st.integers(1, 6))
def test_equals_the_rule_written_out(seed, size):
    first, second = (
        make_query(seed=seed, candidates=25, dtype=torch.float64, taken=(4,)) for _ in "ab"
    )
    assert STRATEGY.select(first, size).tolist() == naive(second, size, STRATEGY)


def test_takes_the_middle_of_each_group_without_labels():
    """Three groups on the circle, one of them labelled; the middles are at 4, 9 and 14."""
    angles = np.concatenate([centre + 0.02 * np.arange(-2, 3) for centre in (0.5, 2.5, 4.5)])
    order = np.array([0, 1, 3, 4, 2])  # within each group the middle comes last
    angles = angles.reshape(3, 5)[:, order].ravel()
    points = torch.from_numpy(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    query = make_query(features=points, dtype=torch.float64)
    query = replace(query, known_features=points[[4]], known_labels=torch.tensor([0]))
    strategy = TypiClust(n_neighbours=4, min_cluster_size=2)
    assert sorted(strategy.select(query, 2).tolist()) == [9, 14]


def settled(seed, **settings):
    query = make_query(seed=seed, candidates=60, dtype=torch.float64, taken=(4,))
    return TypiClust(n_neighbours=3, min_cluster_size=2, **settings).select(query, 12).tolist()


def test_samples_of_everything_change_nothing():
    for seed in range(5):
        assert settled(seed) == settled(seed, n_clustered=None, n_compared=None)


def test_points_that_were_not_clustered_belong_to_the_nearest_centre(monkeypatch):
    monkeypatch.setattr("alupdate.strategies.diversity.SHARED", 2)
    query = make_query(candidates=60, dtype=torch.float64)
    points = _Points(query.known_features, query.features)
    rng = np.random.default_rng(0)
    sample = deepcopy(rng)
    found = points.clusters(5, 20, rng)
    drawn = sample.choice(len(points), size=20, replace=False)
    rows = torch.cat([query.known_features, query.features]).numpy()
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(points.at(drawn), rows[drawn])
    middle = centres(torch.as_tensor(rows[drawn]), 5, sample).numpy()
    expected = np.linalg.norm(rows[:, None] - middle[None], axis=2).argmin(axis=1)
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("compared", [1, 2, 5])
def test_the_most_typical_of_a_sample_of_the_members(compared, monkeypatch):
    """All are picked once in the end, however few are looked at."""
    query = make_query(candidates=60, dtype=torch.float64, taken=(4,))
    strategy = TypiClust(max_clusters=3, n_neighbours=3, n_compared=compared)
    picked = strategy.select(query, 59)
    assert sorted(picked.tolist()) == query.free().tolist()
