"""k-means that gives the same clusters in any process."""

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from alupdate.seeds import sub_seed

MANY = 50
"""More clusters than this are found on mini-batches, as TypiClust's authors do."""


def kmeans(
    points: NDArray[np.floating], n_clusters: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the cluster (N,) of each point (N, D); some may stay empty if few points differ.

    One OpenMP thread: scikit-learn adds up the threads' shares in the order in which they finish,
    and a result must not depend on that. One BLAS thread: k-means++ makes many small products, and
    more threads than idle cores make those several times slower.
    """
    seed = sub_seed(rng)
    method: KMeans | MiniBatchKMeans
    if n_clusters > MANY:
        method = MiniBatchKMeans(n_clusters, n_init=1, random_state=seed)
    else:
        method = KMeans(n_clusters, n_init=1, random_state=seed)
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters
        clusters: NDArray[np.int64] = method.fit_predict(points).astype(np.int64)
    return clusters
