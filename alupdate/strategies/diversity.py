"""k-means that gives the same clusters in any process."""

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning

from alupdate.seeds import sub_seed
from alupdate.threads import libraries

MANY = 50
"""More clusters than this are seeded here: the library's seeding takes most of its time."""

LARGE = 10_000
"""Many clusters of more points than this are found on mini-batches."""

SHARED = 20
"""Up to this many points per cluster, their distances to each other are computed at once."""


def kmeans(
    points: NDArray[np.floating], n_clusters: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the cluster (N,) of each point (N, D); some may stay empty if few points differ.

    One OpenMP thread: scikit-learn adds up the threads' shares in the order in which they finish,
    and a result must not depend on that. One BLAS thread: k-means++ makes many small products, and
    more threads than idle cores make those several times slower.
    """
    seed = sub_seed(rng)
    with libraries("sklearn").limit(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters
        init = seeds(points, n_clusters, rng) if n_clusters > MANY else "k-means++"
        large = n_clusters > MANY and len(points) > LARGE
        method = (MiniBatchKMeans if large else KMeans)(
            n_clusters, init=init, n_init=1, random_state=seed
        )
        clusters: NDArray[np.int64] = method.fit_predict(points).astype(np.int64)
    return clusters


def seeds(
    points: NDArray[np.floating], count: int, rng: np.random.Generator
) -> NDArray[np.floating]:
    """Return the points (count, D) that greedy k-means++ seeding draws.

    Each time a few points are drawn, with probabilities in proportion to the squared distance to
    the nearest seed so far (at random where no point differs from those), and the one that lowers
    the sum of these most becomes a seed (Arthur and Vassilvitskii 2007, with the 2 + log k trials
    of their experiments, as in scikit-learn).
    """
    distances_of = _squared_distances(points, len(points) <= SHARED * count)
    chosen = [int(rng.integers(len(points)))]
    nearest = distances_of(np.array(chosen))[0]
    while len(chosen) < count:
        trials = _drawn(nearest, 2 + int(np.log(count)), rng)
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
