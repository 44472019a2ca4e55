"""What is recorded of each cycle, and the CSV tables made of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from alupdate.config import RunConfig, display_name
from alupdate.results.tables import csv_text

CURVE_COLUMNS = (
    "run", "dataset", "backbone", "strategy", "batch", "update", "seed",
    "cycle", "n_labelled", "accuracy", "nll", "brier", "ece", "ace", "oracle",
)  # fmt: skip
TIMING_COLUMNS = ("run", "cycle", "phase", "seconds")
QUERY_COLUMNS = ("run", "cycle", "position", "pool_index", "label")
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
        indices, labels: what was bought, in order.
        scores: metric name to value, on the test set.
        timings: phase (features, select, step_size, update, retrain, evaluate) to seconds.
    """

    cycle: int
    n_labelled: int
    indices: tuple[int, ...]
    labels: tuple[int, ...]
    scores: dict[str, float]
    timings: dict[str, float]
    comparison: Comparison | None = None


def tables(
    run: str, config: RunConfig, oracle: bool, records: Sequence[CycleRecord]
) -> dict[str, str]:
    """Return the run's CSV files: name to content."""
    groups = (config.dataset, config.backbone, config.strategy, config.batch, config.update)
    identity = [run, *(display_name(group) for group in groups), config.seed]
    curve = [
        [*identity, r.cycle, r.n_labelled, *(r.scores[m] for m in CURVE_COLUMNS[9:14]), oracle]
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
    files = {
        "curve.csv": csv_text(CURVE_COLUMNS, curve),
        "timings.csv": csv_text(TIMING_COLUMNS, timings),
        "queries.csv": csv_text(QUERY_COLUMNS, queries),
    }
    comparisons = [_comparison_row(run, r, r.comparison) for r in records if r.comparison]
    if comparisons:
        files["comparison.csv"] = csv_text(COMPARISON_COLUMNS, comparisons)
    return files


def _comparison_row(run: str, record: CycleRecord, c: Comparison) -> list[object]:
    return [
        run, record.cycle, record.n_labelled, c.n_new,
        f"{c.update_seconds:.6f}", f"{c.retrain_seconds:.6f}",
        c.retrain_seconds / c.update_seconds,
        c.before_accuracy, c.update_accuracy, c.retrain_accuracy, c.agreement,
    ]  # fmt: skip
