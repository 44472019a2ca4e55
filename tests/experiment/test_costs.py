"""A run's costs.csv: right, the same after a resume, and absent where labels cost nothing."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

import alupdate
from alupdate.results.records import cycles_of
from alupdate.results.store import STATE

SMALL = ["dataset=parquet", "backbone=identity", "n_cycles=3", "batch.size=4", "strategy=margin",
         "progress=false", "threads=1"]  # fmt: skip


@pytest.fixture
def start(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=80), "y": rng.normal(size=80)})
    table["label"] = (table["x"] + table["y"] > 0).astype(int)
    table["minutes"] = np.arange(80) + 0.25
    table.to_parquet(tmp_path / "t.parquet")

    def run(*more):
        places = [f"dataset.path={tmp_path / 't.parquet'}", f"results_dir={tmp_path / 'results'}"]
        return alupdate.run([*SMALL, *places, *more])

    return run


def test_costs_add_up_over_cycles(start):
    result = start("dataset.cost_column=minutes", "dataset.test_share=0.25")
    costs, queries = result.costs, result.queries
    assert costs["unit"].unique().tolist() == ["minutes"]
    assert costs["n_labelled"].tolist() == result.curve["n_labelled"].tolist()
    pool = result.config.dataset.load(result.path, None).train.costs
    paid = queries.groupby("cycle")["pool_index"].agg(lambda places: pool[places].sum())
    assert costs["cost"].tolist() == pytest.approx(paid.cumsum().tolist())
    assert list(pd.read_csv(result.path / "curve.csv").columns).count("cost") == 0


def test_a_resumed_run_has_the_same_costs(start):
    result = start("dataset.cost_column=minutes")
    files = {name: (result.path / name).read_bytes() for name in ("costs.csv", "curve.csv")}
    state = json.loads((result.path / STATE).read_text())
    cut(result.path, state["steps"][:2])
    assert start("dataset.cost_column=minutes").path == result.path
    assert {name: (result.path / name).read_bytes() for name in files} == files
    wrong = [{**step, "cost": 1.0} for step in state["steps"][:2]]
    cut(result.path, wrong)
    start("dataset.cost_column=minutes")
    assert (result.path / "costs.csv").read_bytes() == files["costs.csv"]


def cut(path, steps):
    """Leave a run as if it had been killed after some cycles."""
    document = {"format": json.loads((path / STATE).read_text())["format"], "run": path.name,
                "steps": steps}  # fmt: skip
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    (path / STATE).write_text(json.dumps(document | {"sha256": digest}))
    status = json.loads((path / "status.json").read_text())
    (path / "status.json").write_text(json.dumps(status | {"state": "interrupted"}))


def test_runs_without_costs_stay_as_they_are(start):
    plain = start()
    assert not (plain.path / "costs.csv").exists()
    assert "cost_column" not in (plain.path / "config.yaml").read_text()


def test_a_state_of_which_some_cycles_have_costs_is_none(start):
    result = start("dataset.cost_column=minutes")
    steps = json.loads((result.path / STATE).read_text())["steps"]
    for value, words in ((None, "cycle 1 has no cost"), (-1.0, "costs that|a cost that")):
        with pytest.raises(ValueError, match=words):
            cycles_of([steps[0], {**steps[1], "cost": value}])
