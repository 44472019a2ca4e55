"""Training by the paper's recipe, and to the optimum.

The recipe is RAdam with weight decay and a cosine schedule [Loshchilov2017] on small batches. RAdam
takes the same steps as ``torch.optim.RAdam`` (a test compares them). It is written out because the
library's optimisers import the whole compiler stack on first use, seconds in every run, and spend
several times the arithmetic of a small layer on bookkeeping per step. The optimum of a linear
layer is found by L-BFGS [Byrd1995].
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from alupdate.utils.errors import InputError
from alupdate.utils.threads import one_blas_thread, threads_for

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
GRADIENT_TOLERANCE = 1e-6
LBFGS_ITERATIONS = 5000
"""At most."""
LARGE_SIZE = 1e4
"""Features of this size are not standardised: on a pool of N rows, standardised ones have a root
mean square of at most N^(1/2) on some of the rows."""
JITTER = 1e-10


class RAdam:
    """Rectified Adam with L2 weight decay ([Liu2020], algorithm 2).

    Example:
        >>> weights = torch.ones(3)
        >>> optimiser = RAdam([weights], weight_decay=0.0)
        >>> optimiser.step([torch.tensor([1.0, 0.0, -1.0])], learning_rate=0.1)
        >>> weights
        tensor([0.9000, 1.0000, 1.1000])
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        weight_decay: float,
        relative_rates: Sequence[float] | None = None,
    ) -> None:
        """Start with empty moments.

        Args:
            parameters: the tensors to train.
            weight_decay: added to the gradient, times the parameter.
            relative_rates: a factor on the learning rate of each parameter; None: 1 for all.
        """
        rates = [1.0] * len(parameters) if relative_rates is None else relative_rates
        self._slots = [
            _Slot(p.detach(), torch.zeros_like(p), torch.zeros_like(p), torch.empty_like(p), rate)
            for p, rate in zip(parameters, rates, strict=True)
        ]
        self._weight_decay = weight_decay
        self._step = 0

    def step(self, gradients: list[Tensor], learning_rate: float) -> None:
        """Update the parameters in place; the gradients are overwritten."""
        self._step += 1
        rectified, size = rectified_step(self._step, learning_rate)
        for slot, gradient in zip(self._slots, gradients, strict=True):
            gradient.add_(slot.parameter, alpha=self._weight_decay)
            slot.mean.lerp_(gradient, 1 - BETA1)
            slot.square.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
            change = -size * slot.rate
            if rectified:
                torch.sqrt(slot.square, out=slot.scratch)
                slot.parameter.addcdiv_(slot.mean, slot.scratch.add_(EPSILON), value=change)
            else:
                slot.parameter.add_(slot.mean, alpha=change)


@dataclass(frozen=True)
class _Slot:
    """A parameter, detached from automatic differentiation, and its moments.

    Attributes:
        parameter: shares its memory with the tensor that is trained.
        mean: of the gradients.
        square: mean of their squares.
        scratch: overwritten by every step.
        rate: relative learning rate.
    """

    parameter: Tensor
    mean: Tensor
    square: Tensor
    scratch: Tensor
    rate: float


def rectified_step(step: int, learning_rate: float) -> tuple[bool, float]:
    """Return whether RAdam adapts a step, and the factor on the (scaled) mean of the gradients.

    The first steps are not adapted: the variance of the adaptive rate is not tractable yet.

    Args:
        step: 1 for the first one.
        learning_rate: of that step.
    """
    decayed = BETA2**step
    limit = 2 / (1 - BETA2) - 1
    length = limit - 2 * step * decayed / (1 - decayed)
    size = learning_rate / (1 - BETA1**step)
    if length <= 5:
        return False, size
    rectification = math.sqrt(
        (length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)
    )
    return True, size * rectification * math.sqrt(1 - decayed)


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of a training run; the defaults of conf/ are the paper's.

    Attributes:
        learning_rate: of the first epoch; a cosine takes it towards 0.
        weight_decay: times the parameters, added to the gradient.
        epochs: passes over the instances.
        minibatch: instances per step.
    """

    learning_rate: float
    weight_decay: float
    epochs: int
    minibatch: int


def minibatches(count: int, size: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Yield one epoch of shuffled positions 0..count-1; the last batch may be smaller.

    Every instance appears in every epoch: dropping an incomplete last batch would ignore up to
    ``size - 1`` labels, a large share of the labels that an active learner has.
    """
    order = torch.from_numpy(rng.permutation(count))
    for start in range(0, count, size):
        yield order[start : start + size]


def optimise(
    parameters: Sequence[Tensor],
    gradients: Callable[[Tensor], list[Tensor]],
    count: int,
    recipe: Recipe,
    rng: np.random.Generator,
    relative_rates: Sequence[float] | None = None,
) -> None:
    """Train ``parameters`` in place on ``count`` instances, by the recipe.

    Args:
        parameters: the tensors to train.
        gradients: given the positions of a minibatch, returns the gradient of the minibatch's
            mean loss with respect to every parameter.
        count: number of instances.
        recipe: the settings.
        rng: decides the order of the instances.
        relative_rates: a factor on the learning rate of each parameter; None: 1 for all.
    """
    optimiser = RAdam(parameters, recipe.weight_decay, relative_rates)
    for epoch in range(recipe.epochs):
        phase = math.pi * epoch / recipe.epochs
        learning_rate = recipe.learning_rate * (1 + math.cos(phase)) / 2
        for positions in minibatches(count, recipe.minibatch, rng):
            optimiser.step(gradients(positions), learning_rate)


def train_linear(
    start: Tensor, features: Tensor, labels: Tensor, recipe: Recipe, rng: np.random.Generator
) -> Tensor:
    """Return the weights (C, D) of softmax regression, trained from ``start`` by the recipe.

    The gradient of the mean cross entropy is (softmax(W Phi^T) - E^T) Phi / B, written out since
    it is several times faster than automatic differentiation on so small a model. Every step works
    in the same memory, and with the classes as rows, so that operations run along the instances.

    Args:
        start: (C, D), the initial weights; left as they are.
        features: (N, D), labels: (N,).
        recipe: the settings.
        rng: decides the order of the instances.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels = torch.arange(60) % 3
        >>> features = torch.nn.functional.one_hot(labels).float()
        >>> recipe = Recipe(learning_rate=0.1, weight_decay=1e-4, epochs=20, minibatch=16)
        >>> weights = train_linear(torch.zeros(3, 3), features, labels, recipe, rng)
        >>> bool(((features @ weights.T).argmax(1) == labels).all())
        True
    """
    weights, gradient = start.clone(), torch.zeros_like(start)
    targets = torch.nn.functional.one_hot(labels, len(start)).to(features.dtype)

    @cache
    def memory(count: int) -> tuple[Tensor, ...]:
        """Return rows (B, D), targets (B, C), and twice (C, B), to be overwritten by every step."""
        shapes = ((count, start.shape[1]), (count, len(start)), (len(start), count))
        return tuple(features.new_empty(shape) for shape in (*shapes, shapes[-1]))

    def gradients(positions: Tensor) -> list[Tensor]:
        rows, wanted, logits, errors = memory(len(positions))
        chosen = positions.to(features.device)
        torch.index_select(features, 0, chosen, out=rows)
        torch.index_select(targets, 0, chosen, out=wanted)
        torch.mm(weights, rows.T, out=logits)
        torch.softmax(logits, dim=0, out=errors).sub_(wanted.T)
        mean = 1 / len(positions)
        return [torch.addmm(gradient, errors, rows, beta=0, alpha=mean, out=gradient)]

    with threads_for(start.numel() * min(recipe.minibatch, len(features))):
        optimise([weights], gradients, len(features), recipe, rng)
    return weights


def optimal_linear(features: Tensor, labels: Tensor, n_classes: int, weight_decay: float) -> Tensor:
    """Return the weights (C, D) of L2-regularised softmax regression, trained to the optimum.

    They minimise mean_n CE(W phi_n, y_n) + weight_decay / 2 ||W||^2, by L-BFGS [Byrd1995]. The
    objective is strictly convex, so the start does not matter. Its minimiser lies in the span of
    the features: with Phi^T = Q R (Q of shape (D, N)) the rotated problem has N columns and the
    same optimum W = V Q^T, which is what makes few labels cheap. From N = D / 2 on, the rotation
    takes longer than what it saves. Where columns differ so much in size that L-BFGS does not
    get there, the same objective is minimised in whitened columns (``whitening``).

    Args:
        features: (N, D), labels: (N,).

    Raises:
        InputError: the gradient did not fall below ``GRADIENT_TOLERANCE``.

    Example:
        >>> features, labels = torch.eye(3), torch.arange(3)
        >>> weights = optimal_linear(features, labels, n_classes=3, weight_decay=0.01)
        >>> weights.shape, (features @ weights.T).argmax(1).tolist()
        (torch.Size([3, 3]), [0, 1, 2])
    """
    rows = features.cpu().double()
    targets = torch.nn.functional.one_hot(labels.cpu(), n_classes).T.double()
    solution = None
    if not _badly_scaled(rows):
        solution, basis = _rotated_optimum(rows, targets, weight_decay)
        if solution is not None and basis is not None:
            solution = solution @ basis.T
    if solution is None:
        solution = _whitened_optimum(rows, targets, weight_decay)
    if solution is None:
        raise InputError(
            "the optimum of the last layer was not found: the features differ too much in size; "
            "use backbone.standardise=true"
        )
    return solution.to(features)


def _badly_scaled(rows: Tensor) -> bool:
    """Return whether the size of a column is beyond what standardised features can have."""
    sizes = rows.square().mean(dim=0).sqrt()
    sizes = sizes[sizes > 0]
    return bool((sizes > LARGE_SIZE).any() or (sizes < 1 / LARGE_SIZE).any())


def _rotated_optimum(
    rows: Tensor, targets: Tensor, weight_decay: float
) -> tuple[Tensor | None, Tensor | None]:
    """Return the optimum V (C, r) on N rotated columns if N < D / 2, and the rotation (D, N).

    The optimum is None where L-BFGS did not reach it, and the rotation where there is none.
    """
    basis = None
    if 2 * len(rows) < rows.shape[1]:
        basis, triangle = torch.linalg.qr(rows.T)
        rows = triangle.T.contiguous()
    flat, steepest = _lbfgs(
        _objective, len(targets) * rows.shape[1], (rows, rows.T.contiguous(), targets, weight_decay)
    )
    reached = steepest <= 10 * GRADIENT_TOLERANCE
    return flat.reshape(len(targets), -1) if reached else None, basis


def _whitened_optimum(rows: Tensor, targets: Tensor, weight_decay: float) -> Tensor | None:
    """Return the optimum (C, D), found in whitened columns; None if the gradient stays large.

    With W = V A the logits are V (A phi), and the penalty is weight_decay / 2 tr(V A A^T V^T): the
    objective is the same function, so that its optimum is, too, for the unscaled weight decay.
    """
    transform = whitening(rows, weight_decay)
    white = rows @ transform.T
    penalty = weight_decay * transform @ transform.T
    arguments = (white, white.T.contiguous(), targets, penalty)
    start = np.zeros(len(targets) * rows.shape[1])
    first = float(np.abs(_whitened_objective(start, *arguments)[1]).max())
    tolerance = GRADIENT_TOLERANCE * min(1.0, first)
    flat, steepest = _lbfgs(_whitened_objective, len(start), arguments, tolerance)
    if not steepest <= 10 * GRADIENT_TOLERANCE:
        return None
    return flat.reshape(len(targets), -1) @ transform


def whitening(rows: Tensor, weight_decay: float) -> Tensor:
    """Return a matrix A (D, D) such that the objective curves alike along all rows of V = W A^-1.

    Up to a factor, the objective's curvature at W = 0 is H = Phi^T Phi / N + weight_decay I. With
    D = diag(H)^(-1/2) and the Cholesky factor L of D H D, A = L^-1 D gives A H A^T = I. The jitter
    on the diagonal of D H D keeps L invertible; it makes A less exact, and changes no optimum.

    Args:
        rows: (N, D), in 64 bits.
        weight_decay: of the objective.
    """
    scale = (rows.square().mean(dim=0) + weight_decay).clamp_min(torch.finfo(rows.dtype).tiny)
    scale = scale.rsqrt()
    scaled = rows * scale
    curvature = scaled.T @ scaled / len(rows) + torch.diag(weight_decay * scale.square() + JITTER)
    lower = torch.linalg.cholesky(curvature)
    transform: Tensor = torch.linalg.solve_triangular(lower, torch.diag(scale), upper=False)
    return transform


def _lbfgs(
    objective: Callable[..., tuple[float, NDArray[np.float64]]],
    size: int,
    arguments: tuple[Any, ...],
    tolerance: float = GRADIENT_TOLERANCE,
) -> tuple[Tensor, float]:
    """Return what L-BFGS found from zeros (size,), and the largest entry of the gradient there."""
    targets: Tensor = arguments[2]
    with threads_for(arguments[0].numel() * len(targets)), one_blas_thread():
        result = minimize(
            objective,
            np.zeros(size),
            args=arguments,
            jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": LBFGS_ITERATIONS,
                "maxfun": 2 * LBFGS_ITERATIONS,
                "maxcor": 10,
                "gtol": tolerance,
                "ftol": 0.0,
            },
        )
    return torch.from_numpy(np.asarray(result.x)), float(np.abs(result.jac).max())


def _objective(
    flat: NDArray[np.float64], rows: Tensor, columns: Tensor, targets: Tensor, weight_decay: float
) -> tuple[float, NDArray[np.float64]]:
    """Return the objective's value and gradient at flattened weights.

    Args:
        flat: (C * r,).
        rows: (N, r), the features.
        columns: (r, N), the same transposed: either product then runs along its second operand.
        targets: (C, N), one-hot labels.
        weight_decay: of the squared weights.
    """
    weights = torch.from_numpy(flat).view(len(targets), -1)
    value, errors = _cross_entropy(weights, columns, targets)
    gradient = (errors @ rows).add_(weights, alpha=weight_decay)
    return value + weight_decay / 2 * float(flat @ flat), gradient.numpy().ravel()


def _whitened_objective(
    flat: NDArray[np.float64], rows: Tensor, columns: Tensor, targets: Tensor, penalty: Tensor
) -> tuple[float, NDArray[np.float64]]:
    """Return the same with a penalty tr(V P V^T) / 2 for a matrix P (r, r)."""
    weights = torch.from_numpy(flat).view(len(targets), -1)
    value, errors = _cross_entropy(weights, columns, targets)
    pull = weights @ penalty
    gradient = (errors @ rows).add_(pull)
    return value + float((weights * pull).sum()) / 2, gradient.numpy().ravel()


def _cross_entropy(weights: Tensor, columns: Tensor, targets: Tensor) -> tuple[float, Tensor]:
    """Return the mean cross entropy, and its gradient (C, N) with respect to the logits."""
    log_probabilities = torch.log_softmax(weights @ columns, dim=0)
    value = -(targets * log_probabilities).sum() / columns.shape[1]
    return float(value), log_probabilities.exp_().sub_(targets).div_(columns.shape[1])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed PyTorch's global generators within a block, and restore their state after it."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
