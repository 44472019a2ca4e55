"""Sweeps that are hit by every fault there is, and must end as if nothing had happened.

usage: python -m tests.sweep.fault_injection FOLDER [SEEDS] [FAULTS]

Runs five strategies x SEEDS (40) on digits once in turn, without faults, into FOLDER/clean, and
once more into FOLDER/results with FAULTS (60) faults at random moments, launched again until all is
done. Prints what was injected and whether the outcomes are the same, byte for byte. FOLDER/results
becomes a small file system of its own where that is allowed, so that its disk can fill.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PARALLEL = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
MAX_LAUNCHES = 20
ROOT = Path(__file__).resolve().parents[2]
STRATEGY = """
import os
from pathlib import Path
from alupdate.strategies.uncertainty import Margin

class Unlucky(Margin):
    def select(self, query, size):
        for token in sorted(Path("tokens").glob("*")):
            try:
                os.remove(token)
            except FileNotFoundError:
                continue
            raise RuntimeError("an injected exception")
        return super().select(query, size)

make_strategy = lambda settings: Unlucky()
"""
OPTION = "name: plugin\nmodule: unlucky\nsettings: {}\nlabel: unlucky\n"
SETTINGS = ("dataset=digits", "backbone=pixels", "threads=1", "max_failures=null", "progress=false",
            "hydra.searchpath=[file://conf]")  # fmt: skip


@dataclass
class Study:
    """A sweep in a folder.

    Attributes:
        folder: where the sweep runs; its results are in ``results``.
        arguments: of the command, without launcher and places.
        rng: decides the faults.
        injected: number of faults by kind.
        launchers: processes of the sweep that have not been waited for.
        launcher: overrides that say how a sweep with faults starts its jobs.
    """

    folder: Path
    arguments: tuple[str, ...]
    rng: random.Random
    injected: Counter[str] = field(default_factory=Counter)
    launchers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    launcher: tuple[str, ...] = PARALLEL

    @property
    def results(self) -> Path:
        return self.folder / "results" / "default"

    def prepare(self) -> None:
        """Write the strategy that raises on demand, and mount a small disk for the results."""
        (self.folder / "tokens").mkdir(parents=True)
        (self.folder / "results").mkdir()
        (self.folder / "unlucky.py").write_text(STRATEGY)
        (self.folder / "conf" / "strategy").mkdir(parents=True)
        (self.folder / "conf" / "strategy" / "unlucky.yaml").write_text(OPTION)
        mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(self.folder / "results")]
        subprocess.run(mount, check=False, capture_output=True)

    def launch(self, *more: str) -> subprocess.Popen[bytes]:
        """Start the sweep and return its process."""
        command = [sys.executable, "-m", "alupdate.run", "-m", *SETTINGS, *self.arguments, *more]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with (self.folder / "launches.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log
            )
        self.launchers.append(process)
        return process

    def started(self) -> list[Path]:
        """Return the directories of runs that have begun."""
        return sorted(path.parent for path in self.results.glob("*/status.json"))


def kill_worker(study: Study) -> bool:
    """Kill a process that works on a run, or one that launches such processes."""
    children = [
        child
        for launcher in study.launchers
        if launcher.poll() is None
        for child in psutil.Process(launcher.pid).children(recursive=True)
    ]
    if not children:
        return False
    study.rng.choice(children).send_signal(signal.SIGKILL)
    return True


def kill_parent(study: Study) -> bool:
    """Kill a process that the user started."""
    alive = [launcher for launcher in study.launchers if launcher.poll() is None]
    if not alive:
        return False
    study.rng.choice(alive).kill()
    return True


def raise_exception(study: Study) -> bool:
    """Let the next query of the unlucky strategy raise."""
    token = study.folder / "tokens" / str(time.monotonic_ns())
    token.touch()
    return True


def fill_disk(study: Study) -> bool:
    """Leave no byte on the results' disk for a while."""
    filler = study.folder / "results" / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    time.sleep(study.rng.uniform(0.5, 2))
    filler.unlink()
    return True


def truncate_state(study: Study) -> bool:
    """Cut a run's state in the middle."""
    states = sorted(study.results.glob("*/state.json"))
    if not states:
        return False
    state = study.rng.choice(states)
    os.truncate(state, state.stat().st_size // 2)
    return True


def remove_run(study: Study) -> bool:
    """Remove the directory of a run, whatever its state."""
    started = study.started()
    if not started:
        return False
    shutil.rmtree(study.rng.choice(started), ignore_errors=True)
    return True


def launch_again(study: Study) -> bool:
    """Start the same sweep beside the one that is running."""
    if sum(launcher.poll() is None for launcher in study.launchers) != 1:
        return False
    study.launch(*study.launcher)
    return True


FAULTS: tuple[Callable[[Study], bool], ...] = (
    kill_worker, kill_parent, raise_exception, fill_disk, truncate_state, remove_run, launch_again,
)  # fmt: skip


def run_with_faults(study: Study, count: int, pause: float) -> int:
    """Inject ``count`` faults, launching again whenever nothing runs; return the launches.

    Kinds take turns in random order; one that finds no victim is tried again after the others.
    """
    mounted = os.path.ismount(study.folder / "results")
    kinds = [fault for fault in FAULTS if mounted or fault is not fill_disk]
    waiting: list[Callable[[Study], bool]] = []
    while sum(study.injected.values()) < count:
        if all(launcher.poll() is not None for launcher in study.launchers):
            study.launch(*study.launcher)
        time.sleep(study.rng.uniform(0, 2 * pause))
        waiting = waiting or study.rng.sample(kinds, len(kinds))
        fault = waiting.pop()
        try:
            done = fault(study)
        except (OSError, psutil.Error):  # the victim was gone at that moment
            done = False
        study.injected[fault.__name__] += done
        waiting = waiting if done else [fault, *waiting]
    return _finish(study)


def _finish(study: Study) -> int:
    """Launch until the sweep says that all is done."""
    for _ in range(MAX_LAUNCHES):
        for launcher in study.launchers:
            launcher.wait()
        if study.launch(*study.launcher).wait() == 0:
            return len(study.launchers)
    raise AssertionError("the sweep does not come to an end")


def differences(clean: Path, results: Path) -> list[str]:
    """Return what is not as it is after a sweep without faults; nothing if all is well."""
    wanted = sorted(path.name for path in clean.iterdir() if path.is_dir())
    found = sorted(path.name for path in results.iterdir() if path.is_dir())
    wrong = [f"{name}: only in one of the two" for name in set(wanted) ^ set(found)]
    for name in set(wanted) & set(found):
        for table in ("curve.csv", "queries.csv"):
            if (clean / name / table).read_bytes() != (results / name / table).read_bytes():
                wrong.append(f"{name}: another {table}")
        ends = (results / name / "run.log").read_text().count(": completed\n")
        if ends != 1:
            wrong.append(f"{name}: came to its end {ends} times")
    return wrong


def main(arguments: list[str]) -> int:
    """Run the study and print what came of it."""
    folder = Path(arguments[0]).resolve()
    seeds, faults = (int(argument) for argument in (*arguments[1:], "40", "60")[:2])
    sweep = ("strategy=unlucky,random,margin,entropy,badge", f"seed=range({seeds})", "n_cycles=10")
    study = Study(folder, sweep, random.Random(0))
    study.prepare()
    start = time.monotonic()
    study.launch("results_dir=clean").wait()
    clean = time.monotonic()
    launches = run_with_faults(study, faults, pause=2.0)
    wrong = differences(folder / "clean" / "default", study.results)
    seconds = f"in turn {clean - start:.0f} s, with faults {time.monotonic() - clean:.0f} s"
    print(f"{5 * seeds} runs: {seconds} and {launches} launches; {dict(study.injected)}")
    print("\n".join(wrong) or "every curve and query is the same, and no run came to its end twice")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
