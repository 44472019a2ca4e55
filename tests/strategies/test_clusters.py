import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import MiniBatchKMeans

from alupdate.strategies import kmeans as clusters
from alupdate.strategies import lloyd
from alupdate.strategies.kmeans import MANY_CLUSTERS, centres, kmeans, seeds
from tests.support.waits import as_on_a_gpu, waits


def spread(assignment, points):
    """The sum of squared distances to the clusters' means."""
    groups = [points[assignment == c] for c in np.unique(assignment)]
    return sum(((group - group.mean(axis=0)) ** 2).sum() for group in groups)


def test_distances_that_are_too_many_are_not_computed_at_once(monkeypatch):
    points = np.random.default_rng(0).normal(size=(25, 3))
    expected = seeds(points, 6, np.random.default_rng(0))
    sizes, whole = [], clusters._squared_distances

    def counted(rows, at_once):
        sizes.append(at_once)
        return whole(rows, at_once)

    monkeypatch.setattr(clusters, "_squared_distances", counted)
    for most in (25 * 25, 25 * 25 - 1):
        monkeypatch.setattr(clusters, "SHARED_NUMBERS", most)
        assert seeds(points, 6, np.random.default_rng(0)).tolist() == expected.tolist()
    assert sizes == [True, False]


@given(st.integers(0, 10**6), st.integers(2, 12), st.sampled_from([0, 100]))
def test_each_seed_is_the_best_of_its_trials(seed, count, shared):
    """The rule followed one distance at a time; mutual neighbours can be equally good."""
    points = np.random.default_rng(seed).normal(size=(25, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "SHARED", shared)
        drawn = seeds(points, count, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    np.testing.assert_array_equal(drawn[0], points[rng.integers(25)])
    for k in range(1, count):
        nearest = np.array([min(((p - s) ** 2).sum() for s in drawn[:k]) for p in points])
        trials = points[clusters._drawn(nearest, 2 + int(np.log(count)), rng)]
        left = [np.minimum(nearest, ((points - t) ** 2).sum(axis=1)).sum() for t in trials]
        chosen = (trials == drawn[k]).all(axis=1)
        assert chosen.any()
        assert left[int(chosen.argmax())] <= min(left) + 1e-9


def test_draws_are_in_proportion_to_the_weights():
    drawn = clusters._drawn(np.array([0.0, 1.0, 3.0, 0.0]), 8000, np.random.default_rng(0))
    np.testing.assert_allclose(
        np.bincount(drawn, minlength=4) / 8000, [0, 0.25, 0.75, 0], atol=0.02
    )
    everything = clusters._drawn(np.zeros(3), 9000, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(everything) / 9000, 1 / 3, atol=0.02)


def test_seeds_differ_while_points_do():
    points = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    drawn = seeds(points, 60, np.random.default_rng(1))
    assert len(np.unique(drawn, axis=0)) == 60
    copies = np.repeat(points[:3], 20, axis=0)
    assert len(np.unique(seeds(copies, 10, np.random.default_rng(1)), axis=0)) == 3


@pytest.mark.parametrize("large", [60, 10_000])
def test_many_clusters_are_as_tight_as_the_library_makes_them(large, monkeypatch):
    monkeypatch.setattr(clusters, "LARGE", large)
    rng = np.random.default_rng(0)
    points = rng.normal(size=(400, 8)) + 3 * rng.normal(size=(80, 8))[rng.integers(80, size=400)]
    library = MiniBatchKMeans(MANY_CLUSTERS + 30, n_init=1, random_state=0).fit_predict(points)
    ours = [
        spread(
            kmeans(torch.from_numpy(points), MANY_CLUSTERS + 30, np.random.default_rng(s)), points
        )
        for s in range(5)
    ]
    assert np.mean(ours) < 1.02 * spread(library, points)


@pytest.mark.parametrize("count", [10, MANY_CLUSTERS + 10])
def test_the_same_stream_gives_the_same_clusters(count):
    points = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    first, second = (
        kmeans(torch.from_numpy(points), count, np.random.default_rng(3)) for _ in "ab"
    )
    assert (first == second).all()
    assert len(np.unique(first)) == count


@pytest.mark.parametrize(("clusters", "groups"), [(4, 4), (7, 40), (60, 60)])
def test_tensors_find_the_clusters_of_the_library(clusters, groups, monkeypatch):
    rng = np.random.default_rng(clusters)
    middles = 20 * rng.normal(size=(groups, 6))
    rows = middles[rng.integers(groups, size=900)] + rng.normal(size=(900, 6))
    points = torch.from_numpy(rows)
    theirs = kmeans(points, clusters, np.random.default_rng(3))
    middle = centres(points, clusters, np.random.default_rng(3))
    as_on_a_gpu(monkeypatch)
    ours = kmeans(points, clusters, np.random.default_rng(3))
    assert ours.tolist() == theirs.tolist()
    torch.testing.assert_close(centres(points, clusters, np.random.default_rng(3)), middle)


@pytest.mark.parametrize("differing", [1, 3, 20])
def test_tensors_cluster_points_that_hardly_differ(differing, monkeypatch):
    as_on_a_gpu(monkeypatch)
    rows = torch.randn(differing, 3, generator=torch.Generator().manual_seed(0)).repeat(4, 1)
    found = kmeans(rows, 8, np.random.default_rng(0))
    assert len(np.unique(found)) == min(differing, 8)
    assert 0 <= found.min() <= found.max() < 8


def test_an_empty_cluster_gets_the_point_farthest_from_its_centre():
    rows = torch.tensor([[0.0, 0], [1, 0], [0, 9]])
    centres = torch.tensor([[0.0, 0], [99, 99]])
    labels, gaps = lloyd._assigned(rows, centres)
    moved = lloyd._means(rows, labels, gaps, centres)
    torch.testing.assert_close(moved, torch.tensor([[0.5, 0], [0, 9]]))


def test_clustering_waits_no_more_often_for_more_clusters(monkeypatch):
    points = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))

    def counted(clusters):
        return waits(lambda: kmeans(points, clusters, np.random.default_rng(0)), monkeypatch)

    assert counted(4).total() <= 8
    assert counted(80).total() <= 8
