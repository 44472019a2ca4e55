"""How much is worked on together, by the device that works on it.

A processor is fastest while what it works on stays in its cache: the modules have sizes for that,
in numbers. On a GPU every call costs microseconds whatever its size, and whoever asks for a value
waits for all that was asked for before. There it wants few calls on hundreds of millions of
numbers, and no question in between. The arithmetic is the same; only these sizes differ.

Sizes follow from the memory that a device has, not from what is free at the moment: a run must not
depend on what runs beside it.
"""

from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor

CALL_BYTES = 2**30
"""Of an array that a GPU works on in one call."""

MEMORY_SHARE = 64
"""Such an array has at most one part in so many of the GPU's memory."""

ACCELERATORS = ("cuda",)
"""The types of devices on which each call costs more than a little arithmetic."""

FEW_NUMBERS = 2**11
"""A step on so many numbers takes a CPU less time than a GPU takes to launch it."""


def is_accelerator(device: torch.device) -> bool:
    """Return whether each call on a device costs more than a little arithmetic."""
    return device.type in ACCELERATORS


def at_once(like: Tensor, numbers: int) -> int:
    """Return how many numbers are worked on together.

    Args:
        like: has their type and device.
        numbers: as many as suit a CPU; a GPU takes more if it has the memory.
    """
    if not is_accelerator(like.device):
        return numbers
    return max(numbers, _largest_bytes(like.device) // like.element_size())


def is_for_host(like: Tensor, steps: int, numbers: int) -> bool:
    """Return whether a recursion is for the CPU: one on a CPU, or one too small for the GPU.

    Args:
        like: has its type and device.
        steps: that follow from each other; one step is a few calls, wherever it is.
        numbers: in all steps.
    """
    return not is_accelerator(like.device) or (steps != 1 and numbers <= FEW_NUMBERS * steps)


@dataclass(frozen=True)
class Assumptions:
    """What a result rests on, which a GPU has not been asked yet.

    A computation that would wait for an answer in each of many steps goes on as if it was the usual
    one, and says what it assumed. Who uses the result asks once, at the end: unless all holds, the
    result means nothing, and the computation is repeated without assumptions.

    Attributes:
        claims: tensors of one truth value each.
    """

    claims: list[Tensor] = field(default_factory=list)

    def add(self, claim: Tensor) -> None:
        """Assume that a claim, one truth value, holds."""
        self.claims.append(claim)

    def hold(self, like: Tensor) -> Tensor:
        """Return whether all claims hold, as one number 0 or 1 of a tensor's type and device."""
        if not self.claims:
            return like.new_ones(())
        return torch.stack(self.claims).all().to(like)


def cholesky_factor(matrix: Tensor, assumed: Assumptions | None) -> Tensor:
    """Return the lower factor of a matrix (n, n).

    Args:
        matrix: is positive definite.
        assumed: is told so; None to ask.

    Raises:
        RuntimeError: it is not, and there are no assumptions.
    """
    factor: Tensor
    if assumed is None:
        factor = torch.linalg.cholesky(matrix)
        return factor
    factor, failed = torch.linalg.cholesky_ex(matrix)
    assumed.add(failed == 0)
    return factor


@cache
def _largest_bytes(device: torch.device) -> int:
    if device.type != "cuda":
        return CALL_BYTES
    memory = int(torch.cuda.get_device_properties(device).total_memory)
    return min(CALL_BYTES, memory // MEMORY_SHARE)
