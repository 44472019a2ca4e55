"""Timing two ways of doing the same thing in turn, in one process, with the same threads."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks.memory import added_mib

Step = Callable[[], object]

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
    """

    seconds: float
    repeats: int
    mib: float


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


def in_turn(steps: list[Step], repeats: int) -> list[Timing]:
    """Return the timings of several steps that take turns, so that all meet the same machine.

    Args:
        steps: without arguments; each is run once to warm up and once to measure its memory.
        repeats: measurements of each; one for those that take longer than ``LONG``.
    """
    first = [_seconds(step, 1) for step in steps]
    memory = [added_mib(step) for step in steps]
    runs = [1 if seconds > LONG else repeats for seconds in first]
    times = [max(1, round(SHORT / seconds)) for seconds in first]
    seconds: list[list[float]] = [[] for _ in steps]
    for turn in range(repeats):
        for step, taken, count, inner in zip(steps, seconds, runs, times, strict=True):
            if turn < count:
                taken.append(_seconds(step, inner))
    return [
        Timing(median(taken), len(taken), mib) for taken, mib in zip(seconds, memory, strict=True)
    ]


def _seconds(step: Step, times: int) -> float:
    """Return the mean seconds of a step that is done some times without a pause."""
    start = time.perf_counter()
    for _ in range(times):
        step()
    return (time.perf_counter() - start) / times
