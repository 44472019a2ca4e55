"""The scripts that turn runs into the tables of docs/findings/strategy-tables.md."""

from pathlib import Path

import pandas as pd
import pytest

from tests.support.processes import run_script
from tests.support.runs import run_small

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def areas(monkeypatch, tmp_path):
    sweep = ("-m", "seed=0,1", "strategy=margin,random,lookahead,greedy_lookahead")
    assert run_small(monkeypatch, tmp_path, *sweep) == 0
    assert run_small(monkeypatch, tmp_path, "-m", "seed=0,1", "batch=sequential") == 0
    answer = run_script(SCRIPTS / "areas.py", "areas.csv", "results/default", folder=tmp_path)
    assert answer.returncode == 0, answer.stderr
    return tmp_path / "areas.csv"


def test_tables_of_a_real_sweep(areas):
    table = pd.read_csv(areas)
    assert len(table) == 10
    assert (table["query_seconds"] > 0).all()
    assert (table["labels"] == 16).all()
    answer = run_script(SCRIPTS / "claims.py", areas)
    assert answer.returncode == 0, answer.stderr
    margin = table[table["strategy"] == "margin"].pivot_table(
        index="seed", columns="batch", values="area"
    )
    gap = (margin["sequential"] - margin["top_b"]).mean()
    assert f"| margin | {gap:+.4f} ± " in answer.stdout
    assert "| greedy_lookahead top_b minus lookahead top_b | " in answer.stdout
    assert "lookahead (oracle)" in answer.stdout


def test_sequential_batches_of_a_study_of_their_own(tmp_path):
    rows = [
        {"experiment": "a", "strategy": "margin", "batch": "top_b", "area": 0.5},
        {"experiment": "a", "strategy": "margin", "batch": "sequential", "area": 0.9},
        {"experiment": "a-map", "strategy": "margin", "batch": "sequential_sampled", "area": 0.6},
        {"experiment": "a-map", "strategy": "badge", "batch": "sequential", "area": 0.8},
    ]
    fixed = {"oracle": False, "query_seconds": 1.0}
    seeds = [
        {**row, **fixed, "seed": s, "area": row["area"] + s / 8} for row in rows for s in (0, 1)
    ]
    pd.DataFrame(seeds).to_csv(tmp_path / "areas.csv", index=False)
    first, second = run_script(SCRIPTS / "claims.py", tmp_path / "areas.csv").stdout.split(
        "### a-map"
    )
    assert "| margin | +0.4000 ± 0.0000 |" in first
    assert "| margin, sequential_sampled | +0.1000 ± 0.0000 |" in second
    assert "| badge |" not in second.split("sequential minus top-b")[1].split("minus |")[0]


@pytest.mark.parametrize("script", ["areas.py", "claims.py", "strategy_costs.py"])
def test_wrong_use_prints_the_usage(script):
    answer = run_script(SCRIPTS / script, "--nonsense")
    assert answer.returncode == 2
    assert "usage:" in answer.stderr


def test_cost_of_one_query():
    answer = run_script(SCRIPTS / "strategy_costs.py", "--one", "bait fisher=binary", 60, 8, 3, 5)
    assert answer.returncode == 0, answer.stderr
    seconds, memory = map(float, answer.stdout.split())
    assert seconds > 0
    assert memory >= 0
