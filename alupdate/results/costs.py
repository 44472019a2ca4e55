"""What the labels of a run have cost, and its table, costs.csv."""

from collections.abc import Sequence
from itertools import accumulate

from alupdate.config import RunConfig

COST_COLUMNS = ("run", "cycle", "n_labelled", "cost", "unit")
COST_SETTINGS = ("cost", "cost_column")
"""Keys of data sets that say what a label costs."""


def cost_unit(config: RunConfig) -> str | None:
    """Return in what a run's labels are paid; None where each costs the same.

    It is ``words`` or ``characters``, or the name of a column.
    """
    settings = (getattr(config.dataset, key, None) for key in COST_SETTINGS)
    return next((str(value) for value in settings if value is not None), None)


def check_costs(costs: Sequence[float | None]) -> None:
    """Check that all cycles of a run have a cost, or none.

    Raises:
        ValueError: no run can have these.
    """
    known = [cost for cost in costs if cost is not None]
    if known and len(known) < len(costs):
        raise ValueError(f"cycle {list(costs).index(None)} has no cost, but others have one")
    if any(not 0 <= cost < float("inf") for cost in known):
        raise ValueError("a cycle has a cost that labels cannot have")


def cost_rows(
    run: str, config: RunConfig, cycles: Sequence[tuple[int, float | None]]
) -> list[list[object]]:
    """Return the rows of costs.csv, one per cycle; none where each label costs the same.

    Args:
        run: its name.
        config: of the run.
        cycles: the number of labels after each cycle, and what those acquired in it cost.
    """
    unit = cost_unit(config)
    paid = [cost for _, cost in cycles if cost is not None]
    if unit is None or len(paid) < len(cycles):
        return []
    labels = [n_labelled for n_labelled, _ in cycles]
    sums = zip(labels, accumulate(paid), strict=True)
    return [[run, cycle, n, float(cost), unit] for cycle, (n, cost) in enumerate(sums)]
