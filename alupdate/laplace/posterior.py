"""The Gaussian posterior over the weights of a last layer, by the Laplace approximation.

The posterior of the weights W (C, D) of a trained last layer is approximated by a Gaussian around
them, whose precision is the curvature of the negative log-posterior [MacKay1992] [Daxberger2021].
As in [Huseljic2025] the C weight vectors are independent. This module has the form in which they
share one covariance; in ``alupdate.laplace.per_class`` each has its own.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Self, TypeVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from alupdate.laplace.inputs import check_count, features_for
from alupdate.laplace.names import GAUSSIAN, MAP, Likelihood, Predictive, SharedLikelihood
from alupdate.laplace.predictive import predict
from alupdate.laplace.tiles import Assumptions, cholesky_factor

VARIANCE_NUMBERS = 2**27
"""How many numbers of features the variances are computed of at once."""
PENDING_SHARE = 8
"""At most one pending row for so many dimensions."""
LEAST_PIVOT = 256
"""How many times its rounding error what an instance leaves of a precision must be."""


class LastLayerPosterior(ABC):
    """Independent Gaussians over the C weight vectors of a last layer, with K covariances.

    K = 1 where all classes share one (``Posterior``), K = C where each class has its own
    (``per_class.PerClassPosterior``). The update rules need no more than this of either.

    Attributes:
        mean: (C, D), the weights. Where the layer has a bias, the features end with a constant 1
            and the last column is the bias.
        likelihood: names the curvature that an observation adds to the precision.
    """

    mean: Tensor
    likelihood: Likelihood

    @abstractmethod
    def logits(self, features: Tensor) -> Tensor:
        """Return the logits (N, C) of features (N, D) under the mean weights."""

    @abstractmethod
    def project(self, features: Tensor) -> Tensor:
        """Return Sigma_k phi for features (b, D), of shape (K, b, D)."""

    @abstractmethod
    def variances(self, features: Tensor) -> Tensor:
        """Return phi^T Sigma_k phi for features (N, D), of shape (N, K)."""

    @abstractmethod
    def covariance_matrices(self) -> Tensor:
        """Return Sigma_k, of shape (K, D, D), written out."""

    @abstractmethod
    def curvatures(self, logits: Tensor) -> Tensor:
        """Return the precision weights (b, K) of observations with logits (b, C)."""

    @abstractmethod
    def conditioned(
        self, mean: Tensor, features: Tensor, weights: Tensor, assumed: Assumptions | None = None
    ) -> Self:
        """Return the posterior with a new mean that has also observed instances (b, D).

        The precisions grow by ``weights`` (b, K) times the outer products of the instances.
        ``assumed`` is told that they are positive definite; None to ask.
        """

    @abstractmethod
    def downdated(self, mean: Tensor, features: Tensor, weights: Tensor) -> Self:
        """Return the posterior with a new mean that has not observed instances (b, D).

        The inverse of ``conditioned``: the precisions fall by ``weights`` (b, K) times the outer
        products of the instances. ``alupdate.laplace.downdate`` has it with all arguments checked.

        Raises:
            ValueError: a precision would not be positive definite (``remainder``).
        """

    def predict(
        self,
        features: Tensor,
        predictive: Predictive = MAP,
        n_samples: int = 1000,
        seed: int = 0,
    ) -> Tensor:
        """Return the predictive probabilities (N, C).

        Args:
            features: (N, D), or (N, D - 1) where the last column of the weights is the bias; of
                the weights' type and device.
            predictive: ``map`` (softmax at the mean weights), ``mean_field`` (closed-form
                approximation of the average over the posterior) or ``monte_carlo`` (average over
                samples).
            n_samples: how many samples ``monte_carlo`` averages.
            seed: of these samples.

        Raises:
            ValueError: features do not go with the weights or are not finite, or there is no such
                predictive distribution.

        Example:
            >>> import torch
            >>> from alupdate.laplace.updates import fit
            >>> weights = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
            >>> features = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
            >>> posterior = fit(weights, features)
            >>> posterior.predict(features)
            tensor([[0.8808, 0.1192],
                    [0.1192, 0.8808]])
            >>> posterior.predict(features, predictive="mean_field")
            tensor([[0.8616, 0.1384],
                    [0.1384, 0.8616]])
        """
        check_count("n_samples", n_samples)
        rows = features_for(self.mean, features)
        return predict(self, rows, predictive, np.random.default_rng(seed), n_samples)


Layer = TypeVar("Layer", bound=LastLayerPosterior)


@dataclass(frozen=True)
class Posterior(LastLayerPosterior):
    """Independent Gaussians over the C weight vectors of a last layer, with one covariance.

    Attributes:
        mean: (C, D), the weights of the last layer.
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

    @override
    def logits(self, features: Tensor) -> Tensor:
        # In memory the classes come first: strategies go along the instances.
        return (self.mean @ features.T).T

    @override
    def project(self, features: Tensor) -> Tensor:
        # O(b D (D + r)).
        projected = features @ self.base
        if self.pending is not None:
            projected.addmm_(features @ self.pending.T, self.pending, alpha=-1)
        return projected[None]

    @override
    def variances(self, features: Tensor) -> Tensor:
        size = max(1, VARIANCE_NUMBERS // features.shape[1])
        parts = torch.split(features, size) if len(features) else (features,)
        return torch.cat([(p @ self.covariance).mul_(p).sum(dim=1, keepdim=True) for p in parts])

    @override
    def covariance_matrices(self) -> Tensor:
        return self.covariance[None]

    @override
    def curvatures(self, logits: Tensor) -> Tensor:
        return curvature(logits, self.likelihood)[:, None]

    @override
    def conditioned(
        self, mean: Tensor, features: Tensor, weights: Tensor, assumed: Assumptions | None = None
    ) -> "Posterior":
        projected = self.project(features)[0]
        return self.reduced(mean, reduction(projected, features, weights[:, 0], assumed))

    @override
    def downdated(self, mean: Tensor, features: Tensor, weights: Tensor) -> "Posterior":
        roots, projected = weights[:, 0].sqrt()[:, None], self.project(features)[0]
        scale = float(self.covariance.diagonal().max())
        factor = remainder(projected @ features.T, features, weights[:, 0], scale)
        rise = torch.linalg.solve_triangular(factor, roots * projected, upper=False)
        return Posterior(mean, torch.addmm(self.covariance, rise.T, rise), self.likelihood)

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


def curvature(logits: Tensor, likelihood: SharedLikelihood) -> Tensor:
    """Return the precision weight w (...,) of observations with logits (..., C).

    1 for ``gaussian``; pmax (1 - pmax) for ``categorical``, where the class blocks of the Hessian
    are replaced by that of the most probable class [Huseljic2025, section on the Laplace
    approximation].
    """
    if likelihood == GAUSSIAN:
        return logits.new_ones(logits.shape[:-1])
    largest = torch.softmax(logits, dim=-1).amax(dim=-1)
    return largest * (1 - largest)


def reduction(
    projected: Tensor, features: Tensor, weights: Tensor, assumed: Assumptions | None = None
) -> Tensor:
    """Return H (b, D) such that (Sigma^-1 + Phi^T diag(w) Phi)^-1 = Sigma - H^T H.

    By Woodbury's identity [Hager1989], with X = diag(sqrt(w)) Phi and the Cholesky factor
    L L^T = I + X Sigma X^T, it is H = L^-1 X Sigma: nothing of size D x D is computed, and the
    difference of two symmetric matrices stays symmetric. Weights may be zero.

    Args:
        projected: (b, D), Phi Sigma.
        features: (b, D), Phi.
        weights: (b,), w >= 0.
        assumed: is told that the matrix is positive definite; None to ask.
    """
    roots = weights.sqrt()[:, None]
    scaled = roots * projected
    gram = scaled @ (roots * features).T
    gram.diagonal().add_(1)
    factor = cholesky_factor(gram, assumed)
    rows: Tensor = torch.linalg.solve_triangular(factor, scaled, upper=False)
    return rows


def remainder(gram: Tensor, features: Tensor, weights: Tensor, scale: float) -> Tensor:
    """Return the Cholesky factor L (b, b) of what removing b instances leaves of their precision.

    By Woodbury's identity [Hager1989], as in ``reduction`` with the other sign,

        (Sigma^-1 - Phi^T diag(w) Phi)^-1 = Sigma + H^T H,        H = L^-1 X Sigma

    where X = diag(sqrt(w)) Phi and L L^T = I - X Sigma X^T; for one instance that is Sherman and
    Morrison's identity, and L^2 = 1 - w phi^T Sigma phi. The matrix on the left is positive
    definite exactly if that of L is. The quadratic form sums terms of the size s |phi|^2, s the
    largest variance; a pivot L^2 that is not ``LEAST_PIVOT`` times what their rounding may be says
    nothing, and is refused.

    Args:
        gram: (b, b), Phi Sigma Phi^T.
        features: (b, D), Phi.
        weights: (b,), w >= 0.
        scale: s, the largest variance of a weight.

    Raises:
        ValueError: an instance leaves no precision, or one that rounding hides.
    """
    roots = weights.double().sqrt()
    system = -roots[:, None] * gram.double() * roots
    system.diagonal().add_(1)
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex((system + system.T) / 2)
    rounding = torch.finfo(gram.dtype).eps * scale * weights * features.square().sum(dim=1)
    small = (factor.diagonal().square() <= LEAST_PIVOT * rounding).nonzero()[:, 0]
    if failed or len(small):
        row = int(failed) - 1 if failed else int(small[0])
        raise ValueError(
            f"instance in row {row} cannot be removed: without it and those before it a precision "
            f"would not be positive definite, or {gram.dtype} does not tell; remove what was "
            "observed, with the weight that it got (added_precision), or use torch.float64"
        )
    return factor.to(gram.dtype)


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
    variances: Tensor, features: Tensor, before: LastLayerPosterior, rows: Tensor, added: Tensor
) -> Tensor:
    """Return phi^T Sigma'_k phi (P, K) of a pool after b instances were taken in.

    By Woodbury's identity, with Y_k = Phi_b Sigma_k, G_k = Y_k Phi_b^T and S_k = diag(sqrt(w_k)),

        Sigma'_k = Sigma_k - H_k^T H_k,      H_k = (chol(I + S_k G_k S_k))^-1 S_k Y_k

    so each variance falls by the squared length of H_k phi: O(P K b D), where computing it anew
    would cost O(P K D^2).

    Args:
        variances: (P, K), before; they are left as they are.
        features: (P, D), of the pool.
        before: the posterior before the update.
        rows: (b, D), of the instances that were taken in.
        added: (b, K), the weights they got, from ``UpdateResult.added_precision``.
    """
    projected = before.project(rows)
    roots = added.T.sqrt()
    gram = roots[:, :, None] * (projected @ rows.T) * roots[:, None, :]
    gram.diagonal(dim1=1, dim2=2).add_(1)
    scaled = roots[:, :, None] * projected
    half = torch.linalg.solve_triangular(torch.linalg.cholesky(gram), scaled, upper=False)
    falls = [(features @ block.T).square_().sum(dim=1) for block in half]
    return (variances - torch.stack(falls, dim=1)).clamp_(min=0)
