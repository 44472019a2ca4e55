"""Records of finished cycles and of compared updates, and the CSV files made of them."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from alupdate.config import RunConfig, UpdatingTask, display_name
from alupdate.config.values import NO_LABEL
from alupdate.results.annotations import (
    ANNOTATION_COLUMNS,
    CycleAnnotations,
    annotation_rows,
    n_annotations,
)
from alupdate.results.costs import COST_COLUMNS, check_costs, cost_rows
from alupdate.results.forecasts import FORECAST_COLUMNS, Forecast, forecast_rows
from alupdate.results.picks import PickCounts, check_picks, pick_table
from alupdate.results.stopping import STOPPING_COLUMNS, StopVerdict, stopping_rows
from alupdate.utils.metrics import ACCURACY, known_columns, metric_values, with_metrics


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format rows as CSV; floats with ten significant digits, booleans in lower case."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.10g}" if isinstance(value, float) else value


MAIN_TABLES = {"active_learning": "curve.csv", "updating": "updates.csv"}
"""Task to the CSV file for which its runs are made."""
CURVE_COLUMNS = with_metrics(
    before=(
        "run", "dataset", "backbone", "strategy", "batch", "update", "seed", "cycle", "n_labelled",
    ),
    after=("oracle",),
)  # fmt: skip
TIMING_COLUMNS = ("run", "cycle", "phase", "seconds")
QUERY_COLUMNS = ("run", "cycle", "position", "pool_index", "label")
FORECAST_TABLE = (
    "run", "dataset", "backbone", "strategy", "batch", "update", "seed",
    *FORECAST_COLUMNS, ACCURACY,
)  # fmt: skip
"""Columns of forecast.csv; the last one is what came true on the test set."""
COMPARISON_COLUMNS = (
    "run", "cycle", "n_labelled", "n_new", "update_seconds", "retrain_seconds", "speedup",
    "before_accuracy", "update_accuracy", "retrain_accuracy", "agreement",
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Updating and retraining on the same new labels.

    Attributes:
        n_new: number of new labels.
        update_seconds, retrain_seconds: what each took.
        before_accuracy, update_accuracy, retrain_accuracy: on the test set.
        agreement: share of test instances on which the updated and the retrained model agree.
    """

    n_new: int
    update_seconds: float
    retrain_seconds: float
    before_accuracy: float
    update_accuracy: float
    retrain_accuracy: float
    agreement: float


@dataclass(frozen=True)
class CycleRecord:
    """One finished cycle; cycle 0 is the model on the initial labels, if any.

    Attributes:
        n_labelled: labels acquired so far; an instance that nobody can label counts as one, and
            each annotation where annotators err.
        indices, labels: what was acquired in this cycle, in order; NO_LABEL for no label.
        scores: metric name to value, on the test set.
        timings: phase (features, doubt, select, step_size, update, retrain, evaluate, stop) to
            seconds.
        annotations: of annotators who err; None where all labels are right.
        cost: of what was acquired in this cycle; None where each label costs the same.
        stopping: the verdicts of the stopping rules, if there are any.
        forecast: what is expected after the cycle; None where nobody asked.
        picks: how many are wrong, outliers or repeated by its end; None on data without these.
    """

    cycle: int
    n_labelled: int
    indices: tuple[int, ...]
    labels: tuple[int, ...]
    scores: Mapping[str, float]
    timings: Mapping[str, float]
    comparison: Comparison | None = None
    annotations: CycleAnnotations | None = None
    cost: float | None = None
    stopping: tuple[StopVerdict, ...] = ()
    forecast: Forecast | None = None
    picks: PickCounts | None = None

    def as_step(self) -> dict[str, Any]:
        """Return the record as a step of the run's state, without what the run does not have."""
        lacks = {name for name in ("stopping", "forecast", "picks") if not getattr(self, name)}
        return {key: value for key, value in asdict(self).items() if key not in lacks}


CURVE_PARTS = ("dataset", "backbone", "strategy", "batch", "update")
"""Groups whose options are columns of curve.csv."""


def tables(
    run: str, config: RunConfig, oracle: bool, records: Sequence[CycleRecord]
) -> dict[str, str]:
    """Return the CSV files of an active-learning run: name to content."""
    curve = [
        _identity(run, config, CURVE_PARTS)
        | {"cycle": r.cycle, "n_labelled": r.n_labelled, "oracle": oracle}
        | metric_values(r.scores)
        for r in records
    ]
    timings = [
        [run, r.cycle, phase, f"{seconds:.6f}"]
        for r in records
        for phase, seconds in r.timings.items()
    ]
    queries = [
        [run, r.cycle, position, index, label]
        for r in records
        for position, (index, label) in enumerate(zip(r.indices, r.labels, strict=True))
    ]
    columns = known_columns(CURVE_COLUMNS, (r.scores for r in records))
    files = {
        "curve.csv": csv_text(columns, _ordered(curve, columns)),
        "timings.csv": csv_text(TIMING_COLUMNS, timings),
        "queries.csv": csv_text(QUERY_COLUMNS, queries),
    }
    extras = _extra_tables(run, config, curve, records)
    return files | {name: csv_text(*table) for name, table in extras.items() if table[1]}


def _extra_tables(
    run: str, config: RunConfig, curve: Sequence[Mapping[str, Any]], records: Sequence[CycleRecord]
) -> dict[str, tuple[Sequence[str], list[list[object]]]]:
    """Return columns and rows of the tables that only some runs have; no rows for the others.

    Args:
        run: its name.
        config: of the run.
        curve: the rows of curve.csv.
        records: of its cycles.
    """
    costs = [(r.n_labelled, r.cost) for r in records]
    return {
        "comparison.csv": (
            COMPARISON_COLUMNS,
            [_comparison_row(run, r, r.comparison) for r in records if r.comparison],
        ),
        "costs.csv": (COST_COLUMNS, cost_rows(run, config, costs)),
        "stopping.csv": (STOPPING_COLUMNS, _stopping_rows(run, config, curve, records)),
        "annotations.csv": (
            ANNOTATION_COLUMNS,
            annotation_rows(run, [(r.indices, r.annotations) for r in records]),
        ),
        "disturbances.csv": pick_table(run, config, [(r.n_labelled, r.picks) for r in records]),
        "forecast.csv": (FORECAST_TABLE, _forecast_rows(run, config, records)),
    }


def _stopping_rows(
    run: str, config: RunConfig, curve: Sequence[Mapping[str, Any]], records: Sequence[CycleRecord]
) -> list[list[object]]:
    """Return the rows of stopping.csv, given those of curve.csv."""
    cycles = [
        ({key: row[key] for key in ("cycle", "n_labelled", "oracle", ACCURACY)}, record.stopping)
        for row, record in zip(curve, records, strict=True)
    ]
    return stopping_rows(_identity(run, config, CURVE_PARTS), config, cycles)


def _forecast_rows(
    run: str, config: RunConfig, records: Sequence[CycleRecord]
) -> list[list[object]]:
    """Return the rows of forecast.csv; none where nobody asked for it."""
    expected = [(r.n_labelled, r.forecast, r.scores[ACCURACY]) for r in records if r.forecast]
    identity = list(_identity(run, config, CURVE_PARTS).values())
    return [[*identity, *cells, truth] for cells, truth in forecast_rows(expected)]


def _identity(run: str, config: RunConfig, parts: Sequence[str]) -> dict[str, object]:
    """Return the columns that say which run it is."""
    names = {part: display_name(getattr(config, part)) for part in parts}
    return {"run": run, **names, "seed": config.seed}


def _ordered(
    rows: Iterable[Mapping[str, object]], columns: Sequence[str]
) -> Iterator[Sequence[object]]:
    return ([row[column] for column in columns] for row in rows)


def _comparison_row(run: str, record: CycleRecord, c: Comparison) -> list[object]:
    return [
        run, record.cycle, record.n_labelled, c.n_new,
        f"{c.update_seconds:.6f}", f"{c.retrain_seconds:.6f}",
        c.retrain_seconds / c.update_seconds,
        c.before_accuracy, c.update_accuracy, c.retrain_accuracy, c.agreement,
    ]  # fmt: skip


@dataclass(frozen=True)
class UpdateRecord:
    """One model on one pair of an initial and a new set of labels.

    Attributes:
        n_initial, n_new: numbers of labels of the base model, and new ones.
        method: base | retrain | retrain_lbfgs | an update's name.
        likelihood: of the posterior that was updated; empty for the first three.
        prior_precision: of that posterior; NaN for the first three.
        gamma: step size; NaN for the first three.
        step_size: how gamma was found: fixed | auto; empty for the first three.
        scores: metric name to value, on the test set.
        decision_flips: share of test instances whose prediction differs from the base model's.
        agreement: share of test instances with the prediction of the retrained model.
        seconds: of the update (median of five; one run where it takes over 50 ms) or of
            retraining, posterior included; 0 for the base model.
        speedup: seconds of retraining by the configured solver over these seconds.
        choice_seconds: what finding gamma took.
    """

    n_initial: int
    n_new: int
    method: str
    likelihood: str
    prior_precision: float
    gamma: float
    step_size: str
    scores: Mapping[str, float]
    decision_flips: float
    agreement: float
    seconds: float
    speedup: float
    choice_seconds: float


def _update_columns() -> tuple[str, ...]:
    names = [field.name for field in fields(UpdateRecord)]
    place = names.index("scores")
    identity = ("run", "dataset", "backbone", "seed")
    return with_metrics(before=(*identity, *names[:place]), after=names[place + 1 :])


UPDATE_COLUMNS = _update_columns()


def update_table(run: str, config: RunConfig, records: Sequence[UpdateRecord]) -> str:
    """Return updates.csv."""
    identity = _identity(run, config, ("dataset", "backbone"))
    rows = [identity | asdict(record) | metric_values(record.scores) for record in records]
    columns = known_columns(UPDATE_COLUMNS, (record.scores for record in records))
    return csv_text(columns, _ordered(rows, columns))


def cycles_of(steps: Sequence[Mapping[str, Any]]) -> list[CycleRecord]:
    """Return the cycles that the steps of a run's state hold.

    Raises:
        ValueError: no run can have them.
    """
    try:
        records = TypeAdapter(list[CycleRecord]).validate_python(steps)
    except ValidationError as error:
        raise ValueError(_where(error)) from error
    seen, count, asked = set[int](), 0, 0
    for number, record in enumerate(records):
        seen |= set(record.indices)
        count += len(record.indices)
        if record.cycle != number:
            raise ValueError(f"step {number} is cycle {record.cycle}")
        if (number and not record.indices) or len(record.indices) != len(record.labels):
            raise ValueError(f"cycle {number} has not one label for each instance")
        asked += n_annotations(record.indices, seen, record.annotations)
        held_out = record.forecast.n_held_out if record.forecast else 0
        if record.n_labelled != asked + held_out or len(seen) != count:
            raise ValueError(f"cycle {number}: n_labelled is not the number of labels acquired")
        if min(record.indices, default=0) < 0 or min(record.labels, default=0) < NO_LABEL:
            raise ValueError(f"cycle {number} has an instance or a label below 0")
        check_picks(record.picks, len(seen))
        if ACCURACY not in record.scores:
            raise ValueError(f"cycle {number} has no {ACCURACY}")
    check_costs([record.cost for record in records])
    return records


def updates_of(steps: Sequence[Mapping[str, Any]]) -> list[list[UpdateRecord]]:
    """Return the compared updates that the steps of a run's state hold, one list per step.

    Raises:
        ValueError: no run can have them.
    """
    documents = [step["records"] if set(step) == {"records"} else None for step in steps]
    try:
        records = TypeAdapter(list[list[UpdateRecord]]).validate_python(documents)
    except ValidationError as error:
        raise ValueError(_where(error)) from error
    for number, step in enumerate(records):
        if len({record.n_initial for record in step}) != 1:
            raise ValueError(f"step {number} has not one number of initial labels")
    return records


def _where(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    number, *keys = first["loc"] or ("s",)
    return f"step {number}: {'.'.join(map(str, keys)) or 'its value'}: {first['msg']}"


def run_tables(
    run: str, config: RunConfig, oracle: bool, steps: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Return the CSV files of a run, name to content, from the steps of its state.

    Raises:
        ValueError: as ``cycles_of`` and ``updates_of``.
    """
    if isinstance(config.task, UpdatingTask):
        records = [record for step in updates_of(steps) for record in step]
        return {MAIN_TABLES["updating"]: update_table(run, config, records)}
    return tables(run, config, oracle, cycles_of(steps))
