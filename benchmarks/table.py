"""The benchmark's rows as a table, with the machine they were measured on."""

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd
import torch

from benchmarks.measure import Row

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "scikit-activeml", "laplace-torch")


def table_of(rows: Sequence[Row]) -> pd.DataFrame:
    """Return one line per row; ``ratio`` says how many times longer the other one takes.

    Every line names processor, threads, versions and devices, so that tables can be put together.
    """
    machine = {
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "versions": "; ".join(versions()),
    }
    return pd.DataFrame([_line(row) | machine | _devices(row) for row in rows])


def _line(row: Row) -> dict[str, object]:
    ours, other = row.ours, row.other
    return {
        "section": row.section,
        "what": row.what,
        "against": row.against,
        "seconds": ours.seconds,
        "other_seconds": other and other.seconds,
        "ratio": other and other.seconds / ours.seconds,
        "mib": ours.mib,
        "other_mib": other and other.mib,
        "repeats": ours.repeats,
        "other_repeats": other and other.repeats,
        "agreement": row.agreement,
        "variable": row.variable,
        "value": row.value,
    }


def _devices(row: Row) -> dict[str, object]:
    ours, other = row.ours, row.other
    return {
        "device": ours.device,
        "other_device": other and other.device,
        "device_mib": ours.device_mib,
        "other_device_mib": other and other.device_mib,
    }


def versions() -> list[str]:
    """Return "name version" of Python and of each package that matters and is installed."""
    found = [f"python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
