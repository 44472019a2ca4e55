"""What a task is, what it hands back, and how its steps are timed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Protocol, TypeVar

import torch
from matplotlib.figure import Figure

from alupdate.results.store import RunStore
from alupdate.utils.display import Display


@dataclass(frozen=True)
class TaskSummary:
    """A small table and a figure of a finished run.

    Attributes:
        columns: headings.
        rows: cells as text.
        draw: draws the figure that is saved beside the main CSV file, under its name.
        note: why the run has fewer steps than it might have; empty if it has all.
    """

    columns: list[str]
    rows: list[list[str]]
    draw: Callable[[], Figure]
    note: str = ""


class Task(Protocol):
    """What ``task=NAME`` runs, step by step, so that it can be resumed."""

    @property
    def is_oracle(self) -> bool:
        """Whether it uses labels that were not acquired."""
        ...

    def run(self, store: RunStore, display: Display) -> TaskSummary:
        """Run what the store does not hold yet, committing every step."""
        ...


T = TypeVar("T")
LONG_STEP = 0.05
"""Seconds; of longer steps the warm-up is a small share."""


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished all work that was given to it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(step: Callable[[], T], device: torch.device) -> tuple[T, float]:
    """Return a step's result and its seconds."""
    synchronise(device)
    start = time.perf_counter()
    result = step()
    synchronise(device)
    return result, time.perf_counter() - start


def median_seconds(step: Callable[[], object], device: torch.device, repeats: int = 5) -> float:
    """Return the median seconds of a step over ``repeats``, after one run as warm-up."""
    step()
    return median(timed(step, device)[1] for _ in range(repeats))


def update_seconds(step: Callable[[], object], device: torch.device) -> float:
    """Return the median seconds of five runs, or the seconds of one that takes ``LONG_STEP``."""
    _, first = timed(step, device)
    return first if first > LONG_STEP else median_seconds(step, device)
