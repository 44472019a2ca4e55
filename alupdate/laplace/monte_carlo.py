"""The Monte-Carlo update [Huseljic2025]: importance sampling from the posterior.

H hypotheses W_h ~ N(W, Sigma) get weights proportional to exp(gamma log p(labels | W_h)), and the
prediction is the weighted mean of their softmax.

Hypotheses without weights. Neither the weights nor the prediction at a point t need all of W_h:
they need its logits at the b new instances and at t. With the eigenvectors U and eigenvalues l of
the Gram matrix G = Phi_B Sigma Phi_B^T, and independent standard normal z_h (b x C), e_h (C),

    f_h(B) = f(B) + U diag(sqrt(l)) z_h
    f_h(t) = f(t) + k_t^T z_h + sqrt(v_t - |k_t|^2) e_h
    k_t    = diag(1 / sqrt(l)) U^T Phi_B Sigma phi_t

have, for each t, exactly the joint distribution that W_h would give them (a Gaussian's conditional
mean is linear, and G's whitened coordinates are independent). Only the joint distribution over
several t differs, since they share e_h; no mean at a point depends on it. Drawing (b + 1) C numbers
per hypothesis instead of C D, with b far below D, keeps 10,000 hypotheses of ten labels and ten
classes in a few megabytes.

For the same reason the mean of the weights, E[W_h | f_h(B)] averaged over the weighted hypotheses,
is W + sum_h w_h z_h^T diag(1 / sqrt(l)) U^T Phi_B Sigma: a change of rank b. It has less noise
than the average of sampled W_h, and the same expectation.

One hypothesis may hold all the weight when the labels are many or surprising. That is the method's
weakness, not a failure: weights are computed relative to the best one and always sum to 1.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from alupdate.laplace.inputs import completed
from alupdate.laplace.names import MONTE_CARLO, SHARED_LIKELIHOODS, Likelihood
from alupdate.laplace.posterior import LastLayerPosterior, Posterior
from alupdate.laplace.rules import N_HYPOTHESES, LowRankUpdate, UpdateRule
from alupdate.laplace.tiles import at_once

_CHUNK_NUMBERS = 2**22
"""How many sampled logits are in memory at a time."""

_CACHED_NUMBERS = 2**18
"""How many are worked on together: few enough to stay in the processor's cache."""

NEGLIGIBLE = 1e-12
"""Hypotheses that together weigh less than this are not evaluated."""


@dataclass(frozen=True)
class MonteCarlo(UpdateRule):
    """Weights hypotheses from the posterior by the likelihood of the new labels.

    The same hypotheses in every call. ``gamma`` is the exponent of the likelihood, not a step size.

    Attributes:
        seed: of the hypotheses.
        n_hypotheses: H.
    """

    name: ClassVar[str] = MONTE_CARLO
    likelihoods: ClassVar[tuple[Likelihood, ...]] = SHARED_LIKELIHOODS
    tunable: ClassVar[bool] = False
    seed: int = 0
    n_hypotheses: int = N_HYPOTHESES

    @override
    def apply(
        self, posterior: LastLayerPosterior, features: Tensor, labels: Tensor, gamma: float
    ) -> "MonteCarloUpdate":
        rng = np.random.default_rng(self.seed)
        return monte_carlo(self.shared(posterior), features, labels, gamma, self.n_hypotheses, rng)

    @override
    def coefficients(
        self,
        posterior: LastLayerPosterior,
        gram: Tensor,
        logits: Tensor,
        labels: Tensor,
        gamma: float,
    ) -> Tensor:
        self.check(posterior)
        rng = np.random.default_rng(self.seed)
        return monte_carlo_batches(gram[:, 0], logits, labels, gamma, self.n_hypotheses, rng)


@dataclass(frozen=True)
class MonteCarloUpdate:
    """The result of the update: weighted hypotheses, and the Gaussian that stands for them.

    Attributes:
        change: from the old posterior to one around the weighted mean of the hypotheses.
        base: the posterior that the hypotheses were drawn from.
        whitening: (b, b), U diag(1 / sqrt(l)).
        hypotheses: (H, b + 1, C), z_h and, last, e_h.
        weights: (H,), they sum to 1.
    """

    change: LowRankUpdate[Posterior]
    base: Posterior
    whitening: Tensor
    hypotheses: Tensor
    weights: Tensor

    @property
    def posterior(self) -> Posterior:
        """Return the Gaussian around the weighted mean; the covariance saw the new instances."""
        return self.change.posterior

    @property
    def added_precision(self) -> Tensor:
        """Return the weights (b, 1) that the new instances got in the precision."""
        return self.change.added_precision

    def new_logits(self, logits: Tensor, features: Tensor) -> Tensor:
        """Return the logits (N, C) under the weighted mean from the old ones."""
        return self.change.new_logits(logits, features)

    def effective_size(self) -> float:
        """Return 1 / sum_h w_h^2: how many equal hypotheses would be worth as much."""
        return float(1 / self.weights.square().sum())

    def predict(self, features: Tensor) -> Tensor:
        """Return the weighted mean of the hypotheses' softmax (T, C) at features (T, D).

        The constant 1 is appended to features that lack the column of the bias. O(H T C b)
        operations, memory for a bounded number of hypotheses at a time.

        Raises:
            ValueError: the features have another shape.
        """
        features = completed(features, self.base.mean.shape[1])
        logits = self.base.logits(features).T.contiguous()
        known = features @ self.change.directions.T @ self.whitening
        unknown = self.base.variances(features)[:, 0] - known.square().sum(dim=1)
        design = torch.cat([known, unknown.clamp_(min=0).sqrt_()[:, None]], dim=1)
        kept = self.weights > NEGLIGIBLE / len(self.weights)
        total = torch.zeros_like(logits)
        chunk = max(1, at_once(logits, _CHUNK_NUMBERS) // max(1, logits.numel()))
        for drawn, weights in zip(
            torch.split(self.hypotheses[kept], chunk),
            torch.split(self.weights[kept], chunk),
            strict=True,
        ):
            sampled = torch.baddbmm(logits, drawn.mT, design.T.expand(len(drawn), -1, -1))
            total += torch.tensordot(weights, torch.softmax(sampled, dim=1), dims=1)
        return total.T


def monte_carlo(
    posterior: Posterior,
    features: Tensor,
    labels: Tensor,
    gamma: float,
    n_hypotheses: int,
    rng: np.random.Generator,
) -> MonteCarloUpdate:
    """Weight hypotheses from the posterior by b labels.

    Args:
        posterior: before the update; it is left as it is.
        features: (b, D), of the newly labelled instances.
        labels: (b,), their class indices.
        gamma: exponent of the likelihood; 1 is Bayes' rule.
        n_hypotheses: H.
        rng: source of the hypotheses.
    """
    projected = posterior.project(features)
    spread, whitening = _roots(projected @ features.T)
    drawn = rng.standard_normal(
        (n_hypotheses, len(features) + 1, len(posterior.mean)), dtype=np.float32
    )
    hypotheses = torch.from_numpy(drawn).to(features)
    normals = hypotheses[:, :-1]
    start = posterior.logits(features)[None]
    weights = _weights(start, spread, normals, labels[None], gamma)[0]
    coefficients = whitening[0] @ torch.tensordot(weights, normals, dims=1)
    mean = torch.addmm(posterior.mean, coefficients.T, projected[0])
    observed = posterior.curvatures(features @ mean.T)
    updated = posterior.conditioned(mean, features, observed)
    change = LowRankUpdate(updated, projected[0], coefficients, observed)
    return MonteCarloUpdate(change, posterior, whitening[0], hypotheses, weights)


def monte_carlo_batches(
    gram: Tensor,
    logits: Tensor,
    labels: Tensor,
    gamma: float,
    n_hypotheses: int,
    rng: np.random.Generator,
) -> Tensor:
    """Return the coefficients (M, b, C) of the weighted mean after each of M batches.

    New logits of any points T are ``old + K_T,B @ coefficients``. All batches see the same normal
    numbers, so that they differ by their labels and kernels, not by luck.

    Args:
        gram: (M, b, b), Phi_B Sigma Phi_B^T of each batch.
        logits: (M, b, C), of the batch members before the update.
        labels: (M, b), the class indices to update with.
        gamma: exponent of the likelihood.
        n_hypotheses: H.
        rng: source of the hypotheses.
    """
    spread, whitening = _roots(gram)
    drawn = rng.standard_normal((n_hypotheses, *logits.shape[1:]), dtype=np.float32)
    normals = torch.from_numpy(drawn).to(logits)
    together = max(1, at_once(logits, 1) // normals.numel())  # one, but on a GPU
    parts = zip(*(torch.split(whole, together) for whole in (logits, spread, labels)), strict=True)
    means = [
        torch.tensordot(_weights(start, roots, normals, given, gamma), normals, dims=1)
        for start, roots, given in parts
    ]
    return whitening @ torch.cat(means)


def _roots(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Return U diag(sqrt(l)) and U diag(1 / sqrt(l)) for Gram matrices (M, b, b).

    Directions without variance (duplicates in the batch) have no part in either.
    """
    values, vectors = torch.linalg.eigh((gram + gram.mT) / 2)
    floor = gram.shape[-1] * torch.finfo(gram.dtype).eps * values.amax(dim=-1, keepdim=True)
    solid = values > floor
    roots = torch.where(solid, values, 1).sqrt()
    used = vectors * solid[:, None, :]
    return used * roots[:, None, :], used / roots[:, None, :]


def _weights(
    logits: Tensor, spread: Tensor, normals: Tensor, labels: Tensor, gamma: float
) -> Tensor:
    """Return the weights (m, H) of hypotheses (H, b, C) given m batches of b labels.

    Some hypotheses at a time. They come last (m, b, C, H): what is done to their logits runs along
    them.

    Args:
        logits: (m, b, C).
        spread: (m, b, b).
        normals: (H, b, C).
        labels: (m, b).
        gamma: see ``monte_carlo``.
    """
    count, size, classes = logits.shape
    batches = torch.arange(count, device=logits.device)[:, None]
    instances = torch.arange(size, device=logits.device)
    scores = []
    chunk = max(1, at_once(logits, _CACHED_NUMBERS) // logits.numel())
    for part in torch.split(normals, chunk):
        drawn = part.permute(1, 2, 0).reshape(size, classes * len(part))
        sampled = (spread @ drawn).view(count, size, classes, len(part)).add_(logits[..., None])
        sampled -= sampled.amax(dim=2, keepdim=True)
        own = sampled[batches, instances, labels]
        scores.append((own - sampled.exp_().sum(dim=2).log_()).sum(dim=1))
    return torch.softmax(gamma * torch.cat(scores, dim=1), dim=1)
