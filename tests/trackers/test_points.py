import math
from dataclasses import asdict, replace

from alupdate.results.records import Comparison, CycleRecord, UpdateRecord
from alupdate.trackers.tracker import Point, points_of

SCORES = {"accuracy": 0.5, "nll": math.inf}
CYCLE = CycleRecord(0, 2, (4, 7), (0, 1), SCORES, {"retrain": 0.25, "evaluate": 0.5})
UPDATE = UpdateRecord(
    50, 10, "second_order", "gaussian", 1.0, 10.0, "fixed",
    {"accuracy": 0.9, "nll": 0.3}, 0.05, 0.97, 0.5, math.inf, 0.0,
)  # fmt: skip


def test_a_cycle_has_scores_and_seconds_at_its_number_of_labels():
    (point,) = points_of([asdict(CYCLE)])
    expected = {"cycle": 0.0, "accuracy": 0.5, "seconds/retrain": 0.25, "seconds/evaluate": 0.5}
    assert point == Point(2, 0.75, expected)


def test_a_comparison_is_there_too():
    comparison = Comparison(1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    (point,) = points_of([asdict(replace(CYCLE, comparison=comparison))])
    assert point.values["comparison/agreement"] == 0.6


def test_models_on_one_number_of_initial_labels_are_one_point():
    blank = {"likelihood": "", "prior_precision": math.nan, "gamma": math.nan, "step_size": ""}
    records = [
        UPDATE,
        replace(UPDATE, n_new=1),
        replace(UPDATE, gamma=3.0),
        replace(UPDATE, prior_precision=0.3),
        replace(UPDATE, likelihood="categorical"),
        replace(UPDATE, gamma=2.718, step_size="auto"),
        replace(UPDATE, method="retrain", **blank),
    ]
    (point,) = points_of([{"records": [asdict(record) for record in records]}])
    assert point.step == 50
    assert point.values["cycle"] == 0
    assert {name for name in point.values if name.startswith("accuracy/")} == {
        "accuracy/second_order-gaussian-p1-g10/new_10",
        "accuracy/second_order-gaussian-p1-g10/new_1",
        "accuracy/second_order-gaussian-p1-g3/new_10",
        "accuracy/second_order-gaussian-p0.3-g10/new_10",
        "accuracy/second_order-categorical-p1-g10/new_10",
        "accuracy/second_order-gaussian-p1-gauto/new_10",
        "accuracy/retrain/new_10",
    }
    assert not any(name.startswith("speedup") for name in point.values)
