"""Summary and provenance of an experiment, for the words of a report."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from alupdate.analysis.lengths import left_out_of_tables
from alupdate.results.reader import MissingRun, Results

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


@dataclass(frozen=True)
class Facts:
    """Summary and provenance of an experiment.

    Attributes:
        name: of the experiment.
        summary: short statements: what, and how much.
        missing: runs that figures or tables leave out, and those that a rule ended.
        oracles: a sentence per strategy that sees labels not acquired yet.
        settings, provenance: what all runs share: key to value.
        varying_settings, varying_provenance: in what they differ.
        has_runs: whether run directories were read; a file of gathered runs has none.
    """

    name: str
    summary: tuple[tuple[str, str], ...]
    missing: tuple[MissingRun, ...]
    oracles: tuple[str, ...]
    settings: Mapping[str, str]
    varying_settings: Sequence[Varying]
    provenance: Mapping[str, str]
    varying_provenance: Sequence[Varying]
    has_runs: bool


def facts(results: Results) -> Facts:
    """Return summary and provenance of an experiment."""
    runs = results.runs
    settings, provenance = [run.settings for run in runs], [run.provenance for run in runs]
    return Facts(
        name=results.name,
        summary=tuple(_summary(results)),
        missing=(*results.missing, *left_out_of_tables(results)),
        oracles=tuple(_oracles(results)),
        settings=common(settings),
        varying_settings=varying(settings),
        provenance=common(provenance),
        varying_provenance=varying(provenance),
        has_runs=bool(runs or results.missing),
    )


def _summary(results: Results) -> list[tuple[str, str]]:
    main = [table for table in (results.curves, results.updates) if table is not None]
    n_finished = sum(table["run"].nunique() for table in main)
    found = [("runs", f"{n_finished} finished of {n_finished + len(results.missing)}")]
    if main:
        seeds = pd.concat([table["seed"] for table in main])
        for column, words in (("dataset", "data set"), ("backbone", "backbone")):
            names = sorted({str(name) for table in main for name in table[column]})
            found.append((f"{words}s" if len(names) > 1 else words, ", ".join(names)))
        found.append(("seeds", ranges(seeds)))
    if results.curves is not None:
        found.append(("strategies", str(results.curves["strategy"].nunique())))
        labels = results.curves["n_labelled"]
        found.append(("labels", f"{labels.min()} to {labels.max()}"))
    if results.timings is not None:
        found.append(("computing time", duration(results.timings["seconds"].sum())))
    times = [run.started for run in results.runs if run.started]
    times += [run.updated for run in results.runs if run.updated]
    if times:
        first, last = min(times)[:10], max(times)[:10]
        found.append(("date", first if first == last else f"{first} to {last}"))
    return found


def _oracles(results: Results) -> list[str]:
    said = sorted({run.oracle for run in results.runs if run.oracle})
    if said or results.curves is None:
        return said
    names = sorted(results.curves.loc[results.curves["oracle"], "strategy"].unique())
    return [f"strategy {name} is an oracle: it sees labels not acquired yet" for name in names]


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


def duration(seconds: float) -> str:
    """Return seconds in the unit that suits them."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
