"""Frozen networks that compute features: chunk by chunk, at full or half precision, on any device.

Where the network is on a GPU, the next chunks are decoded by worker processes into pinned memory,
and copied while it computes. On a CPU the same code runs in turn.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
import torch
from joblib import cpu_count
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from typing_extensions import override

from alupdate.data.dataset import FloatArray, Instances
from alupdate.utils.errors import InputError

Precision = Literal["float32", "bfloat16", "float16"]
MOST_WORKERS = 8
"""Processes that decode for one GPU."""


@dataclass(frozen=True)
class Chunks(Sequence[Instances]):
    """Instances in chunks, each made when it is asked for.

    Attributes:
        parts: all instances.
        spans: for each chunk the number of its part, its first instance there, and the one after
            its last.
    """

    parts: tuple[Instances, ...]
    spans: tuple[tuple[int, int, int], ...]

    @classmethod
    def between(cls, parts: tuple[Instances, ...], start: int, stop: int, size: int) -> "Chunks":
        """Return instances start..stop-1, counted through all parts, up to ``size`` at a time."""
        spans = list[tuple[int, int, int]]()
        for at in range(start, stop, size):
            first = 0
            for number, part in enumerate(parts):
                ends = (max(at, first) - first, min(at + size, stop, first + len(part)) - first)
                if ends[0] < ends[1]:
                    spans.append((number, *ends))
                first += len(part)
        return cls(parts, tuple(spans))

    @override
    def __len__(self) -> int:
        return len(self.spans)

    @overload
    def __getitem__(self, at: int) -> Instances: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Instances]: ...
    @override
    def __getitem__(self, at: int | slice) -> Instances | Sequence[Instances]:
        if isinstance(at, slice):
            return Chunks(self.parts, self.spans[at])
        number, start, stop = self.spans[at]
        return self.parts[number].take(np.arange(start, stop))


class Extractor(ABC):
    """A frozen network that computes features.

    Making one is cheap: the network is loaded when features are first asked for.

    Attributes:
        name: readable, for messages and file names.
        unit: what instances are called: images or texts.
        chunk: how many instances are computed together; a power of two up to 1,024.
        precision: of matrix products and convolutions.
    """

    name: str
    unit: str
    chunk: int
    precision: Precision = "float32"

    @property
    @abstractmethod
    def identity(self) -> str:
        """Everything that decides the features of an instance: weights' hash, preprocessing."""

    @abstractmethod
    def features(self, instances: Instances) -> FloatArray:
        """Return the features (n, D) of n instances; they do not depend on each other."""

    def stream(self, chunks: Sequence[Instances]) -> Iterator[FloatArray]:
        """Yield the features (n, D) of each chunk of n instances."""
        return map(self.features, chunks)


def at_precision(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Let a network compute in half precision where that loses little, or as it is (float32).

    PyTorch decides for each operation (``torch.autocast``): matrix products and convolutions have
    half precision, and sums over many numbers do not. Results may be of either type.
    """
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, precision))


def with_precision(identity: str, precision: Precision) -> str:
    """Return what decides features, precision included; that of float32 stays what it was."""
    return identity if precision == "float32" else f"{identity}|{precision}"


def deviation(extractor: Extractor, instances: Instances) -> float:
    """Return how far features are from those at float32: the norm of the difference over theirs."""
    found, exact = extractor.features(instances), copy.copy(extractor)
    exact.precision = "float32"
    wanted = exact.features(instances)
    return float(np.linalg.norm(found - wanted)) / (float(np.linalg.norm(wanted)) or 1.0)


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; a copy to a GPU is from pinned memory and not waited for."""
    if device.type != "cuda" or tensor.device.type == "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def decoding_workers(device: torch.device) -> int:
    """Return how many processes decode for a network: none for one that itself needs the CPU.

    For a GPU it is as many as the run has threads (``threads``) and processors, up to MOST_WORKERS.
    """
    if device.type == "cpu":
        return 0
    return min(MOST_WORKERS, torch.get_num_threads(), int(cpu_count()))


class _Prepared(Dataset[Tensor | InputError | OSError]):
    """Chunks as a network takes them; an error is an item, since a worker would reword it."""

    def __init__(self, chunks: Sequence[Instances], prepare: Callable[[Instances], Tensor]) -> None:
        self._chunks, self._prepare = chunks, prepare

    def __len__(self) -> int:
        return len(self._chunks)

    @override
    def __getitem__(self, at: int) -> Tensor | InputError | OSError:
        try:
            return self._prepare(self._chunks[at])
        except (InputError, OSError) as error:
            return error


def network_inputs(
    chunks: Sequence[Instances],
    prepare: Callable[[Instances], Tensor],
    workers: int,
    device: torch.device,
) -> Iterator[Tensor]:
    """Yield each chunk as a network takes it, prepared ahead by worker processes if there are any.

    Args:
        chunks: of instances.
        prepare: chunk -> tensor; with workers on the CPU.
        workers: how many processes; 0 for this one.
        device: of the network; for a GPU the tensors of workers are in pinned memory.

    Raises:
        InputError: an instance cannot be read.
        OSError: the system does not read it now.
    """
    if not workers:
        yield from map(prepare, chunks)
        return
    loader = DataLoader(
        _Prepared(chunks, prepare),
        batch_size=None,
        num_workers=workers,
        pin_memory=device.type == "cuda",
    )
    for found in loader:
        if isinstance(found, Exception):
            raise found
        yield found


def network_outputs(
    inputs: Iterator[Tensor], compute: Callable[[Tensor], Tensor], device: torch.device
) -> Iterator[FloatArray]:
    """Yield what a network computes of each input, as arrays.

    A result is fetched once the next input is on its way: a GPU does not wait for the CPU.

    Args:
        inputs: as ``network_inputs`` yields them.
        compute: inputs on the device -> features (n, D) there.
        device: of the network.
    """
    before: Tensor | None = None
    for tensor in inputs:
        with torch.inference_mode():
            found = compute(tensor.to(device, non_blocking=True))
        if before is not None:
            yield before.cpu().numpy()
        before = found
    if before is not None:
        yield before.cpu().numpy()
