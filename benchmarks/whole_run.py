"""Section "whole run": what each phase of a run takes, and what is spent on none of them."""

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import hydra
import pandas as pd
import torch

from alupdate.config.check import parse_config
from alupdate.experiment.job import run_job
from alupdate.utils.paths import conf_dir
from benchmarks.measure import CPU, Added, Row, Timing, added, device_name, in_turn

SECTION = "whole run"
EVERYTHING, ELSEWHERE, AUTO = "everything", "elsewhere", "device=auto"
DIGITS = ("dataset=digits", "backbone=pixels", "strategy=margin")
MNIST = ("dataset=mnist5k", "backbone=efficientnet_lite0", "strategy=margin")
QUICK = {
    "digits, margin, retraining": (*DIGITS, "update=retrain"),
    "digits, margin, second-order": (*DIGITS, "update=second_order"),
}
FULL = QUICK | {
    "mnist5k, margin, retraining": (*MNIST, "update=retrain"),
    "mnist5k, margin, second-order": (*MNIST, "update=second_order"),
}
HELP = (sys.executable, "-m", "alupdate.run", "--help")
NOTHING = (sys.executable, "-c", "pass")


@dataclass(frozen=True)
class Spent:
    """The seconds of one run.

    Attributes:
        total: from the composed and checked config to the end, without imports.
        phases: the parts that the run's ``timings.csv`` names, summed over the cycles.
    """

    total: float
    phases: dict[str, float]


def rows(quick: bool, device: torch.device = CPU) -> Iterator[Row]:
    """Yield the phases of runs of 20 cycles, and the help of the command as a whole process.

    The quick run is without mnist5k, whose features are extracted beforehand. On a GPU, each is
    also made with ``device=auto``, which leaves some steps to the CPU.
    """
    repeats = 5 if quick else 7
    with tempfile.TemporaryDirectory() as cache:
        for name, settings in (QUICK if quick else FULL).items():
            here = (*settings, f"cache_dir={cache}")
            yield from run_rows(name, here, repeats, device)
            if device.type != CPU.type:
                yield from run_rows(f"{name}, {AUTO}", (*here, AUTO), repeats, device)
    if device.type == CPU.type:
        yield help_row(repeats)


def run_rows(
    name: str, settings: Sequence[str], repeats: int, device: torch.device = CPU
) -> Iterator[Row]:
    """Yield the phases of the run of median length after one as warm-up, longest first.

    ``value`` is each one's share of the run.
    """
    settings = (f"device={device}", *settings) if AUTO not in settings else settings
    run(settings)
    more = added(lambda: run(settings), device)
    runs = sorted((run(settings) for _ in range(repeats)), key=lambda spent: spent.total)
    spent = runs[len(runs) // 2]
    elsewhere = spent.total - sum(spent.phases.values())
    parts = {**spent.phases, ELSEWHERE: elsewhere}
    for part, seconds in {EVERYTHING: spent.total, **parts}.items():
        whole = more if part == EVERYTHING else Added(math.nan)
        timing = Timing(seconds, repeats, whole.host, device_name(device), whole.device)
        share = seconds / spent.total
        what, share_in_words = f"whole run, {name}: {part}", f"{share:.1%} of the run"
        yield Row(SECTION, what, timing, agreement=share_in_words, variable="phase", value=share)


def run(settings: Sequence[str]) -> Spent:
    """Make a run from the settings of a command line, in a folder that is removed again."""
    with tempfile.TemporaryDirectory() as folder:
        here = ("progress=false", f"results_dir={folder}", f"threads={torch.get_num_threads()}")
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            config = parse_config(hydra.compose("config", [*settings, *here]))
        start = time.perf_counter()
        run_job(config)
        total = time.perf_counter() - start
        (table,) = Path(folder).glob("*/*/timings.csv")
        timings = pd.read_csv(table)
    phases = timings.groupby("phase")["seconds"].sum().sort_values(ascending=False)
    return Spent(total, {str(phase): float(seconds) for phase, seconds in phases.items()})


def help_row(repeats: int) -> Row:
    """Return the help of the command against a Python that does nothing, as whole processes."""
    timings = in_turn([lambda: _process(HELP), lambda: _process(NOTHING)], repeats)
    helping, nothing = (replace(timing, mib=math.nan) for timing in timings)
    return Row(SECTION, "python -m alupdate.run --help", helping, "python -c pass", nothing)


def _process(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
