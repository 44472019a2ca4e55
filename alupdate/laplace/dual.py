"""The sequential second-order update in dual form: many hypothetical batches at once.

Derivation. Updating on instance i of a batch B changes every logit and every covariance entry by
a rank-one term. With k(x, x') = phi(x)^T Sigma phi(x'), v_i = k(i, i) and weight w_i:

    f(x)     <-  f(x) + gamma k(x, i) / (1 + w_i v_i) r_i,      r_i = e_{y_i} - softmax(f(i))
    k(x, x') <-  k(x, x') - w_i k(x, i) k(i, x') / (1 + w_i v_i)

(the first line uses Sigma' phi_i = Sigma phi_i / (1 + w_i v_i), by Sherman and Morrison). On the
b x b Gram matrix G of the batch this is an elimination without square roots: step i divides the
current column i by the pivot 1 + w_i v_i and subtracts a rank-one matrix. Collect

    V_ji = w_i G_ji^(i) / (1 + w_i v_i)  for j > i,   V_ii = 1      (unit lower triangular)

where G^(i) is the matrix before step i. The columns that the steps would see at any points T are
K_T,B V^-T, with K_T,B the ORIGINAL kernel, so the logits after the whole batch are

    f(T) + gamma K_T,B Z,      Z = V^-T diag(1 / (1 + w_i v_i)) R      (b x C)

and the covariance is Sigma - S diag(w_i / (1 + w_i v_i)) S^T with S = Sigma Phi_B^T V^-T. Nothing
of size D x D is needed per batch. For w = 1 the pivots are the squared diagonal of the Cholesky
factor of I + G, and V is that factor with its columns scaled to a unit diagonal.

The weights w_i are taken from the logits at the moment of step i, as in the sequential update.
The recursion runs in NumPy: its arrays are small, and for one batch of ten labels NumPy's lower
cost per call makes it several times faster than the same steps on tensors.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alupdate.laplace.posterior import SharedLikelihood

Array = NDArray[np.floating]


@dataclass(frozen=True)
class BatchUpdates:
    """The sequential updates on M batches of b instances, as coefficients on the batch kernel.

    Attributes:
        coefficients: (M, b, C), Z above: new logits are ``old + gamma * K_T,B @ Z``.
        elimination: (M, b, b), V above below its (unit, not stored) diagonal.
        shrinkage: (M, b), w_i / (1 + w_i v_i): what step i takes off the covariance.
        weights: (M, b), w_i.
    """

    coefficients: Tensor
    elimination: Tensor
    shrinkage: Tensor
    weights: Tensor


def update_batches(
    gram: Tensor, logits: Tensor, labels: Tensor, gamma: float, likelihood: SharedLikelihood
) -> BatchUpdates:
    """Run the sequential update on M batches at once.

    Args:
        gram: (M, b, b), Phi_B Sigma Phi_B^T of each batch.
        logits: (M, b, C), of the batch members before the update.
        labels: (M, b), the class indices to update with.
        gamma: step size.
        likelihood: see ``posterior.curvature``.

    Cost: O(M b^2 (b + C)).
    """
    targets = np.eye(logits.shape[2], dtype=logits.numpy(force=True).dtype)[
        labels.numpy(force=True)
    ]
    steps = _gaussian_steps if likelihood == "gaussian" else _categorical_steps
    columns, shrinkage, pivots, residuals = (
        torch.from_numpy(array).to(gram.device)
        for array in steps(gram, logits.numpy(force=True), targets, gamma)
    )
    elimination = columns * shrinkage[:, None, :]
    coefficients = torch.linalg.solve_triangular(
        elimination.mT, residuals / pivots[:, :, None], upper=True, unitriangular=True
    )
    return BatchUpdates(coefficients, elimination, shrinkage, shrinkage * pivots)


def _gaussian_steps(
    gram: Tensor, logits: Array, targets: Array, gamma: float
) -> tuple[Array, Array, Array, Array]:
    """Weights of 1: one Cholesky factor holds every column, and only the residuals recur."""
    identity = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    factor = torch.linalg.cholesky(gram + identity).numpy(force=True)
    diagonal = np.diagonal(factor, axis1=1, axis2=2)
    gains = gamma * (factor / diagonal[:, None, :])
    residuals = np.empty_like(targets)
    for i in range(targets.shape[1]):
        drift = (gains[:, i, None, :i] @ residuals[:, :i])[:, 0]
        residuals[:, i] = targets[:, i] - _softmax(logits[:, i] + drift)
    return factor * diagonal[:, None, :], 1 / diagonal**2, diagonal**2, residuals


def _categorical_steps(
    gram: Tensor, logits: Array, targets: Array, gamma: float
) -> tuple[Array, Array, Array, Array]:
    """Weights that depend on the logits of the moment: columns and residuals recur together."""
    kernel = gram.numpy(force=True)
    columns, residuals = np.zeros_like(kernel), np.empty_like(targets)
    shrinkage, pivots = np.empty_like(kernel[:, 0]), np.empty_like(kernel[:, 0])
    for i in range(targets.shape[1]):
        row = columns[:, i, :i]
        gains = gamma * row / pivots[:, :i]
        probabilities = _softmax(logits[:, i] + (gains[:, None] @ residuals[:, :i])[:, 0])
        residuals[:, i] = targets[:, i] - probabilities
        largest = probabilities.max(axis=-1)
        weight = largest * (1 - largest)
        scaled_row = row * shrinkage[:, :i]
        columns[:, i:, i] = (
            kernel[:, i:, i] - (columns[:, i:, :i] @ scaled_row[:, :, None])[:, :, 0]
        )
        pivots[:, i] = 1 + weight * columns[:, i, i]
        shrinkage[:, i] = weight / pivots[:, i]
    return columns, shrinkage, pivots, residuals


def _softmax(logits: Array) -> Array:
    powers: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers
