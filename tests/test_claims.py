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


def test_docs_show_the_tables_of_the_committed_runs():
    root = SCRIPTS.parent
    answer = run_script(
        SCRIPTS / "claims.py", root / "results" / "reference" / "strategy-areas.csv"
    )
    assert answer.stdout.strip() in (root / "docs" / "findings" / "strategy-tables.md").read_text()


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
