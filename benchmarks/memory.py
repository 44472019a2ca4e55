"""How much memory a step adds at its peak, as Linux counts it."""

import ctypes
import gc
import math
import resource
import sys
from collections.abc import Callable
from pathlib import Path

MIB = 1024**2
STATUS = Path("/proc/self/status")


def added_mib(step: Callable[[], object]) -> float:
    """Return the MiB of resident memory that a step adds at its peak; NaN where unknown.

    The C library keeps freed memory for later, which would hide what the step takes from it; so it
    is asked to give that back first. Then the kernel counts the peak anew.
    """
    gc.collect()
    _give_back_freed()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return math.nan
    before = resident_mib()
    step()
    return max(0.0, _kib("VmHWM") / 1024 - before)


def resident_mib() -> float:
    """Return the process's resident memory now, in MiB (Linux)."""
    return _kib("VmRSS") / 1024


def peak_mib() -> float:
    """Return the peak of the process's resident memory so far, in MiB.

    Linux's own count of the process where there is one: ``getrusage`` of a process that another one
    started also counts what that one had in memory.
    """
    if STATUS.is_file():
        return _kib("VmHWM") / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (MIB if sys.platform == "darwin" else 1024)


def _give_back_freed() -> None:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)


def _kib(field: str) -> int:
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))
