"""What a report says in words: what was run, where, and what did not come to its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from alupdate.report.experiment import Experiment
from alupdate.report.settings import Varying, common, ranges, varying
from alupdate.statistics.variants import finished


@dataclass(frozen=True)
class Missing:
    """A run whose results are missing from figures or tables, and why."""

    run: str
    state: str
    reason: str
    updated: str


@dataclass(frozen=True)
class Facts:
    """What a report says in words.

    Attributes:
        name: of the experiment.
        summary: short statements: what, and how much.
        missing: runs that figures or tables leave out.
        oracles: a sentence per strategy that sees labels not yet bought.
        settings, provenance: what all runs share: key to value.
        varying_settings, varying_provenance: in what they differ.
        has_runs: whether run directories were read; a file of gathered runs has none.
    """

    name: str
    summary: tuple[tuple[str, str], ...]
    missing: tuple[Missing, ...]
    oracles: tuple[str, ...]
    settings: Mapping[str, str]
    varying_settings: Sequence[Varying]
    provenance: Mapping[str, str]
    varying_provenance: Sequence[Varying]
    has_runs: bool


def facts(experiment: Experiment) -> Facts:
    """Return what is to be said of an experiment."""
    runs = experiment.runs
    settings, provenance = [run.settings for run in runs], [run.provenance for run in runs]
    return Facts(
        name=experiment.name,
        summary=tuple(_summary(experiment)),
        missing=(*_missing(experiment), *_shorter(experiment)),
        oracles=tuple(_oracles(experiment)),
        settings=common(settings),
        varying_settings=varying(settings),
        provenance=common(provenance),
        varying_provenance=varying(provenance),
        has_runs=bool(runs or experiment.damaged),
    )


def _summary(experiment: Experiment) -> list[tuple[str, str]]:
    main = [experiment.tables[n] for n in ("curve.csv", "updates.csv") if n in experiment.tables]
    finished = sum(table["run"].nunique() for table in main)
    everything = finished + len(_missing(experiment))
    found = [("runs", f"{finished} finished of {everything}")]
    if main:
        seeds = pd.concat([table["seed"] for table in main]).astype(int)
        for column, words in (("dataset", "data set"), ("backbone", "backbone")):
            names = sorted({str(name) for table in main for name in table[column]})
            found.append((f"{words}s" if len(names) > 1 else words, ", ".join(names)))
        found.append(("seeds", ranges(seeds)))
    if "curve.csv" in experiment.tables:
        curves = experiment.tables["curve.csv"]
        found.append(("strategies", str(curves["strategy"].nunique())))
        labels = curves["n_labelled"].astype(int)
        found.append(("labels", f"{labels.min()} to {labels.max()}"))
    if "timings.csv" in experiment.tables:
        seconds = experiment.tables["timings.csv"]["seconds"].sum()
        found.append(("computing time", duration(seconds)))
    times = [run.started for run in experiment.runs if run.started]
    times += [run.updated for run in experiment.runs if run.updated]
    if times:
        first, last = min(times)[:10], max(times)[:10]
        found.append(("date", first if first == last else f"{first} to {last}"))
    return found


def _missing(experiment: Experiment) -> list[Missing]:
    unfinished = [
        Missing(run.name, run.state, run.reason, run.updated)
        for run in experiment.runs
        if run.state != "completed"
    ]
    damaged = [Missing(name, "damaged", why, "") for name, why in experiment.damaged.items()]
    waiting = [Missing(name, *standing, "") for name, standing in experiment.waiting.items()]
    return unfinished + waiting + damaged


def _shorter(experiment: Experiment) -> list[Missing]:
    """Return the runs that statistics leave out, as others of their setting have more cycles."""
    if "curve.csv" not in experiment.tables:
        return []
    curves = experiment.tables["curve.csv"]
    left_out = curves[~curves["run"].isin(finished(curves)["run"])]
    return [
        Missing(str(run), "shorter", f"ends at cycle {last:g}, before others: in figures only", "")
        for run, last in left_out.groupby("run")["cycle"].max().items()
    ]


def _oracles(experiment: Experiment) -> list[str]:
    said = sorted({run.oracle for run in experiment.runs if run.oracle})
    if said or "curve.csv" not in experiment.tables:
        return said
    curves = experiment.tables["curve.csv"]
    names = sorted(curves.loc[curves["oracle"], "strategy"].unique())
    return [f"strategy {name} is an oracle: it sees labels that are not bought" for name in names]


def duration(seconds: float) -> str:
    """Return seconds in the unit that suits them."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
