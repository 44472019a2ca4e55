"""The MAP update: the exact mode of the posterior given the new labels, by Newton's method.

The problem. The mean moves from w0 to

    argmin_W  1 / (2 gamma) sum_c (w_c - w0_c)^T Sigma_c^-1 (w_c - w0_c) + sum_i CE(W phi_i, y_i)

By the representer theorem [Schoelkopf2001] the minimiser is w_c = w0_c + gamma Sigma_c Phi_b^T a_c
with A (b x C): setting the gradient to zero gives a_c = e_c - p_c. With the kernels
K_c = gamma Phi_b Sigma_c Phi_b^T (b x b) and the logits F0 of the b labelled instances,

    J(A) = 1/2 sum_c a_c^T K_c a_c + sum_i CE(f_i, y_i),      f_c = f0_c + K_c a_c

over A, convex in A. Its gradient is K_c (a_c - (e_c - p_c)), so a solution is where the residual
a_c - (e_c - p_c) vanishes. The residual, not the gradient, is what must become small: it lives on
the scale of probabilities whatever the features are. The gradient in w_c is Phi_b^T times the
residual, which the tolerance on the residual bounds.

The Newton step. The Hessian of the cross entropy in all logits is H = D - P P^T, D = diag(p) and P
the C diagonal blocks diag(p_c) on top of each other. Setting the linearised residual to zero,

    (I + H K) a_new = H u + e - p =: g,      u = K a,  K = blockdiag(K_c)

is a system in b C unknowns. But P = D R with R the stacked identities and R^T D R = I (the
probabilities of an instance sum to 1), so Woodbury's identity applied twice leaves only C systems
of size b and one more:

    a_new = g - E K g + E R (R^T E R)^-1 R^T E K g,     E = (D^-1 + K)^-1

with E_c = S_c (I + S_c K_c S_c)^-1 S_c, S_c = diag(sqrt(p_c)), which never divides by a
probability. The same structure makes multi-class Gaussian process classification feasible
[Williams1998]. A step costs O(C b^3) and O(C b^2) memory per batch, so that the exact Newton method
stays affordable far beyond the batch sizes of active learning.

Each step is halved until J falls enough (Armijo's rule [Nocedal2006]), so J never rises and the
method converges from anywhere. Everything runs in float64 and on many batches at once: in NumPy,
whose calls on small arrays are the cheapest, or as tensors where a GPU has many (``arrays``).
"""

from dataclasses import dataclass
from typing import ClassVar, Generic

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
from alupdate.laplace.names import LIKELIHOODS, MAP, Likelihood
from alupdate.laplace.posterior import LastLayerPosterior, Layer
from alupdate.laplace.rules import LowRankUpdate, UpdateRule
from alupdate.laplace.tiles import at_once, is_for_host

TOLERANCE = 1e-7
"""The largest residual of a solution, on the scale of probabilities."""

MAX_NEWTON_STEPS = 100
USUAL_NEWTON_STEPS = 8
"""By which it is decided where a problem is solved."""
MAX_HALVINGS = 40
SUFFICIENT_DECREASE = 1e-4
ROUNDING = 1e-13


@dataclass(frozen=True)
class Map(UpdateRule):
    """The mode of the posterior given the new labels, converged.

    With one covariance per class and ``gamma`` 1 there is nothing to tune.
    """

    name: ClassVar[str] = MAP
    likelihoods: ClassVar[tuple[Likelihood, ...]] = LIKELIHOODS
    tunable: ClassVar[bool] = True

    @override
    def apply(
        self, posterior: LastLayerPosterior, features: Tensor, labels: Tensor, gamma: float
    ) -> "LowRankUpdate[LastLayerPosterior] | PerClassUpdate[LastLayerPosterior]":
        return map_update(posterior, features, labels, gamma)

    @override
    def coefficients(
        self,
        posterior: LastLayerPosterior,
        gram: Tensor,
        logits: Tensor,
        labels: Tensor,
        gamma: float,
    ) -> Tensor:
        return map_batches(gram, logits, labels, gamma)


@dataclass(frozen=True)
class _State:
    """A point of the dual problem for m batches.

    Attributes:
        dual: (m, C, b), A.
        moved: (m, C, b), K A: the change of the logits.
        probabilities: (m, C, b), softmax of the changed logits.
        objective: (m,), J.
    """

    dual: Array
    moved: Array
    probabilities: Array
    objective: Array


@dataclass(frozen=True)
class _Problem:
    """Kernels (m, K, b, b), logits (m, C, b) and one-hot targets (m, C, b) of m batches."""

    xp: Functions
    kernel: Array
    logits: Array
    targets: Array

    def take(self, chosen: Array) -> "_Problem":
        return _Problem(self.xp, self.kernel[chosen], self.logits[chosen], self.targets[chosen])

    def apply(self, dual: Array) -> Array:
        """Return K A (m, C, b); a shared kernel is one matrix product for all classes."""
        if self.kernel.shape[1] == 1:
            return dual @ self.kernel[:, 0]
        return (self.kernel @ dual[..., None])[..., 0]

    def state(self, dual: Array, moved: Array) -> _State:
        logits = self.logits + moved
        logits -= self.xp.largest(logits, 1)
        powers = self.xp.exp(logits)
        total = self.xp.total(powers, 1)
        loss = self.xp.log(total).sum(axis=(1, 2)) - (self.targets * logits).sum(axis=(1, 2))
        objective = (dual * moved).sum(axis=(1, 2)) / 2 + loss
        return _State(dual, moved, powers / total, objective)

    def residual(self, state: _State) -> Array:
        """Return A - (E - P), (m, C, b): zero at the solution."""
        return state.dual - (self.targets - state.probabilities)


def solve_dual(xp: Functions, kernel: Array, logits: Array, targets: Array) -> Array:
    """Return the dual solutions A (M, b, C) of M batches.

    Tensors are asked for their values twice in a Newton step: which batches go on, and which of
    them must halve the step. That does not depend on how many batches there are, or how large.

    Args:
        xp: the functions of NumPy or of tensors.
        kernel: (M, K, b, b), step size included; K = 1 (shared by the classes) or K = C.
        logits: (M, b, C), before the update.
        targets: (M, b, C), one-hot labels.

    Raises:
        RuntimeError: a residual stayed above ``TOLERANCE`` for ``MAX_NEWTON_STEPS`` steps, or no
            step lowered the objective.
    """
    return trace_dual(xp, kernel, logits, targets)[0]


def trace_dual(
    xp: Functions, kernel: Array, logits: Array, targets: Array
) -> tuple[Array, list[Array]]:
    """Solve as ``solve_dual``; also return the objectives (M,) at the start and after each step."""
    problem = _Problem(
        xp, (kernel + kernel.swapaxes(2, 3)) / 2, logits.swapaxes(1, 2), targets.swapaxes(1, 2)
    )
    start = xp.zeros_like(problem.logits)
    state = problem.state(start, start)
    objectives = [state.objective]
    for _ in range(MAX_NEWTON_STEPS):
        worst = xp.highest(xp.abs(problem.residual(state)))
        active = xp.places(~(worst <= TOLERANCE))
        if len(active) == 0:
            return state.dual.swapaxes(1, 2), objectives
        part = _damped_step(problem.take(active), _taken(state, active))
        state = _replaced(xp, state, active, part)
        objectives.append(state.objective)
    raise RuntimeError(
        f"the MAP update did not converge: residual {float(worst.max()):.1e} after "
        f"{MAX_NEWTON_STEPS} Newton steps"
    )


def _damped_step(problem: _Problem, state: _State) -> _State:
    """Go along the Newton direction as far as the objective falls sufficiently.

    Rounding of J itself is allowed for: near the solution a full step gains less than that.
    """
    direction = _newton_point(problem, state) - state.dual
    along = problem.apply(direction)
    slope = (problem.residual(state) * along).sum(axis=(1, 2))
    slack = ROUNDING * (1 + problem.xp.abs(state.objective))
    length = problem.xp.ones_like(slope)
    for _ in range(MAX_HALVINGS):
        step = length[:, None, None]
        tried = problem.state(state.dual + step * direction, state.moved + step * along)
        enough = state.objective + SUFFICIENT_DECREASE * length * slope + slack
        refused = ~(tried.objective <= enough)
        if not refused.any():
            return tried
        length /= 1 + refused * 1.0
    raise RuntimeError("the MAP update did not converge: no step lowers the objective")


def _newton_point(problem: _Problem, state: _State) -> Array:
    """Return where the linearised residual vanishes, (m, C, b); see the module's derivation."""
    xp, weighted = problem.xp, state.probabilities * state.moved
    curved = weighted - state.probabilities * xp.total(weighted, 1)
    goal = curved + problem.targets - state.probabilities
    root = xp.sqrt(state.probabilities)
    system = root[..., :, None] * problem.kernel * root[..., None, :]
    diagonal = xp.diagonal(system)
    diagonal += 1
    inner = root[..., :, None] * xp.inverse(system) * root[..., None, :]
    pulled = (inner @ problem.apply(goal)[..., None])[..., 0]
    common = xp.solve(inner.sum(axis=1), pulled.sum(axis=1)[..., None])
    return goal - pulled + (inner @ common[:, None])[..., 0]


def _taken(state: _State, chosen: Array) -> _State:
    return _State(
        state.dual[chosen],
        state.moved[chosen],
        state.probabilities[chosen],
        state.objective[chosen],
    )


def _replaced(xp: Functions, state: _State, chosen: Array, part: _State) -> _State:
    """Return the state with the batches ``chosen`` (m,) replaced."""

    def merged(whole: Array, piece: Array) -> Array:
        result = xp.copy(whole)
        result[chosen] = piece
        return result

    return _State(
        merged(state.dual, part.dual),
        merged(state.moved, part.moved),
        merged(state.probabilities, part.probabilities),
        merged(state.objective, part.objective),
    )


_CHUNK_NUMBERS = 2**21
"""How many numbers one of the arrays may have when many batches are solved together."""


@dataclass(frozen=True)
class PerClassUpdate(Generic[Layer]):
    """The result of an update that moved every class along directions of its own.

    Attributes:
        posterior: after the update; its mean is the old one plus ``change``.
        change: (C, D).
        added_precision: (b, C), the weight that each new instance got in the precision.
    """

    posterior: Layer
    change: Tensor
    added_precision: Tensor

    def new_logits(self, logits: Tensor, features: Tensor) -> Tensor:
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
        RuntimeError: the solver did not reach its tolerance (``TOLERANCE``).
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
    numbers = at_once(gram.new_empty(0, dtype=torch.float64), _CHUNK_NUMBERS)
    chunk = max(1, numbers // max(1, classes * size**2))
    grams, starts, targets = (torch.split(whole, chunk) for whole in (gram, logits, labels))
    parts = [_coefficients(*piece, gamma) for piece in zip(grams, starts, targets, strict=True)]
    return torch.cat(parts)


def _coefficients(gram: Tensor, logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """Return gamma A (M, b, C) for kernels (M, K, b, b)."""
    kernel, start = gamma * gram.double(), logits.double()
    if is_for_host(gram, USUAL_NEWTON_STEPS, kernel.numel() + start.numel()):
        system, before = on_host(kernel, start)
        targets = one_hot_on_host(labels, logits.shape[2], before)
        dual = solve_dual(NUMPY, system, before, targets)
        return uploaded(logits, gamma * dual)[0].to(logits)
    wanted = one_hot(labels, logits.shape[2], start)
    found: Tensor = gamma * solve_dual(TENSORS, kernel, start, wanted)
    return found.to(logits)
