"""Which runs have the setting of the paper's numbers, and why the others do not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
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
from alupdate.laplace.names import GAUSSIAN, MAP, SECOND_ORDER
from alupdate.utils.metrics import ACCURACY

Settings = Mapping[str, str]
"""Of a run, ``group.key`` to value as text; empty where only its tables are there."""
Needed = Mapping[str, tuple[str, ...]]
"""Key to the values that a run may have. Of a model in a folder the folder's name counts."""
SAME_SETTINGS = {
    "dataset.n_train": ("null",),
    "dataset.n_test": ("null",),
    "initial": ("random",),
    "posterior.predictive": (MAP,),
    "training.solver": ("recipe",),
    "training.learning_rate": ("0.01",),
    "training.weight_decay": ("0.0001", "0.0005"),  # the recipe's, and that of their second study
    "training.epochs": ("200",),
    "training.minibatch": ("64",),
}
"""What every run must have, where it has the key."""
OF_BACKBONE = {
    "dinov2_vits14": {
        "backbone.model": ("vit_small_patch14_dinov2.lvd142m",),
        "backbone.frozen": ("true",),
        "backbone.image_size": ("224",),
    },
    "bert": {
        "backbone.model": ("bert-base-uncased",),
        "backbone.pooling": ("class_token",),
        "backbone.max_length": ("128",),
    },
}
"""Settings of backbones likewise."""
OF_STRATEGY = {
    "typiclust": {
        "strategy.n_neighbours": ("20",),
        "strategy.max_clusters": ("500",),
        "strategy.min_cluster_size": ("5",),
    },
    "dropquery": {
        "strategy.n_passes": ("3",),
        "strategy.dropout": ("0.75",),
        "strategy.oversample": ("25",),
    },
    "alfamix": {"strategy.epsilon": ("0.2",)},
    "bait_binary": {"strategy.oversample": ("2",), "strategy.regularisation": ("1.0",)},
    "boss": {
        "strategy.n_batches": ("100",),
        "strategy.largest_subset": ("5000",),
        "strategy.evaluate_on": ("test",),
        "strategy.loss": ("error",),
        "strategy.update": ("retrain",),
    },
}
"""Settings of strategies likewise."""
OF_UPDATE = {"likelihood": GAUSSIAN, "prior_precision": 1.0}
"""Columns of updates, and their values."""
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


def needed_settings(number: PaperNumber) -> Needed:
    """Return the settings that a run must have to be compared with a number, key to values."""
    needed = SAME_SETTINGS | OF_BACKBONE[number.backbone] | OF_STRATEGY.get(number.method, {})
    if number.candidates and number.method != "random":  # for which fewer change nothing
        needed |= {"subset": (number.candidates,)}
    return needed


def _outcome(
    row: Mapping[Any, Any],
    variant: str,
    own: Settings,
    accuracies: Mapping[PaperNumber, float],
    reason: str,
) -> Outcome:
    """Return the outcome; labels of data set and backbone are part of what was run.

    So are weights from a file: nothing says whether they are the pretrained ones.
    """
    dataset, backbone = str(row["dataset"]), str(row["backbone"])
    labels = [str(row[p]) for p in ("dataset", "backbone") if row[p] != _name(p, row, own)]
    weights = own.get("backbone.weights", "pretrained")
    files = [] if weights in {"pretrained", "random"} else [weights]
    what = ", ".join([variant, *labels, *files])
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
    yield from _against_settings(own, needed_settings(same[0]))


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
    yield from _against_settings(own, needed_settings(same[0]))


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


def _against_settings(own: Settings, needed: Needed) -> Iterator[str]:
    if own.get("backbone.weights") == "random":
        yield "backbone.weights is random; theirs is pretrained"
    for key, values in needed.items():
        value = own.get(key, values[0])
        if (PurePath(value).name if key == "backbone.model" else value) not in values:
            yield f"{key} is {value}; needed: {' or '.join(values)}"


def _mean(rows: pd.DataFrame, number: PaperNumber) -> float:
    assert number.cycles is not None
    return float(rows.loc[rows["cycle"].between(*number.cycles), ACCURACY].mean())
