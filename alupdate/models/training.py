"""The paper's training recipe: RAdam, weight decay, a cosine schedule, small batches."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from alupdate.threads import threads_for
from alupdate.training.radam import RAdam


@dataclass(frozen=True)
class Recipe:
    """Settings of a training run; the defaults of conf/ are the paper's."""

    learning_rate: float
    weight_decay: float
    epochs: int
    minibatch: int


def minibatches(count: int, size: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Yield one epoch of shuffled positions 0..count-1; the last batch may be smaller.

    Every instance appears in every epoch: dropping an incomplete last batch would ignore up to
    ``size - 1`` labels, a large share of what an active learner has bought.
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
    """Train ``parameters`` in place on ``count`` instances.

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
    """Return the weights (C, D) of a linear layer trained from ``start`` by the recipe.

    The gradient of the mean cross entropy is (softmax(W Phi^T) - E^T) Phi / B, written out since
    it is several times faster than automatic differentiation on so small a model. Every step works
    in the same memory, and with the classes as rows, so that operations run along the instances.

    Args:
        start: (C, D), the initial weights; left as they are.
        features: (N, D), labels: (N,).
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
