"""Records of finished cycles and of compared updates, and the CSV files made of them."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from alupdate.config import RunConfig, UpdatingTask, display_name
from alupdate.results.forecasts import FORECAST_COLUMNS, Forecast, forecast_rows
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
    """One finished cycle; cycle 0 is the model on the initial labels.

    Attributes:
        n_labelled: labels acquired so far.
        indices, labels: what was acquired in this cycle, in order.
        scores: metric name to value, on the test set.
        timings: phase (features, select, step_size, update, retrain, evaluate) to seconds.
        forecast: what is expected after the cycle.
    """

    cycle: int
    n_labelled: int
    indices: tuple[int, ...]
    labels: tuple[int, ...]
    scores: Mapping[str, float]
    timings: Mapping[str, float]
    comparison: Comparison | None = None
    forecast: Forecast | None = None

    def step(self) -> dict[str, Any]:
        """Return the record as a state holds it, without a forecast that nobody asked for."""
        step = asdict(self)
        if self.forecast is None:
            del step["forecast"]
        return step


def tables(
    run: str, config: RunConfig, oracle: bool, records: Sequence[CycleRecord]
) -> dict[str, str]:
    """Return the CSV files of an active-learning run: name to content."""
    parts = ("dataset", "backbone", "strategy", "batch", "update")
    curve = [
        _identity(run, config, parts)
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
    comparisons = [_comparison_row(run, r, r.comparison) for r in records if r.comparison]
    if comparisons:
        files["comparison.csv"] = csv_text(COMPARISON_COLUMNS, comparisons)
    expected = [(r.n_labelled, r.forecast, r.scores[ACCURACY]) for r in records if r.forecast]
    if expected:
        identity = list(_identity(run, config, parts).values())
        rows = [[*identity, *cells, truth] for cells, truth in forecast_rows(expected)]
        files["forecast.csv"] = csv_text(FORECAST_TABLE, rows)
    return files


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
    seen, count = set[int](), 0
    for number, record in enumerate(records):
        seen |= set(record.indices)
        count += len(record.indices)
        if record.cycle != number:
            raise ValueError(f"step {number} is cycle {record.cycle}")
        if not record.indices or len(record.indices) != len(record.labels):
            raise ValueError(f"cycle {number} has not one label for each instance")
        held_out = record.forecast.n_held_out if record.forecast else 0
        if not record.n_labelled - held_out == len(seen) == count:
            raise ValueError(f"cycle {number}: n_labelled is not the number of labels acquired")
        if min(*record.indices, *record.labels) < 0:
            raise ValueError(f"cycle {number} has an instance or a label below 0")
        if ACCURACY not in record.scores:
            raise ValueError(f"cycle {number} has no {ACCURACY}")
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
