"""CoreSet: batches that leave no candidate far from a labelled instance."""

import numpy as np
import torch

from alupdate.strategies.distances import nearest
from alupdate.strategies.query import Positions, Query


class CoreSet:
    """The candidate farthest from all labelled ones, again and again (Sener and Savarese 2018).

    k-center greedy in the feature space. The distances to the labelled instances are computed once
    per query; each pick then costs O(P D). With nothing labelled, the first pick is the candidate
    farthest from the candidates' mean. That mean is subtracted, since |a|^2 + |b|^2 - 2ab of
    features far from the origin would lose their differences to rounding.
    """

    needs_oracle = False

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        mean = query.features.mean(dim=0)
        features, known = query.features - mean, query.labelled_features - mean
        start = known if len(known) else torch.zeros_like(features[:1])
        lengths = features.square().sum(dim=1)
        gaps = nearest(features, start).masked_fill_(query.taken, -1)
        picked = np.empty(size, dtype=np.int64)
        for i in range(size):
            picked[i] = pick = int(gaps.argmax())
            distances = lengths + lengths[pick] - 2 * (features @ features[pick])
            if i == 0 and not len(known):
                gaps = torch.full_like(gaps, torch.inf).masked_fill_(query.taken, -1)
            gaps = torch.minimum(gaps, distances.clamp_(min=0))
            gaps[picked[: i + 1]] = -1
        return picked
