"""Predictive distributions under a Gaussian posterior over the last layer's weights.

Three approximations of E[softmax(W phi)]: at the mean weights (``map``), in closed form
(``mean_field``) and by sampling (``monte_carlo``). [Daxberger2021] compares them.
"""

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from alupdate.laplace.names import MAP, MEAN_FIELD, MONTE_CARLO, PREDICTIVES, Predictive
from alupdate.laplace.tiles import at_once

_CHUNK_NUMBERS = 2**20
"""How many sampled logits are worked on together: about what a processor's caches hold."""


class GaussianWeights(Protocol):
    """Independent Gaussians over C weight vectors, with K = 1 or K = C covariances.

    What predictions need of a ``posterior.LastLayerPosterior``.
    """

    @property
    def mean(self) -> Tensor:
        """The mean weights (C, D)."""
        ...

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits (N, C) of features (N, D) under the mean weights."""
        ...

    def variances(self, features: Tensor) -> Tensor:
        """Return phi^T Sigma_k phi for features (N, D), of shape (N, K)."""
        ...

    def covariance_matrices(self) -> Tensor:
        """Return Sigma_k, of shape (K, D, D)."""
        ...


def predict(
    posterior: GaussianWeights,
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

    Raises:
        ValueError: there is no such predictive distribution.
    """
    if predictive == MAP:
        return torch.softmax(posterior.logits(features), dim=1)
    if predictive == MEAN_FIELD:
        return mean_field(posterior, features)
    if predictive == MONTE_CARLO:
        return monte_carlo_predictive(posterior, features, n_samples, rng)
    raise ValueError(f"predictive {predictive!r}: it must be one of {', '.join(PREDICTIVES)}")


def mean_field(posterior: GaussianWeights, features: Tensor) -> Tensor:
    """Return softmax(f_c / sqrt(1 + pi/8 v_c)) of shape (T, C), with v_c = phi^T Sigma_c phi.

    The approximation of the logistic-Gaussian integral of [MacKay1992], applied per class. For
    C = 2 and a shared covariance the difference of the logits has variance 2 v; this counts half
    of it.
    """
    spread = posterior.variances(features).mul_(math.pi / 8).add_(1).sqrt_()
    return torch.softmax(posterior.logits(features) / spread, dim=1)


def monte_carlo_predictive(
    posterior: GaussianWeights, features: Tensor, n_samples: int, rng: np.random.Generator
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
    size = max(1, at_once(logits, _CHUNK_NUMBERS) // logits.numel())
    for part in torch.split(noise, size):
        total += torch.softmax(columns + deviations * part[:, :, None], dim=1).sum(dim=0)
    return (total / n_samples).T


JITTER = 1e-7
"""Relative to the mean variance: rounding may leave a covariance that is singular or worse."""


def sample_weights(posterior: GaussianWeights, count: int, rng: np.random.Generator) -> Tensor:
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
    covariances = posterior.covariance_matrices()
    factors = torch.stack([_factor(covariance) for covariance in covariances])
    return mean + (noise @ factors.mT).transpose(0, 1)


def _factor(covariance: Tensor) -> Tensor:
    """Return a Cholesky factor (D, D), computed in float64."""
    matrix = covariance.double()
    jitter = JITTER * float(matrix.diagonal().mean())
    matrix = (matrix + matrix.T) / 2
    matrix.diagonal().add_(jitter)
    factor: Tensor = torch.linalg.cholesky(matrix)
    return factor.to(covariance.dtype)
