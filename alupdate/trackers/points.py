"""What a tracker is told of a run's finished steps: numbers under names."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

UPDATE_NUMBERS = (
    "accuracy", "nll", "brier", "ece", "ace", "decision_flips", "agreement", "seconds", "speedup",
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One finished step.

    Attributes:
        step: its place on the x-axis: the number of labels (in ``task=updating`` of the base
            model), so that runs with batches of different sizes lie on one axis.
        seconds: what it took.
        values: name to finite number; names of one kind share a prefix, as in ``seconds/select``.
    """

    step: int
    seconds: float
    values: dict[str, float]


def points_of(steps: Sequence[Mapping[str, Any]]) -> list[Point]:
    """Return the points of a run's steps, as its store holds them."""
    return [
        _updates(number, step) if "records" in step else _cycle(step)
        for number, step in enumerate(steps)
    ]


def _cycle(record: Mapping[str, Any]) -> Point:
    """The scores, the seconds per phase, and the comparison of update and retraining."""
    values = {"cycle": record["cycle"]} | record["scores"]
    values |= {f"seconds/{phase}": seconds for phase, seconds in record["timings"].items()}
    comparison = record["comparison"] or {}
    values |= {f"comparison/{name}": value for name, value in comparison.items()}
    return Point(record["n_labelled"], sum(record["timings"].values()), _finite(values))


def _updates(number: int, step: Mapping[str, Any]) -> Point:
    """All models on one number of initial labels."""
    values: dict[str, Any] = {"cycle": number}
    for record in step["records"]:
        model = f"{_model_name(record)}/new_{record['n_new']}"
        values |= {f"{name}/{model}": record[name] for name in UPDATE_NUMBERS}
    seconds = sum(record["seconds"] for record in step["records"])
    return Point(step["records"][0]["n_initial"], seconds, _finite(values))


def _model_name(record: Mapping[str, Any]) -> str:
    """Return the update with what tells it from others, as in second_order-gaussian-p1-g10."""
    if not record["likelihood"]:
        return str(record["method"])
    gamma = "auto" if record["step_size"] == "auto" else f"{record['gamma']:g}"
    prior = f"{record['prior_precision']:g}"
    return f"{record['method']}-{record['likelihood']}-p{prior}-g{gamma}"


def _finite(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}
