"""Rows on a device beside those of the CPU."""

import math

import torch

from benchmarks.devices import ON_THE_CPU, rows_on
from benchmarks.lines import lines_of
from benchmarks.measure import Row, Timing
from benchmarks.table import table_of

ON_CPU = Timing(0.5, 5, 1.0)
ON_GPU = Timing(0.25, 5, 2.0, "NVIDIA H200", 3.0)


def section(quick, device):
    ours = ON_CPU if device.type == "cpu" else ON_GPU
    for against in ("a loop", "a limit"):
        yield Row("one", "step, 5 labels", ours, against, ours, variable="v", value=1)


def test_the_cpu_alone_is_the_section_itself():
    device = torch.device("cpu")
    assert list(rows_on(section, True, device)) == list(section(True, device))


def test_each_step_on_a_gpu_is_once_compared_with_itself_on_the_cpu():
    rows = list(rows_on(section, True, torch.device("cuda:1")))
    assert [(row.what, row.against) for row in rows] == [
        ("step, 5 labels", "a loop"),
        ("step, 5 labels", "a limit"),
        ("cuda:1, step, 5 labels", "a loop"),
        ("cuda:1, step, 5 labels", ON_THE_CPU),
        ("cuda:1, step, 5 labels", "a limit"),
    ]
    beside = rows[3]
    assert (beside.ours, beside.other, beside.variable) == (ON_GPU, ON_CPU, "")


def test_the_table_names_the_devices_and_their_memory():
    *_, beside, _ = rows_on(section, True, torch.device("cuda"))
    line = table_of([beside]).iloc[0]
    assert line["ratio"] == 2
    assert (line["device"], line["other_device"]) == ("NVIDIA H200", "cpu")
    assert (line["device_mib"], line["mib"], line["other_mib"]) == (3, 2, 1)
    assert math.isnan(line["other_device_mib"])
    assert "2.0 MiB  + 3.0 MiB there" in lines_of(beside)
