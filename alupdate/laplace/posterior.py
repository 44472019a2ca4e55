"""The Gaussian posterior over the weights of a last layer."""

from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Literal, Protocol, Self, TypeVar

import torch
from torch import Tensor

SharedLikelihood = Literal["gaussian", "categorical"]
Likelihood = Literal["gaussian", "categorical", "per_class"]

PENDING_SHARE = 8
"""At most one pending row for so many dimensions."""


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
        base: (D, D), the covariance shared by all classes, but for what is pending.
        likelihood: the curvature that an observation adds to the precision (``curvature``).
        pending: (r, D), H: the covariance is ``base - H^T H``. A few observations since the base
            was written out, by which an update need not touch D x D numbers; None for none.
    """

    mean: Tensor
    base: Tensor
    likelihood: SharedLikelihood
    pending: Tensor | None = None

    @cached_property
    def covariance(self) -> Tensor:
        """The covariance (D, D) that all classes share, written out."""
        if self.pending is None:
            return self.base
        # To copy first and subtract in place takes half the time of ``addmm`` into new memory.
        return self.base.clone().addmm_(self.pending.T, self.pending, alpha=-1)

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits (N, C) of features (N, D) under the mean weights.

        In memory the classes come first: what strategies do with logits runs along the instances.
        """
        return (self.mean @ features.T).T

    def project(self, features: Tensor) -> Tensor:
        """See ``LastLayer``: (1, b, D). O(b D (D + r))."""
        projected = features @ self.base
        if self.pending is not None:
            projected.addmm_(features @ self.pending.T, self.pending, alpha=-1)
        return projected[None]

    def variances(self, features: Tensor) -> Tensor:
        """See ``LastLayer``: (N, 1)."""
        return (features @ self.covariance).mul_(features).sum(dim=1, keepdim=True)

    def curvatures(self, logits: Tensor) -> Tensor:
        """See ``LastLayer``: (b, 1)."""
        return curvature(logits, self.likelihood)[:, None]

    def conditioned(self, mean: Tensor, features: Tensor, weights: Tensor) -> "Posterior":
        """See ``LastLayer``."""
        return self.reduced(mean, reduction(self.project(features)[0], features, weights[:, 0]))

    def reduced(self, mean: Tensor, rows: Tensor) -> "Posterior":
        """Return the posterior with a new mean, and the covariance less R^T R of rows (b, D).

        The rows stay pending while they are few: a projection then costs a quarter more at most,
        and writing the covariance out costs less for many rows at once than for each of them.
        """
        pending = rows if self.pending is None else torch.cat([self.pending, rows])
        updated = Posterior(mean, self.base, self.likelihood, pending)
        if PENDING_SHARE * len(pending) <= len(self.base):
            return updated
        return Posterior(mean, updated.covariance, self.likelihood)


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
        return torch.addmm(logits.T, self.coefficients.T, self.directions @ features.T).T


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


def reduction(projected: Tensor, features: Tensor, weights: Tensor) -> Tensor:
    """Return H (b, D) such that (Sigma^-1 + Phi^T diag(w) Phi)^-1 = Sigma - H^T H.

    By Woodbury, with X = diag(sqrt(w)) Phi and the Cholesky factor L L^T = I + X Sigma X^T, it is
    H = L^-1 X Sigma: nothing of size D x D is computed, and the difference of two symmetric
    matrices stays symmetric. Weights of zero are welcome.

    Args:
        projected: (b, D), Phi Sigma.
        features: (b, D), Phi.
        weights: (b,), w >= 0.
    """
    roots = weights.sqrt()[:, None]
    scaled = roots * projected
    gram = scaled @ (roots * features).T
    gram.diagonal().add_(1)
    rows: Tensor = torch.linalg.solve_triangular(torch.linalg.cholesky(gram), scaled, upper=False)
    return rows


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


def variances_after(
    variances: Tensor, features: Tensor, before: LastLayer, rows: Tensor, added: Tensor
) -> Tensor:
    """Return phi^T Sigma'_k phi (P, K) of a pool after b instances were taken in.

    By Woodbury, with Y_k = Phi_b Sigma_k, G_k = Y_k Phi_b^T and S_k = diag(sqrt(w_k)),

        Sigma'_k = Sigma_k - H_k^T H_k,      H_k = (chol(I + S_k G_k S_k))^-1 S_k Y_k

    so each variance falls by the squared length of H_k phi: O(P K b D), where computing it anew
    would cost O(P K D^2).

    Args:
        variances: (P, K), before; they are left as they are.
        features: (P, D), of the pool.
        before: the posterior before the update.
        rows: (b, D), of the instances that were taken in.
        added: (b, K), the weights they got, from ``Updated.added_precision``.
    """
    projected = before.project(rows)
    roots = added.T.sqrt()
    gram = roots[:, :, None] * (projected @ rows.T) * roots[:, None, :]
    gram.diagonal(dim1=1, dim2=2).add_(1)
    scaled = roots[:, :, None] * projected
    half = torch.linalg.solve_triangular(torch.linalg.cholesky(gram), scaled, upper=False)
    falls = [(features @ block.T).square_().sum(dim=1) for block in half]
    return (variances - torch.stack(falls, dim=1)).clamp_(min=0)
