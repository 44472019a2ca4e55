"""Run directories as runs leave them, with made-up numbers, for what reads them."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from alupdate.config import RunConfig
from alupdate.config.check import make_config
from alupdate.results.records import Comparison, CycleRecord, UpdateRecord, tables, update_table
from alupdate.results.status import State
from alupdate.results.store import RunStore
from alupdate.utils.metrics import METRIC_NAMES
from alupdate.utils.paths import conf_dir


def settings_of(group: str, name: str) -> dict[str, Any]:
    """Return the settings of an option by default."""
    settings: dict[str, Any] = yaml.safe_load((conf_dir() / group / f"{name}.yaml").read_text())
    return settings


def config(folder: Path, seed: int = 0, **groups: Mapping[str, Any]) -> RunConfig:
    settings = {
        "dataset": {"name": "digits"},
        "backbone": {"name": "pixels"},
        "strategy": {"name": "random"},
        "batch": {"name": "top_b"},
        "posterior": {},
        "training": {},
        "update": {"name": "retrain"},
        "task": {"name": "active_learning"},
        "results_dir": str(folder.parent),
        "experiment_name": folder.name,
        "seed": seed,
    }
    return make_config(settings | groups)


def records(seed: int, name: str, cycles: int = 3, compare: bool = False) -> list[CycleRecord]:
    draw = random.Random(f"{seed} {name}")
    comparison = Comparison(10, 0.01, 0.1, 0.4, 0.5, 0.6, 0.9) if compare else None
    return [
        CycleRecord(
            cycle=cycle,
            n_labelled=10 * (cycle + 1),
            indices=tuple(range(10 * cycle, 10 * cycle + 10)),
            labels=tuple(draw.randrange(4) for _ in range(10)),
            scores={metric: 0.2 * cycle + 0.1 * draw.random() for metric in METRIC_NAMES},
            timings={"select": draw.random(), "retrain": draw.random()},
            comparison=comparison if cycle else None,
        )
        for cycle in range(cycles)
    ]


def write_run(
    folder: Path,
    *,
    seed: int = 0,
    cycles: int = 3,
    state: State = "completed",
    error: str | None = None,
    oracle: str | None = None,
    compare: bool = False,
    done: Sequence[CycleRecord] | None = None,
    **groups: Mapping[str, Any],
) -> Path:
    """Write an active-learning run of the experiment ``folder`` and return its directory."""
    settings = config(folder, seed, **groups)
    store = RunStore(settings)
    with store.locked():
        store.begin({"device": "cpu", "threads": 1, "oracle": oracle})
        done = records(seed, store.name, cycles, compare) if done is None else done
        files = tables(store.name, settings, oracle is not None, done)
        store.save([asdict(record) for record in done], files)
        store.set_state(state, error)
    return store.path


def write_paper_run(folder: Path, seed: int, **strategy: str) -> Path:
    """Write a run in the paper's setting of cifar10, with made-up numbers."""
    return write_run(
        folder,
        seed=seed,
        cycles=21,
        dataset={"name": "cifar10"},
        backbone=settings_of("backbone", "dinov2_vits14"),
        strategy={"name": "random"} | strategy,
    )


def write_study(folder: Path, seed: int = 0, gammas: Sequence[float] = (0.1, 1, 10)) -> Path:
    """Write an updating study and return its directory."""
    methods_set = [{"update": "second_order", "gammas": list(gammas)}]
    sizes = {"initial_sizes": [10, 50], "new_sizes": [1, 10, 100]}
    settings = config(folder, seed, task={"name": "updating", "methods": methods_set} | sizes)
    store = RunStore(settings)
    draw = random.Random(seed)
    nan = float("nan")
    methods: list[tuple[str, str, float, float, str]] = [
        ("base", "", nan, nan, ""),
        ("retrain", "", nan, nan, ""),
        ("retrain_lbfgs", "", nan, nan, ""),
        *(("second_order", "gaussian", 1.0, float(gamma), "fixed") for gamma in gammas),
        ("map", "per_class", 0.3, 1.0, "fixed"),
        ("map", "per_class", 0.3, 2.5 + seed, "auto"),
    ]
    found = [
        UpdateRecord(
            n_initial, n_new, *method, scores={name: draw.random() for name in METRIC_NAMES},
            decision_flips=draw.random(), agreement=draw.random(),
            seconds=0.0 if method[0] == "base" else draw.random(),
            speedup=float("inf") if method[0] == "base" else draw.random(),
            choice_seconds=0.0,
        )
        for n_initial in sizes["initial_sizes"]
        for n_new in sizes["new_sizes"]
        for method in methods
    ]  # fmt: skip
    with store.locked():
        store.begin({"device": "cpu", "threads": 1})
        store.save([], {"updates.csv": update_table(store.name, settings, found)})
        store.set_state("completed")
    return store.path
