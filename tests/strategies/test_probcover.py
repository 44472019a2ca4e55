from copy import deepcopy
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.strategies import diversity as distances
from alupdate.strategies.diversity import nearest
from alupdate.strategies.kmeans import kmeans
from alupdate.strategies.probcover import ProbCover, SampledCover, pure_radius
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
        radius = pure_radius(query, purity)
        again = make_query(seed=seed, dtype=torch.float64)
        order = again.rng.permutation(40)
        clusters = kmeans(points[order], 3, again.rng)
        gaps = np.linalg.norm(points.numpy()[order, None] - points.numpy()[None, order], axis=2)
        impure = clusters[:, None] != clusters[None]

        def share(r, gaps=gaps, impure=impure):
            return 1 - ((gaps <= r) & impure).any(axis=1).mean()

        assert share(radius) >= purity
        assert share(radius * (1 + 2e-4)) < purity


def test_no_point_lies_on_the_rim_of_an_automatic_ball():
    """Rounding, which differs with the shape of a product and the processor, decides nothing."""
    for seed in range(5):
        query = make_query(seed=seed)
        points = unit(query.features.double().numpy())
        gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
        square = pure_radius(query, 0.95) ** 2
        assert np.abs(gaps**2 - square).min() > 2e-5 * square


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


@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(0.05, 1.9))
def test_a_sample_of_everything_gives_the_same_choices(seed, size, radius):
    query = make_query(seed=seed, candidates=20, dimension=3, dtype=torch.float64, taken=(2,))
    square, everyone = radius**2, torch.arange(20)
    known = torch.from_numpy(unit(query.labelled_features.numpy()))
    gaps = nearest(torch.from_numpy(unit(query.features.numpy())), known)
    cover = SampledCover(query.features, query.picked, gaps, everyone, square)
    assert list(islice(cover.greedy(), size)) == naive(query, size, radius)
    expected = ProbCover(radius=radius).utilities(query)
    torch.testing.assert_close(cover.degrees(gaps, cover.uncovered), expected)


@given(st.integers(0, 10**6), st.floats(0.3, 1.5), st.sampled_from([1, 10**6]))
def test_a_sample_counts_others_and_the_candidate_itself(seed, radius, numbers):
    """Each pick has the largest estimate given those before it, over written-out distances."""
    query = make_query(seed=seed, candidates=30, dimension=3, dtype=torch.float64, taken=(2,))
    strategy = ProbCover(radius=radius, n_counted=12)
    sample = np.sort(deepcopy(query.rng).choice(30, size=12, replace=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alupdate.strategies.probcover._TILE_NUMBERS", numbers)
        picked = strategy.select(query, 10).tolist()
    points, known = unit(query.features.numpy()), unit(query.labelled_features.numpy())
    reach = np.linalg.norm(points[:, None] - points[None], axis=2) <= radius
    for t, pick in enumerate(picked):
        centres = np.concatenate([known, points[picked[:t]]])
        gaps = np.linalg.norm(points[:, None] - centres[None], axis=2).min(axis=1)
        others = (reach & ~np.eye(30, dtype=bool))[:, sample] & (gaps[sample] > radius)
        degrees = others.sum(axis=1) + 12 / 30 * (gaps > radius)
        degrees[[*picked[:t], 2]] = -1
        tied = np.flatnonzero(degrees > degrees.max() - 1e-9)
        assert pick == tied[gaps[tied].argmax()]


def test_a_sample_without_labels_and_after_everything_is_covered():
    query = make_query(candidates=40, dtype=torch.float64)
    bare = replace(query, known_features=query.features[:0], known_labels=query.known_labels[:0])
    for radius in (0.5, 2.5):
        chosen = ProbCover(radius=radius, n_counted=10).select(bare, 40)
        assert sorted(chosen.tolist()) == list(range(40))
