"""The Gaussian posterior over the weights of a last layer."""

from dataclasses import dataclass
from typing import Generic, Literal, Protocol, Self, TypeVar

import torch
from torch import Tensor

SharedLikelihood = Literal["gaussian", "categorical"]
Likelihood = Literal["gaussian", "categorical", "multinomial"]


class LastLayer(Protocol):
    """Independent Gaussians over the C weight vectors of a last layer, with K covariances.

    K = 1 where all classes share one (``Posterior``), K = C where each class has its own
    (``multinomial.MultinomialPosterior``). The updates need no more than this of either.
    """

    @property
    def mean(self) -> Tensor:
        """The weights (C, D)."""
        ...

    @property
    def likelihood(self) -> Likelihood:
        """The curvature that an observation adds to the precision."""
        ...

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits (N, C) of features (N, D) under the mean weights."""
        ...

    def project(self, features: Tensor) -> Tensor:
        """Return Sigma_k phi for features (b, D), of shape (K, b, D)."""
        ...

    def variances(self, features: Tensor) -> Tensor:
        """Return phi^T Sigma_k phi for features (N, D), of shape (N, K)."""
        ...

    def curvatures(self, logits: Tensor) -> Tensor:
        """Return the precision weights (b, K) of observations with logits (b, C)."""
        ...

    def conditioned(self, mean: Tensor, features: Tensor, weights: Tensor) -> Self:
        """Return the posterior with a new mean that has also observed instances (b, D).

        The precisions grow by ``weights`` (b, K) times the outer products of the instances.
        """
        ...


Layer = TypeVar("Layer", bound=LastLayer)


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
    likelihood: SharedLikelihood

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits (N, C) of features (N, D) under the mean weights."""
        return features @ self.mean.T

    def project(self, features: Tensor) -> Tensor:
        """See ``LastLayer``: (1, b, D)."""
        return (features @ self.covariance)[None]

    def variances(self, features: Tensor) -> Tensor:
        """See ``LastLayer``: (N, 1)."""
        return (features @ self.covariance).mul_(features).sum(dim=1, keepdim=True)

    def curvatures(self, logits: Tensor) -> Tensor:
        """See ``LastLayer``: (b, 1)."""
        return curvature(logits, self.likelihood)[:, None]

    def conditioned(self, mean: Tensor, features: Tensor, weights: Tensor) -> "Posterior":
        """See ``LastLayer``."""
        covariance = downdate(self.covariance, features, weights[:, 0])
        return Posterior(mean, covariance, self.likelihood)


class Updated(Protocol):
    """The outcome of any update."""

    @property
    def posterior(self) -> LastLayer:
        """The posterior after the update."""
        ...

    @property
    def added_precision(self) -> Tensor:
        """The weights (b, K) that the new instances got in the precision."""
        ...

    def move(self, logits: Tensor, features: Tensor) -> Tensor:
        """Return the new logits (N, C) of features (N, D) from their old ones."""
        ...


@dataclass(frozen=True)
class LowRankUpdate(Generic[Layer]):
    """The outcome of an update with b labels: the mean has changed by a matrix of rank b.

    Attributes:
        posterior: after the update; its mean is the old one plus ``coefficients^T directions``.
        directions: (b, D).
        coefficients: (b, C).
        added_precision: (b, K), the weight that each new instance got in the precision.
    """

    posterior: Layer
    directions: Tensor
    coefficients: Tensor
    added_precision: Tensor

    def move(self, logits: Tensor, features: Tensor) -> Tensor:
        """Return the new logits (N, C) from the old ones, in O(N b (D + C)) instead of O(N D C)."""
        return torch.addmm(logits, features @ self.directions.T, self.coefficients)


def require_shared(posterior: LastLayer, update: str) -> Posterior:
    """Return the posterior if all classes share its covariance.

    Raises:
        ValueError: they do not, and ``update`` cannot work with that.
    """
    if not isinstance(posterior, Posterior):
        raise ValueError(
            f"the update '{update}' does not work with likelihood '{posterior.likelihood}': "
            "use the update 'map', or the likelihood gaussian or categorical"
        )
    return posterior


def with_bias(features: Tensor) -> Tensor:
    """Append the constant 1 to features (N, D), so that the bias is updated like any weight."""
    return torch.cat([features, features.new_ones(len(features), 1)], dim=1)


def curvature(logits: Tensor, likelihood: SharedLikelihood) -> Tensor:
    """Return the precision weight w (...,) of observations with logits (..., C).

    1 for ``gaussian``; pmax (1 - pmax) for ``categorical`` (the paper, section on the Laplace
    approximation: the Hessian's class blocks are replaced by the largest class's).
    """
    if likelihood == "gaussian":
        return logits.new_ones(logits.shape[:-1])
    largest = torch.softmax(logits, dim=-1).amax(dim=-1)
    return largest * (1 - largest)


def downdate(covariance: Tensor, features: Tensor, weights: Tensor) -> Tensor:
    """Return (Sigma^-1 + Phi^T diag(w) Phi)^-1 without inverting anything of size D.

    By Woodbury, with X = diag(sqrt(w)) Phi and the Cholesky factor L L^T = I + X Sigma X^T, it is
    Sigma - H^T H with H = L^-1 X Sigma. Weights of zero are welcome, and the difference of two
    symmetric matrices stays symmetric.

    Args:
        covariance: (D, D), Sigma.
        features: (b, D), Phi.
        weights: (b,), w >= 0.
    """
    scaled = weights.sqrt()[:, None] * features
    projected = scaled @ covariance
    gram = projected @ scaled.T
    gram.diagonal().add_(1)
    half = torch.linalg.solve_triangular(torch.linalg.cholesky(gram), projected, upper=False)
    return torch.addmm(covariance, half.T, half, alpha=-1)


def fit_posterior(
    mean: Tensor, features: Tensor, likelihood: SharedLikelihood, prior_precision: float
) -> Posterior:
    """Return the Laplace posterior around trained weights.

    The covariance is (lambda I + sum_n w_n phi_n phi_n^T)^-1, computed in float64, since it is
    the start of thousands of rank-one updates.

    Args:
        mean: (C, D), the trained weights.
        features: (N, D), the labelled instances they were trained on.
        likelihood: see ``curvature``.
        prior_precision: lambda > 0.
    """
    weights = curvature(features @ mean.T, likelihood).double()
    rows = features.double()
    precision = rows.T @ (weights[:, None] * rows)
    precision.diagonal().add_(prior_precision)
    covariance = torch.cholesky_inverse(torch.linalg.cholesky(precision))
    return Posterior(mean, covariance.to(features.dtype), likelihood)
