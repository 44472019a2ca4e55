"""The Gaussian posterior over the weights of a last layer."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Likelihood = Literal["gaussian", "categorical"]


@dataclass(frozen=True)
class Posterior:
    """Independent Gaussians over the C weight vectors of a last layer, with one covariance.

    Attributes:
        mean: (C, D), the weights of the last layer. Where the layer has a bias, the features end
            with a constant 1 and the last column is the bias.
        covariance: (D, D), shared by all classes.
        likelihood: the curvature that an observation adds to the precision (``curvature``).
    """

    mean: Tensor
    covariance: Tensor
    likelihood: Likelihood

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits (N, C) of features (N, D) under the mean weights."""
        return features @ self.mean.T


@dataclass(frozen=True)
class LowRankUpdate:
    """The outcome of an update with b labels: the mean has changed by a matrix of rank b.

    Attributes:
        posterior: after the update; its mean is the old one plus ``coefficients^T directions``.
        directions: (b, D).
        coefficients: (b, C).
    """

    posterior: Posterior
    directions: Tensor
    coefficients: Tensor

    def move(self, logits: Tensor, features: Tensor) -> Tensor:
        """Return the new logits (N, C) from the old ones, in O(N b (D + C)) instead of O(N D C)."""
        return torch.addmm(logits, features @ self.directions.T, self.coefficients)


def with_bias(features: Tensor) -> Tensor:
    """Append the constant 1 to features (N, D), so that the bias is updated like any weight."""
    return torch.cat([features, features.new_ones(len(features), 1)], dim=1)


def curvature(logits: Tensor, likelihood: Likelihood) -> Tensor:
    """Return the precision weight w (...,) of observations with logits (..., C).

    1 for ``gaussian``; pmax (1 - pmax) for ``categorical`` (the paper, section on the Laplace
    approximation: the Hessian's class blocks are replaced by the largest class's).
    """
    if likelihood == "gaussian":
        return logits.new_ones(logits.shape[:-1])
    largest = torch.softmax(logits, dim=-1).amax(dim=-1)
    return largest * (1 - largest)


def fit_posterior(
    mean: Tensor, features: Tensor, likelihood: Likelihood, prior_precision: float
) -> Posterior:
    """Return the Laplace posterior around trained weights.

    The covariance is (lambda I + sum_n w_n phi_n phi_n^T)^-1, computed in float64 where the
    device has it, since it is the start of thousands of rank-one updates.

    Args:
        mean: (C, D), the trained weights.
        features: (N, D), the labelled instances they were trained on.
        likelihood: see ``curvature``.
        prior_precision: lambda > 0.
    """
    exact = torch.float32 if features.device.type == "mps" else torch.float64
    weights = curvature(features @ mean.T, likelihood).to(exact)
    rows = features.to(exact)
    precision = rows.T @ (weights[:, None] * rows)
    precision.diagonal().add_(prior_precision)
    covariance = torch.cholesky_inverse(torch.linalg.cholesky(precision))
    return Posterior(mean, covariance.to(features.dtype), likelihood)
