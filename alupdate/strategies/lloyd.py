"""k-means as tensors: the clusters that scikit-learn finds, in large calls on a GPU.

Seeding is greedy k-means++ [Arthur2007] from the same random numbers as on the CPU, and Lloyd's
iterations [Lloyd1982] end where scikit-learn's do. So the clusters are those of the CPU but for
rounding: of points that lie between two centres, and of trials that are equally good. Nothing waits
for the device but one question in ``UNASKED`` iterations, whether they have ended.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from alupdate.laplace.arrays import one_hot
from alupdate.laplace.tiles import at_once

MAX_ITERATIONS = 300
STANDSTILL = 1e-4
"""Centres that move by less than this, in relation to the variance of a feature, have arrived."""

UNASKED = 16
"""After so many iterations one looks whether they have ended; those that were too many do nothing.
"""

_CHUNK_NUMBERS = 2**24
"""How many distances are in memory at a time."""


@dataclass(frozen=True)
class SeedDraws:
    """The random numbers of greedy k-means++ seeding.

    Attributes:
        first: the position of the first seed.
        uniforms: (k - 1, L), each in [0, 1): L trials for every other seed.
    """

    first: int
    uniforms: np.ndarray

    @classmethod
    def of(cls, points: int, clusters: int, rng: np.random.Generator) -> "SeedDraws":
        """Draw as ``kmeans.seeds`` does while points differ from the seeds."""
        first = int(rng.integers(points))
        return cls(first, rng.random((clusters - 1, seed_trials(clusters))))

    @classmethod
    def as_the_library(cls, points: int, clusters: int, seed: int) -> "SeedDraws":
        """Draw as scikit-learn does."""
        state = np.random.RandomState(seed)
        first = int(state.choice(points, p=np.full(points, 1 / points)))
        return cls(first, state.uniform(size=(clusters - 1, seed_trials(clusters))))


def seed_trials(clusters: int) -> int:
    """Return among how many points each seed is the best."""
    return 2 + int(np.log(clusters))


def lloyd(points: Tensor, draws: SeedDraws, among: int | None = None) -> tuple[Tensor, Tensor]:
    """Return the cluster (N,) of each point (N, D), and the centres (k, D).

    Args:
        points: to be clustered.
        draws: of the seeds.
        among: seeds are drawn from so many points, the first ones; None for all.
    """
    mean = points.mean(dim=0)
    rows = points - mean
    tolerance = STANDSTILL * rows.var(dim=0, correction=0).mean()
    centres = _seeds(rows[:among], draws)
    labels = torch.full((len(rows),), -1, device=rows.device)
    done = torch.zeros((), dtype=torch.bool, device=rows.device)
    for number in range(MAX_ITERATIONS):
        if number % UNASKED == UNASKED - 1 and bool(done):
            break
        found, gaps = _assigned(rows, centres)
        moved = _means(rows, found, gaps, centres)
        moved = torch.where(done, centres, moved)
        settled = (found == labels).all() | ((moved - centres).square().sum() <= tolerance)
        centres, labels, done = moved, found, done | settled
    return _assigned(rows, centres)[0], centres + mean


def _seeds(rows: Tensor, draws: SeedDraws) -> Tensor:
    """Return the rows (k, D) that greedy k-means++ seeding draws; at random where none differ."""
    uniforms = torch.from_numpy(draws.uniforms).to(rows.device)
    lengths = rows.square().sum(dim=1)
    chosen = [torch.full((1,), draws.first, device=rows.device)]
    nearest = _squares(rows, lengths, chosen[0])[0]
    even = torch.arange(1, len(rows) + 1, device=rows.device, dtype=torch.float64)
    for drawn in uniforms:
        edges = nearest.double().cumsum(dim=0)
        edges = torch.where(edges[-1] > 0, edges, even)
        tried = torch.searchsorted(edges, drawn * edges[-1], side="right")
        tried = tried.clamp_(max=len(rows) - 1)
        distances = torch.minimum(_squares(rows, lengths, tried), nearest)
        best = distances.sum(dim=1).argmin(dim=0, keepdim=True)
        chosen.append(tried[best])
        nearest = distances[best][0]
    return rows[torch.cat(chosen)]


def _squares(rows: Tensor, lengths: Tensor, places: Tensor) -> Tensor:
    """Return the squared distances (R, N) of the rows at places (R,) to all rows (N, D)."""
    products = torch.addmm(lengths, rows[places], rows.T, alpha=-2)
    distances = products.add_(lengths[places, None]).clamp_(min=0)
    return distances.scatter_(1, places[:, None], 0.0)


def _assigned(rows: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Return the nearest centre (N,) of each row, and the squared distance less |row|^2 (N,)."""
    lengths = centres.square().sum(dim=1)
    size = max(1, at_once(rows, _CHUNK_NUMBERS) // len(centres))
    found = [
        torch.addmm(lengths, part, centres.T, alpha=-2).min(dim=1)
        for part in torch.split(rows, size)
    ]
    return torch.cat([part.indices for part in found]), torch.cat([part.values for part in found])


def _means(rows: Tensor, labels: Tensor, gaps: Tensor, centres: Tensor) -> Tensor:
    """Return the mean (k, D) of each cluster; an empty one gets a row far from its centre.

    By a product with rows of 0 and 1, whose sums do not depend on the order of threads.
    """
    sums, counts = torch.zeros_like(centres), centres.new_zeros(len(centres))
    size = max(1, at_once(rows, _CHUNK_NUMBERS) // len(centres))
    for part, place in zip(torch.split(rows, size), torch.split(labels, size), strict=True):
        members = one_hot(place, len(centres), rows)
        sums.addmm_(members.T, part)
        counts += members.sum(dim=0)
    empty = counts == 0
    far = (gaps + rows.square().sum(dim=1)).topk(min(len(centres), len(rows))).indices
    moved = far[(empty.cumsum(dim=0) - 1).clamp_(min=0, max=len(far) - 1)]
    weight = empty.to(rows.dtype)
    leaving = one_hot(labels[moved], len(centres), rows).T * weight
    sums = sums + weight[:, None] * rows[moved] - leaving @ rows[moved]
    counts = counts + weight - leaving.sum(dim=1)
    return sums / counts.clamp(min=1)[:, None]
