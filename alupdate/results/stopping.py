"""Verdicts of stopping rules in a run's records, and their table, stopping.csv."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alupdate.config import RunConfig
from alupdate.utils.metrics import ACCURACY

STOPPING_COLUMNS = (
    "run", "dataset", "backbone", "strategy", "batch", "update", "seed", "cycle", "n_labelled",
    "oracle", ACCURACY, "rule", "value", "stop", "ended",
)  # fmt: skip


@dataclass(frozen=True)
class StopVerdict:
    """What a stopping rule says after a cycle.

    Attributes:
        rule: its name.
        value: the quantity that it looks at; NaN where that is not defined.
        stop: whether labelling may end.
    """

    rule: str
    value: float
    stop: bool


def ending_rules(config: RunConfig, verdicts: Sequence[StopVerdict]) -> tuple[str, ...]:
    """Return the rules that end a run after the cycle with these verdicts; empty if it goes on."""
    if not config.stop.ends_run:
        return ()
    return tuple(verdict.rule for verdict in verdicts if verdict.stop)


def check_stops(config: RunConfig, cycles: Sequence[Sequence[StopVerdict]]) -> None:
    """Check that the verdicts of a run's cycles are those of its rules, and that none goes on.

    Raises:
        ValueError: no run of this config can have them.
    """
    rules = list(config.stop.used)
    for cycle, verdicts in enumerate(cycles):
        if [verdict.rule for verdict in verdicts] != rules:
            raise ValueError(f"cycle {cycle} has not one verdict for each stopping rule")
        if cycle + 1 < len(cycles) and ending_rules(config, verdicts):
            raise ValueError(f"cycle {cycle + 1} comes after the end of the run")


def stopping_rows(
    identity: Mapping[str, object],
    config: RunConfig,
    cycles: Iterable[tuple[Mapping[str, object], Sequence[StopVerdict]]],
) -> list[list[object]]:
    """Return the rows of stopping.csv: one per cycle and rule.

    Args:
        identity: the columns that say which run it is.
        config: of the run.
        cycles: the other columns of each cycle, and its verdicts.
    """
    rows = []
    for about, verdicts in cycles:
        ending = ending_rules(config, verdicts)
        for verdict in verdicts:
            values = {
                "rule": verdict.rule,
                "value": verdict.value,
                "stop": verdict.stop,
                "ended": verdict.rule in ending,
            }
            row = {**identity, **about, **values}
            rows.append([row[column] for column in STOPPING_COLUMNS])
    return rows
