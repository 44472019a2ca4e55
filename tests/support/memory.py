"""The memory that a piece of code takes."""

import json
import textwrap
import tracemalloc
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

from torch.profiler import ProfilerActivity, profile

from benchmarks.memory import MIB
from tests.support.processes import start_code


def peak_mebibytes(code: str) -> float:
    """Run the code on one thread; return the largest resident size of its process."""
    measured = (
        "import torch\nfrom benchmarks.memory import peak_mib\ntorch.set_num_threads(1)\n"
        + textwrap.dedent(code)
        + "\nprint(peak_mib())\n"
    )
    process = start_code(measured).finish()
    if process.returncode != 0:
        raise AssertionError(process.stderr)
    return float(process.stdout.split()[-1])


def allocated_mebibytes(step: Callable[[], object], folder: Path) -> float:
    """Return what a step allocates at its peak: of tensors and of NumPy arrays, each by itself.

    Counted where it is allocated, so that nothing else in the process or on the machine changes
    it, as it would change the resident size.

    Args:
        step: without arguments.
        folder: where PyTorch's record of allocations is written.
    """
    record = folder / "allocations.json"
    with profile(activities=[ProfilerActivity.CPU]):
        pass  # what the profiler imports at first is not the step's
    tracemalloc.start()
    try:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
            step()
        arrays = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    recorded.export_chrome_trace(str(record))
    events = json.loads(record.read_text())["traceEvents"]
    changes = (event["args"]["Bytes"] for event in events if event["name"] == "[memory]")
    return (arrays + max(accumulate(changes), default=0)) / MIB
