"""What runs have in common and in what they differ."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

MAX_VALUES = 30
"""More values than these of one setting are counted instead of listed."""


@dataclass(frozen=True)
class Varying:
    """A setting with more than one value, or that only some runs have.

    Attributes:
        key: ``group.key``.
        values: value and number of runs, in order.
        without: number of runs that have no such setting.
        owners: the options of the group that have it, where these decide; empty otherwise.
    """

    key: str
    values: tuple[tuple[str, int], ...]
    without: int
    owners: tuple[str, ...]

    @property
    def is_choice(self) -> bool:
        """Whether runs differ in the value, rather than in whether they have it."""
        return len(self.values) > 1 or not self.without


def common(runs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the settings that all runs share."""
    if not runs:
        return {}
    return {k: v for k, v in runs[0].items() if all(run.get(k) == v for run in runs)}


def varying(runs: Sequence[Mapping[str, str]]) -> list[Varying]:
    """Return the settings that differ between runs, or that only some runs have."""
    shared = common(runs)
    keys = dict.fromkeys(key for run in runs for key in run if key not in shared)
    return [_varying(key, runs) for key in keys]


def _varying(key: str, runs: Sequence[Mapping[str, str]]) -> Varying:
    values = [run[key] for run in runs if key in run]
    counted = [(value, values.count(value)) for value in sorted(set(values), key=natural)]
    if key == "seed" and all(value.isdigit() for value in values):
        counted = [(ranges(map(int, values)), len(values))]
    elif len(counted) > MAX_VALUES:
        counted = [(f"{len(counted)} different values", len(values))]
    return Varying(key, tuple(counted), len(runs) - len(values), _owners(key, runs))


def _owners(key: str, runs: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """Return the names in the key's group of the runs that have the key, if no other run has."""
    name = f"{key.split('.', maxsplit=1)[0]}.name"
    having = {run.get(name, "") for run in runs if key in run}
    lacking = {run.get(name, "") for run in runs if key not in run}
    return () if having & lacking or not lacking - {""} else tuple(sorted(having))


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as text, neighbours as ranges: 0 to 4 and 7 as two parts."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}\N{EN DASH}{b}" for a, b in spans)


def natural(text: str) -> list[tuple[bool, float, str]]:
    """Return a key that sorts numbers within texts by value."""
    parts = re.split(r"(\d+(?:\.\d+)?)", text)
    return [
        (i % 2 == 0, float(p) if i % 2 else 0.0, "" if i % 2 else p) for i, p in enumerate(parts)
    ]
