"""The first labels by k-means: the instance nearest to the centre of each cluster."""

from typing_extensions import override

from alupdate.strategies.base import Positions, Query, Strategy
from alupdate.strategies.label_flips import representatives


class KMeansCentres(Strategy):
    """Cluster-based selection of the first labels [Kang2004].

    The candidates are clustered by k-means into ``size`` clusters, and of each the instance that is
    nearest to its mean is taken. Features are scaled to unit length, as the other ways to choose
    first labels do. Where fewer candidates than ``size`` differ, some clusters are empty, and the
    batch is filled at random. Neither a prediction nor a labelled instance is looked at. O(P D b)
    per iteration of k-means, for P candidates and b clusters.

    The authors represent a text by the frequencies of its words, and add the centres themselves,
    with the labels of their clusters, to the training set; here only instances are labelled.

    Example:
        >>> import torch
        >>> from alupdate.laplace.posterior import fit_posterior
        >>> features = torch.tensor([[1.0, 0.0, 1], [1, 0.1, 1], [1, 0.2, 1], [0, 1, 1], [0, 2, 1]])
        >>> prior = fit_posterior(torch.zeros(2, 3), features[:0], "gaussian", 1.0)
        >>> sorted(KMeansCentres().select(Query.of(prior, features), 2).tolist())
        [1, 3]
    """

    @override
    def select(self, query: Query, size: int) -> Positions:
        return representatives(query, query.free(), size)
