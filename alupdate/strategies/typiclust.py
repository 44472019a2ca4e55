"""TypiClust: one typical instance from each part of the feature space without labels."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alupdate.config import TypiClustStrategy
from alupdate.strategies.clusters import kmeans
from alupdate.strategies.distances import distance_chunks, unit_length
from alupdate.strategies.query import Positions, Query


class TypiClust:
    """The most typical member of each uncovered cluster (Hacohen et al. 2022).

    Labelled instances and candidates are clustered together, into as many clusters as there will be
    labels (``max_clusters`` at most). Clusters with the fewest labels come first, the larger ones
    before the smaller ones, and those below ``min_cluster_size`` last. Typical is the member of the
    smallest mean distance to its nearest neighbours within the cluster. Features are scaled to unit
    length, as the authors' are.
    """

    needs_oracle = False

    def __init__(self, settings: TypiClustStrategy) -> None:
        self._settings = settings

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        points = unit_length(torch.cat([query.labelled_features, query.features]))
        known = len(query.labelled_features)
        count = min(known + size, self._settings.max_clusters, len(points))
        clusters = kmeans(points.numpy(force=True), count, query.rng)
        labels = np.bincount(clusters[:known], minlength=count)
        sizes = np.bincount(clusters, minlength=count)
        free, typicality = ~query.taken.numpy(force=True), dict[int, NDArray[np.floating]]()
        picked: list[int] = []
        while len(picked) < size:
            left = np.bincount(clusters[known:][free], minlength=count) > 0
            small = sizes < self._settings.min_cluster_size
            cluster = int(np.lexsort((-sizes, labels, small, ~left))[0])
            members = np.flatnonzero(clusters == cluster)
            if cluster not in typicality:
                typicality[cluster] = self._typicality(points[members])
            score = typicality[cluster][members >= known]
            places = members[members >= known] - known
            pick = int(places[np.where(free[places], score, -np.inf).argmax()])
            picked.append(pick)
            free[pick] = False
            labels[cluster] += 1
        return np.array(picked, dtype=np.int64)

    def _typicality(self, members: Tensor) -> NDArray[np.floating]:
        """Return minus the mean distance (M,) to the nearest neighbours among members (M, D)."""
        count = min(self._settings.n_neighbours, len(members) - 1)
        if count == 0:
            return np.zeros(1)
        means = [
            part.topk(count + 1, dim=1, largest=False).values[:, 1:].sqrt().sum(dim=1)
            for part in distance_chunks(members, members)
        ]
        return -torch.cat(means).numpy(force=True)
