"""Weights drawn from the posterior."""

import numpy as np
import torch
from torch import Tensor

from alupdate.laplace.multinomial import LowRankCovariances, MultinomialPosterior
from alupdate.laplace.posterior import LastLayer, Posterior

JITTER = 1e-7
"""Relative to the mean variance: rounding may leave a covariance that is singular or worse."""


def sample_weights(posterior: LastLayer, count: int, rng: np.random.Generator) -> Tensor:
    """Return weights (S, C, D) drawn from the posterior.

    Args:
        posterior: over the weights (C, D).
        count: S.
        rng: source of S C D standard normal numbers.

    Cost: O(K D^3) for the Cholesky factors and O(S C D^2).
    """
    mean = posterior.mean
    drawn = rng.standard_normal((len(mean), count, mean.shape[1]), dtype=np.float32)
    noise = torch.from_numpy(drawn).to(mean)
    covariances = _covariances(posterior)
    factors = torch.stack([_factor(covariance) for covariance in covariances])
    return mean + (noise @ factors.mT).transpose(0, 1)


def _covariances(posterior: LastLayer) -> Tensor:
    """Return the matrices (K, D, D)."""
    if isinstance(posterior, Posterior):
        return posterior.covariance[None]
    if not isinstance(posterior, MultinomialPosterior):
        raise TypeError(f"no samples of {type(posterior).__name__}")
    covariances = posterior.covariances
    dense = covariances.dense() if isinstance(covariances, LowRankCovariances) else covariances
    return dense.matrices


def _factor(covariance: Tensor) -> Tensor:
    """Return a Cholesky factor (D, D), computed in float64."""
    matrix = covariance.double()
    jitter = JITTER * float(matrix.diagonal().mean())
    matrix = (matrix + matrix.T) / 2
    matrix.diagonal().add_(jitter)
    factor: Tensor = torch.linalg.cholesky(matrix)
    return factor.to(covariance.dtype)
