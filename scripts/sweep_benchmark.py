"""What a sweep costs beyond its runs, and what two workers gain over one.

usage: python scripts/sweep_benchmark.py [RUNS]

The same RUNS (40) runs, digits with margin and one thread each, are made three times in fresh
folders: by a plain loop in one process that has imported everything, without any sweep; by a sweep
in turn; and by a sweep with two joblib workers. Each is measured as a whole after a warm-up, so
that planning, processes, locks, manifest and summary count. The start of the two workers, which
each import everything once, is given apart: a sweep of two runs.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable

from hydra import initialize_config_dir
from joblib import cpu_count

from alupdate.config.compose import Composer
from alupdate.experiment.job import run_job
from alupdate.run import exit_code
from alupdate.utils.errors import DONE, WRONG_INPUT
from alupdate.utils.paths import conf_dir

SETTINGS = ("dataset=digits", "backbone=pixels", "strategy=margin", "threads=1", "progress=false")
WORKERS = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


def loop(seeds: range, folder: str) -> None:
    """Make the runs one after the other, as a script without sweeps would."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        composer = Composer()
        settings = [*SETTINGS, f"results_dir={folder}"]
        configs = [composer.config([*settings, f"seed={seed}"]) for seed in seeds]
    for config in configs:
        run_job(config)


def sweep(seeds: range, folder: str, *launcher: str) -> None:
    """Make the runs by a sweep."""
    swept = f"seed=range({seeds.start},{seeds.stop})"
    code = exit_code(["-m", *SETTINGS, f"results_dir={folder}", swept, *launcher])
    if code:
        raise RuntimeError(f"the sweep ended with code {code}")


def seconds(step: Callable[[range, str], None], runs: int) -> tuple[float, float]:
    """Return what two first runs take, with all that has to start, and then those that count."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        step(range(runs, runs + 2), folder)
        begun = time.perf_counter()
        step(range(runs), folder)
        return begun - start, time.perf_counter() - begun


def main(arguments: list[str]) -> int:
    """Print the comparison and return the exit code."""
    if len(arguments) > 1 or not all(argument.isdigit() for argument in arguments):
        print(__doc__, file=sys.stderr)
        return WRONG_INPUT
    runs = int(arguments[0]) if arguments else 40
    _, plain = seconds(loop, runs)
    _, in_turn = seconds(sweep, runs)
    begin, parallel = seconds(lambda seeds, folder: sweep(seeds, folder, *WORKERS), runs)
    print(f"{runs} runs, {cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the end")
    print(f"plain loop        {plain:7.1f} s   {plain / runs:.2f} s per run")
    print(f"sweep in turn     {in_turn:7.1f} s   {(in_turn - plain) / runs:+.2f} s per run")
    print(
        f"sweep, 2 workers  {parallel:7.1f} s   {in_turn / parallel:.2f} times as fast as in turn"
    )
    print(f"a first sweep of 2 runs, with the start of the workers: {begin:.1f} s")
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
