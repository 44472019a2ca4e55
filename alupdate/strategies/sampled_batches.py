"""Candidate batches for look-ahead: random, diverse, and informative ones."""

import numpy as np
from pydantic.dataclasses import dataclass as option

from alupdate.config.values import SETTINGS, NonNegative
from alupdate.strategies.base import Positions, Query
from alupdate.strategies.kmeans import kmeans
from alupdate.strategies.uncertainty import margin_uncertainty


@option(frozen=True, config=SETTINGS)
class BatchMix:
    """Relative shares of the three kinds of candidate batches; only their ratios matter."""

    random: NonNegative = 1.0
    diverse: NonNegative = 1.0
    informative: NonNegative = 1.0


def sample_batches(query: Query, size: int, count: int, mix: BatchMix) -> Positions:
    """Return ``count`` candidate batches (count, size) of distinct free positions.

    [Huseljic2025], section on look-ahead selection, takes a third of each kind:

    - random: any free candidates;
    - diverse: one random member of each of ``size`` k-means clusters;
    - informative: random among those whose margin uncertainty is above the mean.
    """
    random, diverse, informative = _shares(count, mix)
    free = query.free()
    parts = [_draw(free, size, random, query.rng)]
    if diverse:
        parts.append(_one_per_cluster(query, free, size, diverse))
    if informative:
        parts.append(_above_mean_margin(query, free, size, informative))
    return np.concatenate(parts)


def _shares(count: int, mix: BatchMix) -> tuple[int, int, int]:
    """Split ``count`` by the mix; what does not divide goes to the largest remainders."""
    weights = np.array([mix.random, mix.diverse, mix.informative])
    exact = count * weights / weights.sum()
    shares = np.floor(exact).astype(int)
    for position in np.argsort(shares - exact, kind="stable")[: count - shares.sum()]:
        shares[position] += 1
    return int(shares[0]), int(shares[1]), int(shares[2])


def _draw(source: Positions, size: int, count: int, rng: np.random.Generator) -> Positions:
    draws = [rng.choice(source, size=size, replace=False) for _ in range(count)]
    return np.array(draws, dtype=np.int64).reshape(count, size)


def _one_per_cluster(query: Query, free: Positions, size: int, count: int) -> Positions:
    """One member of each cluster; empty clusters (few distinct points) are made up at random."""
    assignment = kmeans(query.features[~query.taken], size, query.rng, overwrite=True)
    members = [free[assignment == cluster] for cluster in range(size)]
    members = [cluster for cluster in members if len(cluster)]
    batches = []
    for _ in range(count):
        batch = np.array([query.rng.choice(cluster) for cluster in members])
        if len(batch) < size:
            rest = np.setdiff1d(free, batch)
            extra = query.rng.choice(rest, size=size - len(batch), replace=False)
            batch = np.concatenate([batch, extra])
        batches.append(batch)
    return np.array(batches, dtype=np.int64)


def _above_mean_margin(query: Query, free: Positions, size: int, count: int) -> Positions:
    uncertainty = query.map_logits(margin_uncertainty).numpy(force=True)[free]
    informative = free[uncertainty > uncertainty.mean()]
    if len(informative) < size:
        informative = free[np.argsort(-uncertainty, kind="stable")[:size]]
    return _draw(informative, size, count, query.rng)
