"""Measure speed and memory against plain implementations, peers and the machine's own limit.

usage: python scripts/benchmark.py [OUTPUT.csv] [--quick] [--only SECTION] [--threads N]
                                   [--device cpu|cuda|cuda:N]

Prints each row as soon as it is measured: a step, and below it what it is compared with, with the
median seconds of both, the memory that each adds, and how many times as long the other one takes.
After each section, all rows so far go to OUTPUT.csv. What is compared takes turns in this process,
with the same threads (1), after a warm-up; imports and data are left out. --quick has fewer and
smaller cases. --device cuda measures every section on the CPU, which is the default, and then on
the GPU, where each step is also compared with itself on the CPU and the GPU's memory is measured.
The sections are in benchmarks/sections.py.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from alupdate.utils.errors import DONE, WRONG_INPUT, InputError
from alupdate.utils.files import replace_file
from benchmarks.devices import device_of, rows_on
from benchmarks.lines import lines_of
from benchmarks.measure import CPU, Row, device_name
from benchmarks.sections import SECTIONS
from benchmarks.table import processor, table_of, versions


def measured(name: str, quick: bool, device: torch.device) -> Iterator[Row]:
    """Yield the rows of a section, each printed when it is there."""
    print(f"\n{name}", flush=True)
    for row in rows_on(SECTIONS[name], quick, device):
        print(lines_of(row), flush=True)
        yield row


def write(rows: Sequence[Row], path: Path) -> None:
    """Replace the table by one of all rows so far."""
    text = table_of(rows).to_csv(index=False, lineterminator="\n", float_format="%.6g")
    replace_file(path, text)


def parsed(arguments: list[str]) -> argparse.Namespace:
    """Return the arguments; a wrong one ends the process with a usage message and code 2."""
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=list(SECTIONS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default=CPU.type)
    chosen = parser.parse_args(arguments)
    if chosen.threads < 1:
        parser.error(f"--threads {chosen.threads}: has to be at least 1")
    if chosen.output is not None and not chosen.output.absolute().parent.is_dir():
        parser.error(f"{chosen.output}: there is no folder {chosen.output.parent}")
    return chosen


def main(arguments: list[str]) -> int:
    """Print the rows, write them if a file is named, and return the exit code."""
    try:
        chosen = parsed(arguments)
    except SystemExit as answer:
        return int(answer.code or 0)
    names = [chosen.only] if chosen.only else list(SECTIONS)
    torch.set_num_threads(chosen.threads)
    rows: list[Row] = []
    try:
        device = device_of(chosen.device)
        with threadpool_limits(chosen.threads):
            machine = (processor(), f"threads: {chosen.threads}", *versions())
            print("; ".join((*machine, f"device: {device_name(device)}")), flush=True)
            for name in names:
                rows += measured(name, chosen.quick, device)
                if chosen.output is not None:
                    write(rows, chosen.output)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_INPUT
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
