"""What a run's labels are worth on disturbed data, cycle by cycle: its table, disturbances.csv."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from alupdate.config import RunConfig

COUNTED: Mapping[str, str] = {
    "label_noise": "n_wrong",
    "outliers": "n_outliers",
    "duplicates": "n_repeated",
}
"""Disturbances whose hits are counted, and the column that has their number."""
PICK_COLUMNS = ("run", "cycle", "n_labelled", "disturbance")
"""Of disturbances.csv; behind them the columns of ``COUNTED`` that the run has."""


@dataclass(frozen=True)
class PickCounts:
    """What was labelled and asked about up to the end of a cycle; None for what is not disturbed.

    Attributes:
        n_wrong: labels that are not the true ones.
        n_outliers: instances that were asked about and that nobody can label.
        n_repeated: labelled instances that repeat one which is labelled as well.
    """

    n_wrong: int | None = None
    n_outliers: int | None = None
    n_repeated: int | None = None


def check_picks(counts: PickCounts | None, n_seen: int) -> None:
    """Check that no more picks are counted than there are.

    Raises:
        ValueError: no run can have these.
    """
    found = {} if counts is None else asdict(counts)
    if any(number is not None and not 0 <= number <= n_seen for number in found.values()):
        raise ValueError("more picks are wrong, outliers or repeated than there are")


def pick_table(
    run: str, config: RunConfig, cycles: Sequence[tuple[int, PickCounts | None]]
) -> tuple[tuple[str, ...], list[list[object]]]:
    """Return the columns and the rows of disturbances.csv, one per cycle.

    There are no rows where nothing is counted.

    Args:
        run: its name.
        config: of the run.
        cycles: the number of labels after each cycle, and the counts.
    """
    dataset = config.dataset
    columns = tuple(COUNTED[key] for key in dataset.disturbed_by if key in COUNTED)
    known = [(n, asdict(counts)) for n, counts in cycles if counts is not None]
    if not columns or len(known) < len(cycles):
        return PICK_COLUMNS, []
    name = dataset.disturbance_label.removeprefix("_")
    rows: list[list[object]] = [
        [run, cycle, n, name, *(counts[column] for column in columns)]
        for cycle, (n, counts) in enumerate(known)
    ]
    return (*PICK_COLUMNS, *columns), rows
