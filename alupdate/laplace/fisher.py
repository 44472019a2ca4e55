"""Sums of Fisher information matrices, and the inverse of a regularised sum [Ash2021].

The Fisher information of the last layer's weights (C vectors of D numbers, one after the other) at
an instance with features phi and probabilities p is

    F(x) = A_x (x) phi phi^T,      A_x = diag(p) - p p^T = B_x B_x^T

((x): Kronecker product), hence F(x) = V_x V_x^T with V_x = B_x (x) phi. A matrix with C D rows is
kept as a tensor (C, D, r).

All of it is in 64 bits: taking an instance away divides by I - V^T M^-1 V, which for an instance
far from all others is nearly zero, the difference of two numbers near |phi|^2 / lambda.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from alupdate.laplace.tiles import at_once

_CHUNK_NUMBERS = 2**25
"""How many numbers a temporary array may have."""


@dataclass(frozen=True)
class Information:
    """The Fisher information of several instances, in factors.

    Attributes:
        features: (P, D).
        factors: (P, C, C), B.
        curvatures: (P, C, C), A = B B^T.
    """

    features: Tensor
    factors: Tensor
    curvatures: Tensor

    def apply(self, matrix: Tensor) -> Tensor:
        """Return sum_x F(x) M for a matrix M (C, D, r): O(P C r (D + C))."""
        classes, dimension, columns = matrix.shape
        total = torch.zeros_like(matrix)
        size = max(1, at_once(matrix, _CHUNK_NUMBERS) // max(1, classes * columns))
        for rows, curvature in zip(
            torch.split(self.features, size), torch.split(self.curvatures, size), strict=True
        ):
            inner = curvature @ (rows @ matrix).transpose(0, 1)
            back = rows.T @ inner.reshape(len(rows), -1)
            total += back.view(dimension, classes, columns).transpose(0, 1)
        return total

    def blocks(self, rows: Tensor) -> Tensor:
        """Return phi^T F_cc' phi, summed over the instances, for rows (R, D): (R, C, C)."""
        flat = self.curvatures.flatten(1)
        size = max(1, at_once(flat, _CHUNK_NUMBERS) // max(1, len(flat)))
        parts = [(part @ self.features.T).square_() @ flat for part in torch.split(rows, size)]
        return torch.cat(parts).view(len(rows), *self.curvatures.shape[1:])

    def spread(self) -> Tensor:
        """Return all V_x side by side, (C, D, P * C)."""
        columns = self.factors.transpose(0, 1)[:, None] * self.features.T[None, :, :, None]
        return columns.flatten(2)

    def at(self, positions: Tensor) -> "Information":
        """Return the information of the instances at positions (R,)."""
        found = (part[positions] for part in (self.features, self.factors, self.curvatures))
        return Information(*found)


def multiclass(features: Tensor, logits: Tensor) -> Information:
    """Return the information of features (P, D) with logits (P, C); B = diag(q) - p q^T, q^2 = p.

    B B^T = diag(p) - 2 p p^T + p p^T sum(p), and the probabilities sum to 1.
    """
    p = torch.softmax(logits.double(), dim=1)
    root = p.sqrt()
    factors = torch.diag_embed(root) - p[:, :, None] * root[:, None]
    curvatures = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    return Information(features.double(), factors, curvatures)


@dataclass(frozen=True)
class Inverse:
    """M^-1 for M = lambda I + the information of the labelled instances.

    Attributes:
        apply: M^-1 X for X (C, D, r).
        own: (P, C, C), phi^T (M^-1)_cc' phi of each candidate.
        missing: (P, C, C), phi^T (M^-1 F M^-1)_cc' phi, with F the candidates' information.
    """

    apply: Callable[[Tensor], Tensor]
    own: Tensor
    missing: Tensor


def inverse(labelled: Information, pool: Information, regularisation: float) -> Inverse:
    """Return M^-1 in whichever form takes fewer operations: low-rank or written out.

    Args:
        labelled: N instances.
        pool: P candidates, whose information is F.
        regularisation: lambda.
    """
    low_rank, dense = inverse_costs(labelled, pool)
    form = _low_rank_inverse if low_rank <= dense else _dense_inverse
    return form(labelled, pool, regularisation)


def inverse_costs(labelled: Information, pool: Information) -> tuple[float, float]:
    """Return the operations that the low-rank and the dense form take, roughly."""
    known, candidates = len(labelled.features), len(pool.features)
    classes, dimension = pool.factors.shape[1], pool.features.shape[1]
    rows, rank = classes * dimension, known * classes
    low_rank = 2.0 * candidates**2 * dimension + 8.0 * candidates * rows * rank
    low_rank += 2.0 * rows * rank**2
    return low_rank, 4.0 * rows**3 + 5.0 * candidates * rows**2


def inverse_bytes(labelled: Information, pool: Information) -> float:
    """Return the memory that the cheaper form takes, roughly."""
    classes, dimension = pool.factors.shape[1], pool.features.shape[1]
    low_rank, dense = inverse_costs(labelled, pool)
    rows, rank = classes * dimension, len(labelled.features) * classes
    if low_rank <= dense:
        return float((4 * rows * rank + 3 * rank**2) * pool.features.element_size())
    return float(rows**2 * (2 * 8 + 3 * pool.features.element_size()))


def _low_rank_inverse(labelled: Information, pool: Information, regularisation: float) -> Inverse:
    """M^-1 = (I - T T^T) / lambda with T = V L^-T and L L^T = lambda I + V^T V (Woodbury).

    V^T V has the blocks (phi_i . phi_j) B_i^T B_j. With Z = F T and Y = Z - T (T^T Z) / 2,

        M^-1 F M^-1 = (F - T Y^T - Y T^T) / lambda^2
    """
    known, classes = labelled.factors.shape[:2]
    gram = labelled.features @ labelled.features.T
    side = labelled.factors.transpose(0, 1).reshape(classes, known * classes)
    kernel = side.T @ side
    kernel.view(known, classes, known, classes).mul_(gram[:, None, :, None])
    kernel.diagonal().add_(regularisation)
    factor = torch.linalg.cholesky(kernel)
    flat = labelled.spread().flatten(0, 1)
    explained = torch.linalg.solve_triangular(factor, flat.T, upper=False).T
    dimension = pool.features.shape[1]
    known_part = explained.reshape(classes, dimension, known * classes)
    seen = pool.apply(known_part)
    inner = explained.T @ seen.flatten(0, 1)
    half = (seen.flatten(0, 1) - explained @ (inner / 2)).view_as(known_part)
    own, missing = _low_rank_blocks(pool, known_part, half)

    def apply(matrix: Tensor) -> Tensor:
        columns = matrix.flatten(0, 1)
        rest: Tensor = columns - explained @ (explained.T @ columns)
        return rest.view_as(matrix).div_(regularisation)

    return Inverse(apply, own / regularisation, missing / regularisation**2)


def _low_rank_blocks(pool: Information, known: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """Return the candidates' blocks (P, C, C) of I - T T^T and of F - T Y^T - Y T^T."""
    classes, _, rank = known.shape
    lengths = pool.features.square().sum(dim=1)
    identity = torch.eye(classes, dtype=lengths.dtype, device=lengths.device)
    own = lengths[:, None, None] * identity
    missing = pool.blocks(pool.features)
    size = max(1, at_once(known, _CHUNK_NUMBERS) // max(1, classes * rank))
    for start in range(0, len(lengths), size):
        part = slice(start, start + size)
        seen = (pool.features[part] @ known).transpose(0, 1)
        other = (pool.features[part] @ half).transpose(0, 1)
        own[part] -= seen @ seen.mT
        mixed = seen @ other.mT
        missing[part] -= mixed + mixed.mT
    return own, missing


def _dense_inverse(labelled: Information, pool: Information, regularisation: float) -> Inverse:
    """Write M out, invert it in float64, and multiply."""
    classes, dimension = pool.factors.shape[1], pool.features.shape[1]
    matrix = _written_out(labelled)
    matrix.diagonal().add_(regularisation)
    inverted = torch.cholesky_inverse(torch.linalg.cholesky(matrix))
    missing = inverted @ _written_out(pool) @ inverted

    def apply(columns: Tensor) -> Tensor:
        return (inverted @ columns.flatten(0, 1)).view_as(columns)

    shape = (classes, dimension, classes, dimension)
    own, rest = (_dense_blocks(pool.features, m.view(shape)) for m in (inverted, missing))
    return Inverse(apply, own, rest)


def _written_out(information: Information) -> Tensor:
    """Return sum_x A_x (x) phi phi^T, (C D, C D)."""
    features = information.features
    classes, dimension = information.factors.shape[1], features.shape[1]
    matrix = features.new_empty(classes, dimension, classes, dimension)
    for a in range(classes):
        for b in range(a, classes):
            block = features.T @ (information.curvatures[:, a, b, None] * features)
            matrix[a, :, b], matrix[b, :, a] = block, block
    return matrix.view(classes * dimension, classes * dimension)


def _dense_blocks(features: Tensor, matrix: Tensor) -> Tensor:
    """Return phi^T Q_cc' phi (P, C, C) of features (P, D), for Q as (C, D, C, D)."""
    classes = len(matrix)
    blocks = features.new_empty(len(features), classes, classes)
    for a in range(classes):
        for b in range(a, classes):
            value = (features @ matrix[a, :, b]).mul_(features).sum(dim=1)
            blocks[:, a, b], blocks[:, b, a] = value, value
    return blocks
