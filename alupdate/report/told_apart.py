"""Runs whose names are the same though their settings are not."""

from collections.abc import Iterable
from dataclasses import replace

from alupdate.config import WHERE_DATA_LIE
from alupdate.report.run_folder import Run

SAME_RUN = WHERE_DATA_LIE | {"seed"}
"""Settings in which runs of one curve may differ: the last parts of their keys."""


def told_apart(runs: Iterable[Run]) -> list[Run]:
    """Return the runs, where needed with the settings that tell them apart behind the strategy.

    A table of curves shows the names of strategy, batch and update only. Runs that share them but
    differ in another setting, such as ``update.gamma``, are not repetitions of one another.
    """
    groups: dict[tuple[str, ...], list[Run]] = {}
    told = []
    for run in runs:
        if "curve.csv" in run.tables:
            groups.setdefault(_variant(run), []).append(run)
        else:
            told.append(run)
    for group in groups.values():
        keys = _differing(group)
        told += [_named(run, keys) for run in group] if keys else group
    return told


def _variant(run: Run) -> tuple[str, ...]:
    first = run.tables["curve.csv"].iloc[0]
    return tuple(str(first[c]) for c in ("dataset", "backbone", "strategy", "batch", "update"))


def _differing(runs: list[Run]) -> list[str]:
    """Return the keys with several values; an earlier version may lack one that is null now."""
    keys = {key for run in runs for key in run.settings if key.split(".")[-1] not in SAME_RUN}
    return sorted(k for k in keys if len({run.settings.get(k, "null") for run in runs}) > 1)


def _named(run: Run, keys: list[str]) -> Run:
    values = (f"{key.removeprefix('strategy.')}={run.settings.get(key, 'null')}" for key in keys)
    curve = run.tables["curve.csv"]
    renamed = curve.assign(strategy=curve["strategy"] + " (" + ", ".join(values) + ")")
    return replace(run, tables={**run.tables, "curve.csv": renamed})
