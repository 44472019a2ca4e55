"""The device that is measured, and its rows beside those of the CPU."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from alupdate.utils.errors import InputError
from benchmarks.measure import CPU, Row, Timing

ON_THE_CPU = "the same on the CPU"

Section = Callable[[bool, torch.device], Iterator[Row]]
"""The rows of a section, given whether the run is a quick one, and the device."""


def device_of(name: str) -> torch.device:
    """Return the device that is named on the command line.

    Raises:
        InputError: it is none, or not in this machine.
    """
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", name):
        raise InputError(f"--device {name}: has to be cpu, cuda or cuda:N")
    device, there = torch.device(name), torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= there:
        raise InputError(f"--device {name}: this machine has {there or 'no'} CUDA devices")
    return device


def rows_on(section: Section, quick: bool, device: torch.device) -> Iterator[Row]:
    """Yield a section's rows on the CPU and, if it is another one, on the device.

    Every step on the device is then compared with the same step on the CPU, too. Its name says
    where it ran, so that figures of all rows keep the devices apart.
    """
    cpu = dict[str, Timing]()
    for row in section(quick, CPU):
        cpu.setdefault(row.what, row.ours)
        yield row
    if device.type == "cpu":
        return
    for row in section(quick, device):
        named = replace(row, what=f"{device}, {row.what}")
        yield named
        if (before := cpu.pop(row.what, None)) is not None:
            yield Row(row.section, named.what, row.ours, ON_THE_CPU, before)
