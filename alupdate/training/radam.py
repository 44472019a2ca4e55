"""RAdam in a few in-place operations.

The same steps as ``torch.optim.RAdam`` (a test holds them together), written out because the
library's optimisers import the whole compiler stack on first use, seconds in every run, and spend
several times the arithmetic of a small layer on bookkeeping per step.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class RAdam:
    """Rectified Adam with L2 weight decay (Liu et al. 2020, algorithm 2)."""

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
        rectified, size = step_size(self._step, learning_rate)
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
    """A parameter as plain numbers, without a record for gradients, and its moments.

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


def step_size(step: int, learning_rate: float) -> tuple[bool, float]:
    """Return whether the variance is tractable at a step yet, and the factor on the (scaled) mean.

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
