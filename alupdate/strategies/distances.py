"""Squared distances between many points, in bounded memory."""

from collections.abc import Iterator

import torch
from torch import Tensor

CHUNK_NUMBERS = 2**24
"""How many distances are in memory at a time."""


def squared_distances(rows: Tensor, points: Tensor) -> Tensor:
    """Return |a - b|^2 of rows (R, D) and points (N, D), of shape (R, N), by one matrix product."""
    lengths = rows.square().sum(dim=1)[:, None] + points.square().sum(dim=1)
    return torch.clamp(torch.addmm(lengths, rows, points.T, alpha=-2), min=0)


def distance_chunks(rows: Tensor, points: Tensor) -> Iterator[Tensor]:
    """Yield the squared distances (r, N) of a few rows after the other to all points (N, D)."""
    size = max(1, CHUNK_NUMBERS // max(1, len(points)))
    for part in torch.split(rows, size):
        yield squared_distances(part, points)


def nearest(rows: Tensor, points: Tensor) -> Tensor:
    """Return the squared distance (R,) of each row (R, D) to the nearest of points (N, D)."""
    return torch.cat([part.amin(dim=1) for part in distance_chunks(rows, points)])


def unit_length(rows: Tensor) -> Tensor:
    """Return rows (N, D) scaled to length 1; rows of zeros stay as they are."""
    lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    scaled: Tensor = rows / lengths.clamp(min=torch.finfo(rows.dtype).tiny)
    return scaled
