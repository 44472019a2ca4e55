"""The converged update: the exact mode of the posterior given the new labels.

    argmin_W  1 / (2 gamma) sum_c (w_c - w0_c)^T Sigma_c^-1 (w_c - w0_c) + sum_i CE(W phi_i, y_i)

By the representer theorem the minimiser is w_c = w0_c + gamma Sigma_c Phi_b^T a_c with A (b x C):
setting the gradient to zero gives a_c = e_c - p_c. In A, the problem is the one that
``alupdate.laplace.newton`` solves, with the kernels K_c = gamma Phi_b Sigma_c Phi_b^T. The gradient
in w_c is Phi_b^T (a_c - (e_c - p_c)), which the tolerance on that residual bounds.
"""

from dataclasses import dataclass
from typing import Generic

import numpy as np
import torch
from torch import Tensor

from alupdate.laplace.newton import Array, solve_dual
from alupdate.laplace.posterior import Layer, LowRankUpdate

CHUNK_NUMBERS = 2**21
"""How many numbers one of the arrays may have when many batches are solved together."""


@dataclass(frozen=True)
class PerClassUpdate(Generic[Layer]):
    """The outcome of an update that moved every class along directions of its own.

    Attributes:
        posterior: after the update; its mean is the old one plus ``change``.
        change: (C, D).
        added_precision: (b, C), the weight that each new instance got in the precision.
    """

    posterior: Layer
    change: Tensor
    added_precision: Tensor

    def move(self, logits: Tensor, features: Tensor) -> Tensor:
        """Return the new logits (N, C) from the old ones."""
        return torch.addmm(logits, features, self.change.T)


def map_update(
    posterior: Layer, features: Tensor, labels: Tensor, gamma: float
) -> LowRankUpdate[Layer] | PerClassUpdate[Layer]:
    """Update the posterior with b labels at once: new mode, and new covariance around it.

    The covariance takes in the curvature of the new instances at the new mode; that of earlier
    instances stays as it was when they were taken in.

    Args:
        posterior: before the update; it is left as it is.
        features: (b, D), of the newly labelled instances.
        labels: (b,), their class indices.
        gamma: step size; 1 is the Bayesian answer, larger trusts the new labels more.

    Raises:
        RuntimeError: the solver did not reach its tolerance (``newton.TOLERANCE``).
    """
    projected = posterior.project(features)
    coefficients = _coefficients(
        (projected @ features.T)[None], posterior.logits(features)[None], labels[None], gamma
    )[0]
    if len(projected) == 1:
        mean = torch.addmm(posterior.mean, coefficients.T, projected[0])
        weights = posterior.curvatures(features @ mean.T)
        updated = posterior.conditioned(mean, features, weights)
        return LowRankUpdate(updated, projected[0], coefficients, weights)
    change = (coefficients.T[:, None] @ projected)[:, 0]
    mean = posterior.mean + change
    weights = posterior.curvatures(features @ mean.T)
    return PerClassUpdate(posterior.conditioned(mean, features, weights), change, weights)


def map_batches(gram: Tensor, logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """Return the coefficients (M, b, C) of the MAP update on each of M batches.

    New logits of any points T are ``old_c + K_c,T,B @ coefficients_c`` for each class c, K_c the
    kernel of its covariance. The step size is inside the coefficients.

    Args:
        gram: (M, K, b, b), Phi_B Sigma_k Phi_B^T of each batch; K = 1 for a shared covariance.
        logits: (M, b, C), of the batch members before the update.
        labels: (M, b), the class indices to update with.
        gamma: step size.

    Cost: O(M C b^3) per Newton step, memory for a bounded number of batches at a time.
    """
    size, classes = logits.shape[1:]
    chunk = max(1, CHUNK_NUMBERS // max(1, classes * size**2))
    grams, starts, targets = (torch.split(whole, chunk) for whole in (gram, logits, labels))
    parts = [_coefficients(*piece, gamma) for piece in zip(grams, starts, targets, strict=True)]
    return torch.cat(parts)


def _coefficients(gram: Tensor, logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """Return gamma A (M, b, C) for kernels (M, K, b, b)."""
    kernel: Array = gamma * gram.numpy(force=True).astype(np.float64)
    targets = np.eye(logits.shape[2])[labels.numpy(force=True)]
    dual = solve_dual(kernel, logits.numpy(force=True).astype(np.float64), targets)
    return torch.from_numpy(gamma * dual).to(logits)
