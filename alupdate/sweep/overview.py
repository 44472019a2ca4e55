"""``task=status``: how the runs of an experiment stand, and how long the rest will take."""

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median

import yaml

from alupdate.display import Display
from alupdate.errors import InputError
from alupdate.results.status import STATUS
from alupdate.sweep.manifest import MANIFEST, ManifestRow, current_row, read_manifest, variant

STATES = ("completed", "running", "waiting", "interrupted", "failed", "refused")
LEFT = ("running", "waiting", "interrupted")
RUNS_SHOWN = 20


@dataclass(frozen=True)
class Overview:
    """How an experiment stands.

    Attributes:
        rows: of all its runs, as they stand now.
        cycles: of runs that have begun and not ended: run name to cycles done and wanted.
        time_left: if the rest takes as long as what is done, with as many runs at once as now;
            None if nothing is done yet or nothing is running.
    """

    rows: tuple[ManifestRow, ...]
    cycles: Mapping[str, tuple[int, int]]
    time_left: timedelta | None


def overview(folder: Path) -> Overview:
    """Return how the runs of an experiment stand: those of its manifest, and any others in it.

    Raises:
        InputError: it is no experiment, or its manifest is damaged.
    """
    if not folder.is_dir():
        raise InputError(f"experiment_dir={folder}: no such directory")
    wanted = read_manifest(folder) if (folder / MANIFEST).exists() else []
    names = {row.run for row in wanted}
    found = sorted(path.parent for path in folder.glob(f"*/{STATUS}"))
    rows = [_now(folder, row) for row in wanted]
    rows += [current_row(path, ()) for path in found if path.name not in names]
    if not rows:
        raise InputError(f"experiment_dir={folder}: holds no runs; give results/NAME")
    begun = [row.run for row in rows if row.state in ("running", "interrupted", "failed")]
    cycles = {run: _cycles(folder / run) for run in begun}
    return Overview(tuple(rows), cycles, _time_left(rows, cycles))


def show_overview(folder: Path, display: Display) -> None:
    """Print an experiment's runs by variant and state, what runs, what failed, the time left."""
    found = overview(folder)
    variants: dict[str, Counter[str]] = {}
    for row in found.rows:
        variants.setdefault(variant(row.run), Counter())[row.state] += 1
    used = [state for state in STATES if any(counts[state] for counts in variants.values())]
    table = [[name, *(str(counts[s]) for s in used)] for name, counts in variants.items()]
    total = Counter(row.state for row in found.rows)
    table.append([f"all {len(found.rows)}", *(str(total[state]) for state in used)])
    display.report(str(folder), ["runs", *used], table)
    unfinished = [row for row in found.rows if row.run in found.cycles or row.state == "refused"]
    if unfinished:
        lines = [[r.run, r.state, _progress(found, r.run), r.reason] for r in unfinished]
        columns = ["run", "state", "cycles", "reason"]
        display.report("not completed", columns, lines[:RUNS_SHOWN])
    left = sum(row.state in LEFT for row in found.rows)
    if left and found.time_left is not None:
        display.say(f"time left: about {_rounded(found.time_left)}, for {left} runs")
    elif left:
        display.say(f"{left} runs left; no estimate of the time while none runs")


def _now(folder: Path, row: ManifestRow) -> ManifestRow:
    refusal = row.reason if row.state == "refused" else None
    return current_row(folder / row.run, shlex.split(row.overrides), refusal)


def _cycles(path: Path) -> tuple[int, int]:
    """Return how many steps of a run are done, and how many it has; 0 where that is not known."""
    try:
        done = len(json.loads((path / "state.json").read_text(encoding="utf-8"))["steps"])
    except (OSError, ValueError, KeyError, TypeError):
        done = 0
    try:
        config = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
        wanted = int(config["n_cycles"]) + 1
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        wanted = 0
    return done, wanted


def _progress(found: Overview, run: str) -> str:
    done, wanted = found.cycles.get(run, (0, 0))
    return f"{done}/{wanted}" if wanted else ""


def _time_left(
    rows: Sequence[ManifestRow], cycles: Mapping[str, tuple[int, int]]
) -> timedelta | None:
    """Take the median time of a variant's completed runs, or of all, for each that is left."""
    taken: dict[str, list[float]] = {}
    for row in rows:
        if row.state == "completed" and row.seconds:
            taken.setdefault(variant(row.run), []).append(float(row.seconds))
    running = sum(row.state == "running" for row in rows)
    if not taken or not running:
        return None
    usual = median(seconds for variant in taken.values() for seconds in variant)
    work = 0.0
    for row in rows:
        if row.state in LEFT:
            done, wanted = cycles.get(row.run, (0, 0))
            share = 1 - done / wanted if wanted else 1.0
            work += share * median(taken.get(variant(row.run), [usual]))
    return timedelta(seconds=work / running)


def _rounded(time: timedelta) -> str:
    return str(timedelta(seconds=round(time.total_seconds())))
