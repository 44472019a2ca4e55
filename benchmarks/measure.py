"""Timing two ways of doing the same thing in turn, in one process, with the same threads."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from alupdate.experiment.task import timed
from benchmarks import memory

Step = Callable[[], object]

CPU = torch.device("cpu")

LONG = 10.0
"""Seconds; what takes longer is measured once after the warm-up, and its row says so."""

SHORT = 0.02
"""Seconds; what takes less is repeated within a measurement until it has taken about as long."""


@dataclass(frozen=True)
class Timing:
    """How long a step takes, and how much memory it adds.

    Attributes:
        seconds: the median over ``repeats``, after one run as warm-up.
        repeats: how many measurements were made.
        mib: resident memory that the step adds at its peak; NaN where the system does not say.
        device: the name of the GPU on which it ran; "cpu" for none.
        device_mib: memory of the GPU that the step adds at its peak; NaN on the CPU.
    """

    seconds: float
    repeats: int
    mib: float
    device: str = CPU.type
    device_mib: float = math.nan


@dataclass(frozen=True)
class Row:
    """One row of the benchmark: a step, and what it is compared with.

    Attributes:
        section: which part of the benchmark it belongs to.
        what: the step, in words that name its sizes.
        against: what it is compared with; empty if with nothing.
        ours: the step's timing.
        other: the timing of what it is compared with.
        agreement: how close the two answers are, in words.
        variable: in the sections growth and scale, the size that varies.
        value: its value.
    """

    section: str
    what: str
    ours: Timing
    against: str = ""
    other: Timing | None = None
    agreement: str = ""
    variable: str = ""
    value: float | None = None


@dataclass(frozen=True)
class Added:
    """The MiB of memory that a step adds at its peak.

    Attributes:
        host: resident memory of the process; NaN where unknown.
        device: memory that tensors take on a GPU; NaN on the CPU.
    """

    host: float
    device: float = math.nan


def added(step: Callable[[], object], device: torch.device) -> Added:
    """Return the memory that a step adds at its peak.

    What PyTorch keeps of a GPU's memory for later does not count: only what tensors are given.
    """
    if device.type != "cuda":
        return Added(memory.added_mib(step))
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    host = memory.added_mib(step)
    return Added(host, (torch.cuda.max_memory_allocated(device) - before) / memory.MIB)


def in_turn(steps: list[Step], repeats: int, device: torch.device = CPU) -> list[Timing]:
    """Return the timings of several steps that take turns, so that all meet the same machine.

    Args:
        steps: without arguments; each is run once to warm up and once to measure its memory.
        repeats: measurements of each; one for those that take longer than ``LONG``.
        device: where the steps run; each measurement waits until it has finished.
    """
    first = [_seconds(step, 1, device) for step in steps]
    extra = [added(step, device) for step in steps]
    runs = [1 if seconds > LONG else repeats for seconds in first]
    times = [max(1, round(SHORT / seconds)) for seconds in first]
    seconds: list[list[float]] = [[] for _ in steps]
    for turn in range(repeats):
        for step, taken, count, inner in zip(steps, seconds, runs, times, strict=True):
            if turn < count:
                taken.append(_seconds(step, inner, device))
    name = device_name(device)
    return [
        Timing(median(taken), len(taken), more.host, name, more.device)
        for taken, more in zip(seconds, extra, strict=True)
    ]


def once(step: Step, device: torch.device = CPU) -> Timing:
    """Return the timing of a step that takes so long that no warm-up matters, from one run."""
    seconds: list[float] = []
    more = added(lambda: seconds.append(timed(step, device)[1]), device)
    return Timing(seconds[0], 1, more.host, device_name(device), more.device)


def device_name(device: torch.device) -> str:
    """Return the name of a GPU, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _seconds(step: Step, times: int, device: torch.device) -> float:
    """Return the mean seconds of a step that is done some times without a pause."""

    def repeated() -> None:
        for _ in range(times):
            step()

    return timed(repeated, device)[1] / times
