"""Several trainings of a last layer by the recipe at once, and the recipe on a GPU.

A step of the recipe is so small that starting its operations takes longer than their arithmetic.
Layers that start alike and see equally many instances in the same order can share the operations:
their weights are one tensor (M, C, D). On the processor each layer gets the very weights that it
gets alone. On a GPU the steps of an epoch are recorded once as a CUDA graph and replayed, with one
call per step in place of some twenty; there, weights differ by rounding.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from alupdate.laplace.arrays import one_hot
from alupdate.models.training import (
    BETA1,
    BETA2,
    EPSILON,
    Recipe,
    minibatches,
    optimise,
    rectified_step,
    train_linear,
)
from alupdate.utils.threads import threads_for

CPU_STEP_NUMBERS = 2**20
"""That one step of all layers trained at once works on, on the processor: they fit in its cache."""
GPU_STEP_NUMBERS = 2**28
"""The same on a GPU: a gibibyte in 32 bits."""


@dataclass(frozen=True)
class Heads:
    """Last layers that are trained at once, by the same recipe and in the same order of instances.

    Attributes:
        start: (C, D), the initial weights of each.
        features: (P, D), of all instances; labels: (P,).
        positions: (M, N), the instances that each layer is trained on.
    """

    start: Tensor
    features: Tensor
    labels: Tensor
    positions: Tensor

    @property
    def targets(self) -> Tensor:
        """The labels (P, C), one-hot."""
        return one_hot(self.labels, len(self.start), self.features)

    def groups(self, minibatch: int) -> Iterator["Heads"]:
        """Yield the layers in groups of which one step has a size that suits the device."""
        size = min(minibatch, self.positions.shape[1])
        each = self.start.shape[1] * (size + 4 * len(self.start))  # rows, weights and moments
        at_once = CPU_STEP_NUMBERS if self.features.device.type == "cpu" else GPU_STEP_NUMBERS
        for part in torch.split(self.positions, max(1, at_once // each)):
            yield Heads(self.start, self.features, self.labels, part)


def train_alone(
    start: Tensor, features: Tensor, labels: Tensor, recipe: Recipe, rng: np.random.Generator
) -> Tensor:
    """Return the weights (C, D) of one layer trained by the recipe: on a GPU by replays.

    Args:
        start: (C, D), the initial weights.
        features: (N, D).
        labels: (N,).
        recipe: the settings.
        rng: decides the order of the instances.

    Example:
        >>> recipe = Recipe(learning_rate=0.1, weight_decay=1e-4, epochs=20, minibatch=2)
        >>> rng = np.random.default_rng(0)
        >>> weights = train_alone(torch.zeros(3, 3), torch.eye(3), torch.arange(3), recipe, rng)
        >>> (torch.eye(3) @ weights.T).argmax(dim=1).tolist()
        [0, 1, 2]
    """
    if features.device.type != "cuda":
        return train_linear(start, features, labels, recipe, rng)
    everything = torch.arange(len(features), device=features.device)[None]
    return train_heads(Heads(start, features, labels, everything), recipe, rng)[0]


def train_heads(heads: Heads, recipe: Recipe, rng: np.random.Generator) -> Tensor:
    """Return the weights (M, C, D) of layers trained by the recipe.

    On the processor they are those that ``train_linear`` finds one by one with such a generator.

    Args:
        heads: the layers.
        recipe: the settings.
        rng: decides the order of the instances, the same for all.

    Example:
        >>> features, labels = torch.eye(3), torch.arange(3)
        >>> heads = Heads(torch.zeros(3, 3), features, labels, torch.tensor([[0, 1], [1, 2]]))
        >>> recipe = Recipe(learning_rate=0.1, weight_decay=1e-4, epochs=20, minibatch=2)
        >>> weights = train_heads(heads, recipe, np.random.default_rng(0))
        >>> (weights @ features.T).argmax(dim=1).tolist()
        [[0, 1, 0], [0, 1, 2]]
    """
    if heads.features.device.type == "cuda":
        return train_by_replays(heads, recipe, rng)
    features, targets, (count, instances) = heads.features, heads.targets, heads.positions.shape
    weights = heads.start.expand(count, *heads.start.shape).clone()
    gradient = torch.zeros_like(weights)

    @cache
    def memory(size: int) -> tuple[Tensor, ...]:
        """Return rows (M B, D), targets (M B, C), and twice (M, C, B), to be overwritten."""
        classes = len(heads.start)
        shapes = ((count * size, features.shape[1]), (count * size, classes))
        both = (features.new_empty(count, classes, size) for _ in range(2))
        return (*(features.new_empty(shape) for shape in shapes), *both)

    def gradients(order: Tensor) -> list[Tensor]:
        size = len(order)
        rows, wanted, logits, errors = memory(size)
        chosen = heads.positions[:, order].reshape(-1)
        torch.index_select(features, 0, chosen, out=rows)
        torch.index_select(targets, 0, chosen, out=wanted)
        blocks = rows.view(count, size, -1)
        torch.bmm(weights, blocks.mT, out=logits)
        torch.softmax(logits, dim=1, out=errors).sub_(wanted.view(count, size, -1).mT)
        torch.baddbmm(gradient, errors, blocks, beta=0, alpha=1 / size, out=gradient)
        return [gradient]

    with threads_for(weights.numel() * min(recipe.minibatch, instances)):
        optimise([weights], gradients, instances, recipe, rng)
    return weights


def train_by_replays(heads: Heads, recipe: Recipe, rng: np.random.Generator) -> Tensor:
    """Return the same weights (M, C, D) by one step that is recorded on a GPU and replayed.

    What differs from step to step lies in tables on the device: the step reads its row and counts.
    An incomplete last minibatch is filled up with instances of weight 0.
    """
    count = heads.positions.shape[1]
    size = min(recipe.minibatch, count)
    n_steps = math.ceil(count / recipe.minibatch)
    training = _Training.of(heads, n_steps, size, recipe.weight_decay)
    play = _playable(training.step, training.changing, heads.features.device)
    for epoch in range(recipe.epochs):
        rate = recipe.learning_rate * (1 + math.cos(math.pi * epoch / recipe.epochs)) / 2
        training.prepare(list(minibatches(count, recipe.minibatch, rng)), epoch * n_steps, rate)
        for _ in range(n_steps):
            play()
    return training.weights


@dataclass(frozen=True)
class _Training:
    """The state of a training, all of it in tensors that stay where they are.

    Attributes:
        heads: the layers.
        targets: (P, C), one-hot.
        weights, mean, square: (M, C, D), the weights and the moments of their gradients.
        order: (S, B), the minibatches of an epoch.
        shares: (S, B), the weight of each instance in its minibatch.
        factors: (S, 3), by which the mean is multiplied, 1 where RAdam adapts the step, and what is
            added to the denominator.
        done: (1,), the steps of the epoch that were made.
        weight_decay: of the recipe.
    """

    heads: Heads
    targets: Tensor
    weights: Tensor
    mean: Tensor
    square: Tensor
    order: Tensor
    shares: Tensor
    factors: Tensor
    done: Tensor
    weight_decay: float

    @classmethod
    def of(cls, heads: Heads, n_steps: int, size: int, weight_decay: float) -> "_Training":
        features, positions = heads.features, heads.positions
        weights = heads.start.expand(len(positions), *heads.start.shape).clone()
        return cls(
            heads,
            heads.targets,
            weights,
            torch.zeros_like(weights),
            torch.zeros_like(weights),
            positions.new_zeros(n_steps, size),
            features.new_zeros(n_steps, size),
            features.new_ones(n_steps, 3),
            positions.new_zeros(1),
            weight_decay,
        )

    @property
    def changing(self) -> tuple[Tensor, ...]:
        """What a step changes."""
        return self.weights, self.mean, self.square, self.done

    def prepare(self, batches: Sequence[Tensor], before: int, learning_rate: float) -> None:
        """Fill the tables of an epoch, after so many steps."""
        order = torch.zeros(self.order.shape, dtype=torch.int64)
        shares = torch.zeros(self.shares.shape, dtype=torch.float64)
        factors = []
        for row, batch in enumerate(batches):
            order[row, : len(batch)], shares[row, : len(batch)] = batch, 1 / len(batch)
            adapted, size = rectified_step(before + row + 1, learning_rate)
            factors.append([size, float(adapted), EPSILON if adapted else 1.0])
        self.order.copy_(order)
        self.shares.copy_(shares)
        self.factors.copy_(torch.tensor(factors, dtype=torch.float64))
        self.done.zero_()

    def step(self) -> None:
        """Make the next step; it looks at no number, so that it can be recorded."""
        order, shares, factors = (
            table.index_select(0, self.done)[0] for table in (self.order, self.shares, self.factors)
        )
        shape = (len(self.weights), len(order), -1)
        chosen = self.heads.positions.index_select(1, order).reshape(-1)
        rows = self.heads.features.index_select(0, chosen).view(shape)
        wanted = self.targets.index_select(0, chosen).view(shape)
        errors = torch.softmax(self.weights @ rows.mT, dim=1).sub_(wanted.mT).mul_(shares)
        gradient = (errors @ rows).add_(self.weights, alpha=self.weight_decay)
        self.mean.lerp_(gradient, 1 - BETA1)
        self.square.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        change, adapted, added = factors.unbind()
        self.weights.sub_(change * self.mean / (self.square.sqrt() * adapted + added))
        self.done.add_(1)


def _playable(
    step: Callable[[], None], changing: Sequence[Tensor], device: torch.device
) -> Callable[[], None]:
    """Return a step as one call: on a GPU, recorded as a CUDA graph.

    Args:
        step: works on the same tensors every time, and looks at none of their numbers.
        changing: what it changes; that is as before in the end.
        device: where they are.
    """
    if device.type != "cuda":
        return step
    before = [tensor.clone() for tensor in changing]
    with torch.cuda.device(device):
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # libraries are set up before anything is recorded
            step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
    for tensor, kept in zip(changing, before, strict=True):
        tensor.copy_(kept)
    return graph.replay
