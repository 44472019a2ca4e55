"""Which runs have the setting of the paper's numbers, and why the others do not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from alupdate.analysis.paper_numbers import (
    CURVES,
    LAST_CYCLE,
    UPDATES,
    PaperNumber,
    paper_numbers,
)
from alupdate.analysis.updates import REFERENCES
from alupdate.laplace.names import GAUSSIAN, SECOND_ORDER
from alupdate.utils.metrics import ACCURACY

Settings = Mapping[str, str]
"""Of a run, ``group.key`` to value as text; empty where only its tables are there."""
SAME_SETTINGS = {
    "dataset.n_train": "null",
    "dataset.n_test": "null",
    "backbone.frozen": "true",
    "backbone.image_size": "224",
    "backbone.pooling": "class_token",
    "initial": "random",
    "training.solver": "recipe",
    "training.learning_rate": "0.01",
    "training.epochs": "200",
    "training.minibatch": "64",
}
"""Settings that a run must share, where it has them."""
OF_STRATEGY = {
    "boss": {
        "strategy.n_batches": "100",
        "strategy.evaluate_on": "test",
        "strategy.loss": "error",
        "strategy.update": "retrain",
    }
}
"""Settings of strategies likewise."""
OF_UPDATE = {"likelihood": GAUSSIAN, "prior_precision": 1.0}
"""Columns of updates likewise."""
GAMMA = 10.0
"""Of their second-order update; that of their first-order update is not known."""


@dataclass(frozen=True)
class Outcome:
    """A run, or a row of updates.csv, beside the numbers that it is compared with.

    Attributes:
        dataset, backbone: as our tables call them.
        variant: what was run, as our tables call it.
        run: its name.
        seed: of the run.
        accuracies: number of the paper to ours; empty where there is a reason.
        reason: why it is not compared; empty where it is.
    """

    dataset: str
    backbone: str
    variant: str
    run: str
    seed: int
    accuracies: Mapping[PaperNumber, float]
    reason: str


def curve_outcomes(curves: pd.DataFrame, settings: Mapping[str, Settings]) -> Iterator[Outcome]:
    """Yield an outcome for each run.

    Args:
        curves: rows in the form of curve.csv.
        settings: run to its settings. Of a run that is not among them only the columns count.
    """
    for name, rows in curves.groupby("run", sort=False):
        own, first = settings.get(str(name), {}), rows.iloc[0].to_dict()
        method = _strategy(first, own)
        same = [n for n in _of_setting(CURVES, first, own) if n.method == method]
        reason = next(_against_curve(rows, method, same, own), "")
        accuracies = {} if reason else {number: _mean(rows, number) for number in same}
        yield _outcome(first, str(first["strategy"]), own, accuracies, reason)


def update_outcomes(updates: pd.DataFrame, settings: Mapping[str, Settings]) -> Iterator[Outcome]:
    """Yield an outcome for each row.

    Args:
        updates: rows in the form of updates.csv.
        settings: run to its settings. Of a run that is not among them only the columns count.
    """
    for row in updates.to_dict("records"):
        own = settings.get(str(row["run"]), {})
        same = [n for n in _of_setting(UPDATES, row, own) if n.method == row["method"]]
        reason = next(_against_update(row, same, own), "")
        numbers = [n for n in same if n.n_initial == row["n_initial"]]
        accuracies = {} if reason else {number: float(row[ACCURACY]) for number in numbers}
        yield _outcome(row, _update_variant(row), own, accuracies, reason)


def _outcome(
    row: Mapping[Any, Any],
    variant: str,
    own: Settings,
    accuracies: Mapping[PaperNumber, float],
    reason: str,
) -> Outcome:
    """Return the outcome; labels of data set and backbone are part of what was run."""
    dataset, backbone = str(row["dataset"]), str(row["backbone"])
    labels = [str(row[p]) for p in ("dataset", "backbone") if row[p] != _name(p, row, own)]
    what = ", ".join([variant, *labels])
    return Outcome(dataset, backbone, what, str(row["run"]), int(row["seed"]), accuracies, reason)


def _strategy(row: Mapping[Any, Any], own: Settings) -> str:
    """Return the strategy as the numbers call it; of a gathered file the label has to say it."""
    name = own.get("strategy.name", str(row["strategy"]))
    return "bait_binary" if name == "bait" and own.get("strategy.fisher") == "binary" else name


def _update_variant(row: Mapping[Any, Any]) -> str:
    if row["method"] in REFERENCES:
        return str(row["method"])
    size = "auto" if row["step_size"] == "auto" else f"{row['gamma']:g}"
    return f"{row['method']}, gamma {size}"


def _name(part: str, row: Mapping[Any, Any], own: Settings) -> str:
    """Return the name of a data set or backbone, whatever its label."""
    return own.get(f"{part}.name", str(row[part]))


def _of_setting(study: str, row: Mapping[Any, Any], own: Settings) -> list[PaperNumber]:
    """Return the numbers of a data set and a backbone."""
    pair = _name("dataset", row, own), _name("backbone", row, own)
    return [n for n in paper_numbers() if n.study == study and (n.dataset, n.backbone) == pair]


def _against_curve(
    rows: pd.DataFrame, method: str, same: list[PaperNumber], own: Settings
) -> Iterator[str]:
    """Yield why a run is not compared; ``same`` are the numbers of its setting and strategy."""
    first = rows.iloc[0].to_dict()
    yield from _against_names(CURVES, first, own)
    if method == "bait":
        yield "theirs is the binary BAIT (strategy.fisher=binary, or the label bait_binary)"
    if not same:
        yield f"they show no {method}"
    for part, theirs in (("batch", "top_b"), ("update", "retrain")):
        name = _name(part, first, own)
        if name != theirs:
            yield f"{part} is {name}; theirs is {theirs}"
    yield from _against_sizes(rows, same[0])
    wanted = SAME_SETTINGS | OF_STRATEGY.get(method, {})
    if same[0].candidates and method != "random":  # for which fewer candidates change nothing
        wanted |= {"subset": same[0].candidates}
    yield from _against_settings(own, wanted)


def _against_update(
    row: Mapping[Any, Any], same: list[PaperNumber], own: Settings
) -> Iterator[str]:
    """Yield why a row is not compared; ``same`` are the numbers of its setting and method."""
    yield from _against_names(UPDATES, row, own)
    if not same:
        yield f"they show no {row['method']}"
    sizes = [number.n_initial for number in same]
    if row["n_initial"] not in sizes or row["n_new"] != same[0].size:
        yield f"theirs are {same[0].size} new labels after {', '.join(map(str, sizes))}"
    if row["method"] not in REFERENCES:
        for column, value in OF_UPDATE.items():
            if row[column] != value:
                yield f"{column} is {row[column]}; theirs is {value}"
    if row["method"] == SECOND_ORDER and (row["step_size"] == "auto" or row["gamma"] != GAMMA):
        yield f"theirs is gamma {GAMMA:g}"
    yield from _against_settings(own, SAME_SETTINGS)


def _against_names(study: str, row: Mapping[Any, Any], own: Settings) -> Iterator[str]:
    dataset, backbone = _name("dataset", row, own), _name("backbone", row, own)
    theirs = {n.dataset: n.backbone for n in paper_numbers() if n.study == study}
    if dataset not in theirs:
        yield f"their {study} are of {', '.join(theirs)}"
    elif backbone != theirs[dataset]:
        yield f"backbone is {backbone}; theirs is {theirs[dataset]}"


def _against_sizes(rows: pd.DataFrame, number: PaperNumber) -> Iterator[str]:
    ordered = rows.sort_values("cycle")
    cycles, labels = ordered["cycle"].tolist(), ordered["n_labelled"].tolist()
    wanted = [number.n_initial + number.size * cycle for cycle in range(LAST_CYCLE + 1)]
    if cycles != list(range(LAST_CYCLE + 1)) or labels != wanted:
        yield (
            f"{labels[0]} to {labels[-1]} labels in {cycles[-1]} cycles; theirs are {wanted[0]} to "
            f"{wanted[-1]} in {LAST_CYCLE}, {number.size} each"
        )


def _against_settings(own: Settings, wanted: Settings) -> Iterator[str]:
    if own.get("backbone.weights") == "random":
        yield "backbone.weights is random; theirs is pretrained"
    for key, theirs in wanted.items():
        if own.get(key, theirs) != theirs:
            yield f"{key} is {own[key]}; theirs is {theirs}"


def _mean(rows: pd.DataFrame, number: PaperNumber) -> float:
    assert number.cycles is not None
    return float(rows.loc[rows["cycle"].between(*number.cycles), ACCURACY].mean())
