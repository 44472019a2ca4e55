"""The README's own promises; tests/test_docs.py runs its commands and its Python."""

import pandas as pd
import pytest

from tests.support.documents import ROOT, blocks

README = (ROOT / "README.md").read_text()
COMMANDS = [c for block in blocks(README) if block.language == "bash" for c in block.commands]
SETUP = [c for c in COMMANDS if c.startswith("python3 -m venv")]
REFERENCE = ROOT / "results" / "reference"
ORACLES = pd.read_csv(REFERENCE / "strategy-areas.csv")
AREAS = pd.read_csv(REFERENCE / "strategy-areas-30.csv")
RECOMMENDED = "uherding"
UPDATES = pd.read_csv(REFERENCE / "gap-closed.csv")


def test_first_command_sets_up_and_runs_the_default():
    assert SETUP[0].endswith(".venv/bin/python -m alupdate.run strategy=lookahead")
    assert "python -m alupdate.run strategy=lookahead" in (ROOT / "Makefile").read_text().replace(
        "$(PYTHON)", "python"
    )


def test_second_command_is_what_ci_runs():
    assert SETUP[1].endswith(".venv/bin/pytest")
    assert f"\n{SETUP[1]}\n" in (ROOT / ".ci" / "run").read_text()
    assert len(SETUP) == 2


def test_every_shell_block_is_run():
    assert not [block.not_run for block in blocks(README) if block.not_run]


def test_length():
    assert 120 <= len(README.splitlines()) <= 150


def gap_closed(dataset, method):
    """Return sum(update - base) / sum(retrain - base) of test accuracy at the best step size."""
    rows = UPDATES[UPDATES["dataset"] == dataset]
    total = rows.groupby("method")["accuracy"].sum()
    best = rows[rows["method"] == method].groupby("gamma")["accuracy"].sum().max()
    return (best - total["base"]) / (total["retrain"] - total["base"])


def aulc(areas, dataset, wanted):
    """Return the best mean AULC of the top-b batches of the strategies that ``wanted`` picks."""
    rows = areas[(areas["experiment"] == dataset) & (areas["batch"] == "top_b")]
    return rows[wanted(rows)].groupby("strategy")["area"].mean().max()


def is_other(rows):
    return ~rows["oracle"] & (rows["strategy"] != RECOMMENDED)


ROWS = {
    "gap closed, second-order update, gamma tuned": lambda d: gap_closed(d, "second_order"),
    "gap closed, MAP update, one setting": lambda d: gap_closed(d, "map"),
    "AULC, random": lambda d: aulc(AREAS, d, lambda r: r["strategy"] == "random"),
    "AULC, margin": lambda d: aulc(AREAS, d, lambda r: r["strategy"] == "margin"),
    f"AULC, {RECOMMENDED}": lambda d: aulc(AREAS, d, lambda r: r["strategy"] == RECOMMENDED),
    "AULC, best other strategy without oracle": lambda d: aulc(AREAS, d, is_other),
    "AULC, look-ahead (oracle)": lambda d: aulc(ORACLES, d, lambda r: r["strategy"] == "lookahead"),
    "AULC, greedy look-ahead (oracle)": lambda d: aulc(
        ORACLES, d, lambda r: r["strategy"] == "greedy_lookahead"
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_results_are_those_of_the_committed_runs(name):
    (line,) = [line for line in README.splitlines() if line.startswith(f"| {name} |")]
    shown = [float(cell) for cell in line.split("|")[2:-1]]
    computed = [ROWS[name](dataset) for dataset in ("digits", "mnist5k", "cifar10", "banking77")]
    assert shown == pytest.approx(computed, abs=0.0006)


@pytest.mark.parametrize("dataset", ["digits", "mnist5k", "cifar10", "banking77"])
def test_the_recommended_strategy_is_the_best_of_30_seeds(dataset):
    best = aulc(AREAS, dataset, lambda r: r["strategy"] == RECOMMENDED)
    assert best > aulc(AREAS, dataset, is_other)
