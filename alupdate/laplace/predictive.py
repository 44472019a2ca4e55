"""Predictive probabilities under the posterior over the last layer's weights."""

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from alupdate.laplace.per_class import LowRankCovariances, MultinomialPosterior
from alupdate.laplace.posterior import LastLayer, Posterior

Predictive = Literal["map", "mean_field", "monte_carlo"]

CHUNK_NUMBERS = 2**20
"""How many sampled logits are worked on together: about what a processor's caches hold."""


def predict(
    posterior: LastLayer,
    features: Tensor,
    predictive: Predictive,
    rng: np.random.Generator,
    n_samples: int = 1000,
) -> Tensor:
    """Return the predictive probabilities (T, C) of features (T, D) by the chosen method.

    Args:
        posterior: over the last layer's weights.
        features: (T, D).
        predictive: ``map``, ``mean_field`` or ``monte_carlo``.
        rng: source of the samples; ``map`` and ``mean_field`` draw none.
        n_samples: how many samples ``monte_carlo`` averages.
    """
    if predictive == "map":
        return torch.softmax(posterior.logits(features), dim=1)
    if predictive == "mean_field":
        return mean_field(posterior, features)
    return monte_carlo_predictive(posterior, features, n_samples, rng)


def mean_field(posterior: LastLayer, features: Tensor) -> Tensor:
    """Return softmax(f_c / sqrt(1 + pi/8 v_c)) of shape (T, C), with v_c = phi^T Sigma_c phi.

    MacKay's (1992) approximation of the logistic-Gaussian integral, applied per class. For C = 2
    and a shared covariance the difference of the logits has variance 2 v; this counts half of it.
    """
    spread = posterior.variances(features).mul_(math.pi / 8).add_(1).sqrt_()
    return torch.softmax(posterior.logits(features) / spread, dim=1)


def monte_carlo_predictive(
    posterior: LastLayer, features: Tensor, n_samples: int, rng: np.random.Generator
) -> Tensor:
    """Return the mean softmax (T, C) over samples of the logits.

    The rows of W are independent, so the logits of one point are independent Gaussians with mean
    f_c and variance v_c: they are sampled directly, O(C) numbers per point and sample instead of
    O(C D). All points share the same standard normal numbers. The mean at each point does not
    depend on how points go together, and neighbouring points get equal sampling errors.

    Args:
        posterior: over the last layer's weights.
        features: (T, D).
        n_samples: S.
        rng: source of the S C standard normal numbers.

    Cost: O(S T C), memory for a bounded number of samples at a time.
    """
    logits = posterior.logits(features)
    deviations = posterior.variances(features).clamp_(min=0).sqrt_().T.contiguous()
    drawn = rng.standard_normal((n_samples, logits.shape[1]), dtype=np.float32)
    noise = torch.from_numpy(drawn).to(logits)
    columns = logits.T.contiguous()  # (S, C, T): operations run along the points
    total = torch.zeros_like(columns)
    for part in torch.split(noise, max(1, CHUNK_NUMBERS // logits.numel())):
        total += torch.softmax(columns + deviations * part[:, :, None], dim=1).sum(dim=0)
    return (total / n_samples).T


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
