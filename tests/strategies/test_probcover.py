import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.strategies import diversity as distances
from alupdate.strategies.diversity import ProbCover, kmeans, pure_radius
from tests.support.problems import make_query


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def naive(query, size, radius):
    """Greedy coverage over a written-out graph of balls."""
    points, known = unit(query.features.numpy()), unit(query.labelled_features.numpy())
    picked = []
    for _ in range(size):
        centres = [*known, *points[picked]]
        gaps = np.array([min(np.linalg.norm(p - c) for c in centres) for p in points])
        reach = np.linalg.norm(points[:, None] - points[None], axis=2) <= radius
        degrees = (reach & (gaps > radius)).sum(axis=1)
        free = [i for i in range(len(points)) if i not in [*picked, *query.picked.tolist()]]
        most = max(degrees[i] for i in free)
        tied = [i for i in free if degrees[i] == most]
        picked.append(max(tied, key=lambda i: (gaps[i], -i)))
    return picked


@given(st.integers(0, 10**6), st.integers(1, 8), st.floats(0.05, 1.9))
def test_equals_greedy_coverage_of_a_written_out_graph(seed, size, radius):
    query = make_query(seed=seed, candidates=20, dimension=3, dtype=torch.float64, taken=(2,))
    chosen = ProbCover(radius=radius).select(query, size)
    assert chosen.tolist() == naive(query, size, radius)


@pytest.mark.parametrize("purity", [0.5, 0.8, 0.95])
def test_automatic_radius_is_the_largest_pure_enough(purity):
    for seed in range(5):
        query = make_query(seed=seed, dtype=torch.float64)
        points = torch.from_numpy(unit(query.features.numpy()))
        radius = pure_radius(query, points, purity)
        again = make_query(seed=seed, dtype=torch.float64)
        order = again.rng.permutation(40)
        clusters = kmeans(points.numpy()[order], 3, again.rng)
        gaps = np.linalg.norm(points.numpy()[order, None] - points.numpy()[None, order], axis=2)
        impure = clusters[:, None] != clusters[None]

        def share(r, gaps=gaps, impure=impure):
            return 1 - ((gaps < r) & impure).any(axis=1).mean()

        assert share(radius * (1 - 1e-9)) >= purity
        assert share(radius * (1 + 1e-9)) < purity


@pytest.mark.parametrize("numbers", [1, 100])
def test_chunks_change_nothing(numbers, monkeypatch):
    def choose():
        return ProbCover().select(make_query(dtype=torch.float64), 5).tolist()

    whole = choose()
    monkeypatch.setattr(distances, "_CHUNK_NUMBERS", numbers)
    assert choose() == whole


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("radius", [1e-12, 1e-6, 3e-4, "auto"])
def test_rounding_never_picks_twice(radius, dtype):
    """The distance between copies is zero or just above it, whichever way it is computed."""
    for seed in range(10):
        rows = make_query(candidates=20, dimension=64, seed=seed, dtype=dtype).features
        query = make_query(features=rows.repeat(2, 1), seed=seed, dtype=dtype, taken=(1, 2))
        chosen = ProbCover(radius=radius).select(query, 38)
        assert sorted(chosen.tolist()) == query.free().tolist()
