"""The second-order update [Huseljic2025]: one Newton step per label, in dual form.

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
On the CPU everything runs in NumPy: the arrays are small, and for one batch of ten labels NumPy's
lower cost per call makes it several times faster than the same steps on tensors. A GPU takes many
batches at once as tensors, and asks for nothing on the way (``arrays``). V is inverted rather than
solved with, since both Z and the rows of S need it.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from alupdate.laplace.arrays import (
    NUMPY,
    TENSORS,
    Array,
    Functions,
    on_host,
    one_hot,
    one_hot_on_host,
    uploaded,
)
from alupdate.laplace.names import (
    GAUSSIAN,
    SECOND_ORDER,
    SHARED_LIKELIHOODS,
    Likelihood,
    SharedLikelihood,
)
from alupdate.laplace.posterior import LastLayerPosterior, Posterior
from alupdate.laplace.rules import LowRankUpdate, UpdateRule
from alupdate.laplace.tiles import is_for_host


@dataclass(frozen=True)
class SecondOrder(UpdateRule):
    """One step per label along the updated covariance, in closed form.

    For posteriors with one covariance for all classes. With one per class, a step along
    p_c (1 - p_c), which nearly vanishes where a class is far from the decision, overshoots:
    ``map.Map`` solves that problem.
    """

    name: ClassVar[str] = SECOND_ORDER
    likelihoods: ClassVar[tuple[Likelihood, ...]] = SHARED_LIKELIHOODS
    tunable: ClassVar[bool] = True

    @override
    def apply(
        self, posterior: LastLayerPosterior, features: Tensor, labels: Tensor, gamma: float
    ) -> LowRankUpdate[Posterior]:
        return second_order(self.shared(posterior), features, labels, gamma)

    @override
    def coefficients(
        self,
        posterior: LastLayerPosterior,
        gram: Tensor,
        logits: Tensor,
        labels: Tensor,
        gamma: float,
    ) -> Tensor:
        likelihood = self.shared(posterior).likelihood
        updates = update_batches(gram[:, 0], logits, labels, gamma, likelihood)
        return gamma * updates.coefficients

    @override
    def step(
        self, posterior: LastLayerPosterior, lengths: Tensor, logits: Tensor, gamma: float
    ) -> Tensor:
        weights = self.shared(posterior).curvatures(logits)[:, 0]
        return gamma / (1 + weights * lengths)


@dataclass(frozen=True)
class BatchUpdates:
    """The sequential updates on M batches of b instances, as coefficients on the batch kernel.

    Attributes:
        coefficients: (M, b, C), Z above: new logits are ``old + gamma * K_T,B @ Z``.
        reducers: (M, b, b), Q = diag(w_i / (1 + w_i v_i))^1/2 V^-1: the covariance falls by H^T H
            with H = Q Phi_B Sigma.
        weights: (M, b), w_i.
    """

    coefficients: Tensor
    reducers: Tensor
    weights: Tensor


@dataclass(frozen=True)
class _Steps:
    """What the steps on M batches leave behind.

    Attributes:
        inverse: (M, b, b), V^-1.
        pivots: (M, b), 1 + w_i v_i.
        weights: (M, b), w_i.
        residuals: (M, b, C), R.
    """

    inverse: Array
    pivots: Array
    weights: Array
    residuals: Array


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
    count, size, classes = logits.shape
    if not is_for_host(gram, size, count * size * (size + classes)):
        targets = one_hot(labels, classes, logits)
        found = _update_batches(TENSORS, gram, logits, targets, gamma, likelihood)
        return BatchUpdates(*found)
    kernel, start = on_host(gram, logits)
    wanted = one_hot_on_host(labels, classes, start)
    found = _update_batches(NUMPY, kernel, start, wanted, gamma, likelihood)
    return BatchUpdates(*uploaded(gram, *found))


def _update_batches(
    xp: Functions,
    kernel: Array,
    logits: Array,
    targets: Array,
    gamma: float,
    likelihood: SharedLikelihood,
) -> tuple[Array, Array, Array]:
    """Return what ``BatchUpdates`` has."""
    if targets.shape[1] == 1:
        return _single_step(xp, kernel, logits, targets, likelihood)
    run = _gaussian_steps if likelihood == GAUSSIAN else _categorical_steps
    steps = run(xp, kernel, logits, targets, gamma)
    coefficients = steps.inverse.swapaxes(1, 2) @ (steps.residuals / steps.pivots[:, :, None])
    reducers = xp.sqrt(steps.weights / steps.pivots)[:, :, None] * steps.inverse
    return coefficients, reducers, steps.weights


def _single_step(
    xp: Functions, kernel: Array, logits: Array, targets: Array, likelihood: SharedLikelihood
) -> tuple[Array, Array, Array]:
    """Return the same for batches of one label, as in a sequential batch: V is 1."""
    probabilities = _softmax(xp, logits)
    if likelihood == GAUSSIAN:
        weights = xp.ones_like(kernel[:, 0])
    else:
        largest = xp.largest(probabilities, -1)[..., 0]
        weights = largest * (1 - largest)
    pivots = 1 + weights * kernel[:, 0]
    coefficients = (targets - probabilities) / pivots[:, :, None]
    return coefficients, xp.sqrt(weights / pivots)[:, :, None], weights


def _gaussian_steps(
    xp: Functions, kernel: Array, logits: Array, targets: Array, gamma: float
) -> _Steps:
    """Weights of 1: one Cholesky factor holds every column, and only the residuals recur."""
    factor = xp.cholesky(kernel + xp.eye(kernel.shape[1], kernel))
    diagonal = xp.diagonal(factor)
    gains = gamma * (factor / diagonal[:, None, :])
    residuals = xp.empty_like(targets)
    for i in range(targets.shape[1]):
        drift = (gains[:, i, None, :i] @ residuals[:, :i])[:, 0]
        residuals[:, i] = targets[:, i] - _softmax(xp, logits[:, i] + drift)
    inverse = diagonal[:, :, None] * xp.inverse(factor)
    return _Steps(inverse, diagonal**2, xp.ones_like(diagonal), residuals)


def _categorical_steps(
    xp: Functions, kernel: Array, logits: Array, targets: Array, gamma: float
) -> _Steps:
    """Weights that depend on the logits of the moment: columns and residuals recur together.

    ``columns`` are those of G^(i), on and below the diagonal.
    """
    columns, residuals = xp.zeros_like(kernel), xp.empty_like(targets)
    weights, pivots = xp.empty_like(kernel[:, 0]), xp.empty_like(kernel[:, 0])
    for i in range(targets.shape[1]):
        row = columns[:, i, :i]
        gains = gamma * row / pivots[:, :i]
        drift = (gains[:, None] @ residuals[:, :i])[:, 0]
        probabilities = _softmax(xp, logits[:, i] + drift)
        residuals[:, i] = targets[:, i] - probabilities
        largest = xp.largest(probabilities, -1)[..., 0]
        weights[:, i] = largest * (1 - largest)
        scaled_row = row * weights[:, :i] / pivots[:, :i]
        columns[:, i:, i] = (
            kernel[:, i:, i] - (columns[:, i:, :i] @ scaled_row[:, :, None])[:, :, 0]
        )
        pivots[:, i] = 1 + weights[:, i] * columns[:, i, i]
    elimination = columns * (weights / pivots)[:, None, :]
    xp.diagonal(elimination)[...] = 1
    return _Steps(xp.inverse(elimination), pivots, weights, residuals)


def _softmax(xp: Functions, logits: Array) -> Array:
    powers = xp.exp(logits - xp.largest(logits, -1))
    powers /= xp.total(powers, -1)
    return powers


def second_order(
    posterior: Posterior, features: Tensor, labels: Tensor, gamma: float
) -> LowRankUpdate[Posterior]:
    """Update the posterior with b labels, one after the other.

    For each instance [Huseljic2025, update equations of mean and covariance]:

        Sigma' = Sigma - w / (1 + w v) (Sigma phi)(Sigma phi)^T,     v = phi^T Sigma phi
        W'     = W + gamma (e_y - softmax(W phi)) (Sigma' phi)^T

    computed for the whole batch in the dual form above: O(b D^2) to project the features, once.
    Updates accumulate: b updates with one label equal one update with b.

    Args:
        posterior: before the update; it is left as it is.
        features: (b, D), of the newly labelled instances, in order.
        labels: (b,), their class indices.
        gamma: step size.
    """
    projected = posterior.project(features)[0]
    update = update_batches(
        (projected @ features.T)[None],
        posterior.logits(features)[None],
        labels[None],
        gamma,
        posterior.likelihood,
    )
    coefficients = gamma * update.coefficients[0]
    mean = torch.addmm(posterior.mean, coefficients.T, projected)
    updated = posterior.reduced(mean, update.reducers[0] @ projected)
    return LowRankUpdate(updated, projected, coefficients, update.weights[0][:, None])
