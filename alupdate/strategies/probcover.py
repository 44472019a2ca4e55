"""ProbCover: balls around labelled instances that cover as many candidates as possible."""

import numpy as np
import torch
from torch import Tensor

from alupdate.config import ProbCoverStrategy
from alupdate.strategies.clusters import kmeans
from alupdate.strategies.distances import distance_chunks, nearest, squared_distances, unit_length
from alupdate.strategies.query import Positions, Query

N_SAMPLED = 2000
"""Candidates on which an automatic radius is estimated, at most."""


class ProbCover:
    """Greedy maximal coverage with balls of one radius (Yehuda et al. 2022).

    Candidates within the radius of a labelled instance are covered. Each pick is the candidate
    whose ball covers the most that are not covered yet; ties, as when everything is covered, go to
    the one farthest from a labelled instance. Features are scaled to unit length.

    The automatic radius is the paper's: the largest at which a share of ``purity`` of all balls
    holds one k-means cluster only, with as many clusters as classes, on a sample of the candidates.
    """

    needs_oracle = False

    def __init__(self, settings: ProbCoverStrategy) -> None:
        self._settings = settings

    def select(self, query: Query, size: int) -> Positions:
        """See ``Strategy``."""
        points = unit_length(query.features)
        known = unit_length(query.labelled_features)
        radius = self._settings.radius
        if radius == "auto":
            radius = pure_radius(query, points, self._settings.purity)
        gaps = points.new_full((len(points),), torch.inf)
        if len(known):
            gaps = nearest(points, known)
        free, square = ~query.taken, radius**2
        degrees = _degrees(points, points[gaps > square], square)
        picked = np.empty(size, dtype=np.int64)
        for i in range(size):
            # Rounding at the rim of a ball can leave a degree below zero: compare free ones only.
            tied = free & (degrees == degrees[free].max())
            pick = int(torch.where(tied, gaps, -1.0).argmax())
            picked[i] = pick
            free[pick] = False
            distances = squared_distances(points[[pick]], points)[0]
            newly = (gaps > square) & (distances <= square)
            gaps = torch.minimum(gaps, distances)
            degrees -= _degrees(points, points[newly], square)
        return picked


def _degrees(points: Tensor, others: Tensor, square: float) -> Tensor:
    """Return how many of the others (N, D) lie in the ball around each point (P, D)."""
    if not len(others):
        return torch.zeros(len(points), dtype=torch.int64, device=points.device)
    return torch.cat([(part <= square).sum(dim=1) for part in distance_chunks(points, others)])


def pure_radius(query: Query, points: Tensor, purity: float) -> float:
    """Return the largest radius whose balls are pure often enough, for points (P, D).

    A ball is pure if it reaches no point of another cluster, that is, up to the distance to the
    nearest one. So the share of pure balls falls as the radius grows, and the radius sought is the
    quantile of those distances that leaves ``purity`` of them above it.
    """
    sample = query.rng.permutation(len(points))[:N_SAMPLED]
    chosen = points[torch.from_numpy(sample).to(points.device)]
    classes = min(query.logits.shape[1], len(chosen))
    clusters = torch.from_numpy(kmeans(chosen.numpy(force=True), classes, query.rng))
    clusters = clusters.to(points.device)
    reach, start = [], 0
    for part in distance_chunks(chosen, chosen):
        own = clusters[start : start + len(part), None] == clusters
        reach.append(part.masked_fill(own, torch.inf).amin(dim=1))
        start += len(part)
    distances = torch.sort(torch.cat(reach).sqrt()).values
    finite = distances[torch.isfinite(distances)]
    if not len(finite):
        return 1.0
    return float(finite[min(int((1 - purity) * len(distances) + 1e-9), len(finite) - 1)])
