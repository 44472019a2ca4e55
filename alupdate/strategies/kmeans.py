"""k-means: by scikit-learn on a CPU, as tensors on a GPU."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from alupdate.laplace.tiles import is_accelerator
from alupdate.strategies.lloyd import SeedDraws, lloyd, seed_trials
from alupdate.utils.seeds import sub_seed
from alupdate.utils.threads import libraries

MANY_CLUSTERS = 50
"""More clusters than this are seeded here: the library's seeding takes most of its time."""

LARGE = 10_000
"""Many clusters of more points than this are found on mini-batches."""

SHARED = 20
"""Up to this many points per cluster, their distances to each other are computed at once."""


def kmeans(
    points: Tensor, n_clusters: int, rng: np.random.Generator, overwrite: bool = False
) -> NDArray[np.int64]:
    """Return the cluster (N,) of each point (N, D); some may stay empty if few points differ.

    On a GPU as tensors (``lloyd``), all points at a time. On a CPU by scikit-learn, in mini-batches
    where clusters and points are many.

    One OpenMP thread: scikit-learn adds up the threads' shares in the order in which they finish,
    and a result must not depend on that. One BLAS thread: k-means++ makes many small products, and
    more threads than idle cores make those several times slower.

    Args:
        points: to be clustered.
        n_clusters: how many.
        rng: draws the seeds.
        overwrite: whether nobody needs the points any more: then no copy of them need be made.
    """
    seed = sub_seed(rng)
    if is_accelerator(points.device):
        return lloyd(points, _draws(len(points), n_clusters, seed, rng))[0].numpy(force=True)
    array = points.numpy(force=True)
    with _one_thread():
        init = seeds(array, n_clusters, rng) if n_clusters > MANY_CLUSTERS else "k-means++"
        if n_clusters > MANY_CLUSTERS and len(array) > LARGE:
            method = MiniBatchKMeans(n_clusters, init=init, n_init=1, random_state=seed)
        else:
            copy = not overwrite
            method = KMeans(n_clusters, init=init, n_init=1, random_state=seed, copy_x=copy)
        clusters: NDArray[np.int64] = method.fit_predict(array).astype(np.int64)
    return clusters


def centres(points: Tensor, n_clusters: int, rng: np.random.Generator) -> Tensor:
    """Return the centres (n_clusters, D) of the clusters of points (N, D) in random order.

    The first few points seed many clusters, and all of them are clustered until nothing moves.
    """
    seed, few = sub_seed(rng), points[: SHARED * n_clusters]
    if is_accelerator(points.device):
        among = len(few) if n_clusters > MANY_CLUSTERS else len(points)
        return lloyd(points, _draws(among, n_clusters, seed, rng), among)[1]
    array = points.numpy(force=True)
    with _one_thread():
        start = few.numpy(force=True)
        init = seeds(start, n_clusters, rng) if n_clusters > MANY_CLUSTERS else "k-means++"
        method = KMeans(n_clusters, init=init, n_init=1, random_state=seed).fit(array)
    return torch.from_numpy(method.cluster_centers_)


def _draws(count: int, n_clusters: int, seed: int, rng: np.random.Generator) -> SeedDraws:
    """Return the draws that the seeding of so many clusters makes on the CPU."""
    if n_clusters > MANY_CLUSTERS:
        return SeedDraws.of(count, n_clusters, rng)
    return SeedDraws.as_the_library(count, n_clusters, seed)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let scikit-learn use one thread, and find fewer clusters where fewer points differ."""
    with libraries("sklearn").limit(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def seeds(
    points: NDArray[np.floating], count: int, rng: np.random.Generator
) -> NDArray[np.floating]:
    """Return the points (count, D) that greedy k-means++ seeding draws.

    Each time a few points are drawn, with probabilities in proportion to the squared distance to
    the nearest seed so far (at random where no point differs from those), and the one that lowers
    the sum of these most becomes a seed ([Arthur2007], with the 2 + log k trials of their
    experiments, as in scikit-learn).
    """
    distances_of = _squared_distances(points, len(points) <= SHARED * count)
    chosen = [int(rng.integers(len(points)))]
    nearest = distances_of(np.array(chosen))[0]
    while len(chosen) < count:
        trials = _drawn(nearest, seed_trials(count), rng)
        distances = np.minimum(distances_of(trials), nearest)
        best = int(distances.sum(axis=1).argmin())
        chosen.append(int(trials[best]))
        nearest = distances[best]
    return points[chosen]


def _squared_distances(
    points: NDArray[np.floating], at_once: bool
) -> Callable[[NDArray[np.int64]], NDArray[np.floating]]:
    """Return a function from positions (R,) to squared distances (R, N) to all points (N, D).

    One large product ``at_once`` is several times faster than many small ones.
    """
    lengths = np.einsum("nd,nd->n", points, points)

    def distances_of(rows: NDArray[np.int64]) -> NDArray[np.floating]:
        distances = points[rows] @ points.T
        distances *= -2
        distances += lengths
        distances += lengths[rows, None]
        distances[np.arange(len(rows)), rows] = 0
        return distances.clip(min=0, out=distances)

    return distances_of(np.arange(len(points))).__getitem__ if at_once else distances_of


def _drawn(
    weights: NDArray[np.floating], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return positions (count,) drawn in proportion to weights (N,), or at random if all are 0."""
    edges = np.cumsum(weights, dtype=np.float64)
    if edges[-1] <= 0:
        return rng.integers(len(weights), size=count)
    positions = np.searchsorted(edges, rng.random(count) * edges[-1], side="right")
    last: NDArray[np.int64] = np.minimum(positions, len(weights) - 1)
    return last
