import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.support.processes import run_script

SCRIPTS = Path(__file__).parents[1] / "scripts"
REFERENCE = SCRIPTS.parent / "results" / "reference"


def run(name, *arguments):
    return run_script(SCRIPTS / name, *arguments)


def load(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


ANY_NUMBER_OF_ARGUMENTS = {"areas.py"}  # its wrong use is in test_claims.py


@pytest.mark.parametrize(
    "name", sorted({path.name for path in SCRIPTS.glob("*.py")} - ANY_NUMBER_OF_ARGUMENTS)
)
def test_wrong_use_is_exit_code_2(name):
    answer = run(name, "a", "b", "c", "d")
    assert answer.returncode == 2
    assert "usage: " in answer.stderr


@pytest.mark.parametrize("name", ["figures.py", "gaps.py", "gather.py", "summary.py"])
def test_a_folder_without_runs_is_one_line_and_exit_code_2(name, tmp_path):
    output = [tmp_path / "out.csv"] if name == "gather.py" else []
    answer = run(name, tmp_path, *output)
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert str(tmp_path) in answer.stderr
    assert not list(tmp_path.iterdir())


def test_illustration_draws_its_figure_and_writes_its_data(tmp_path):
    assert run("illustration.py", tmp_path).returncode == 0
    panels = pd.read_csv(tmp_path / "illustration.csv")["panel"].unique().tolist()
    assert panels == [
        "before", "first-order", "Monte-Carlo", "second-order", "MAP", "retrained"
    ]  # fmt: skip
    assert (tmp_path / "illustration.png").stat().st_size > 50_000


def test_gap_table_of_the_reference_results(tmp_path):
    answer = run("gaps.py", REFERENCE / "gap-closed.csv")
    assert answer.returncode == 0
    assert "\nbanking77, minilm: 10 seeds" in answer.stdout
    assert "| map | multinomial, 0.3 | 1 | 1.000 ± 0.003 |" in answer.stdout


def test_summary_of_the_reference_results_has_the_numbers_of_the_readme():
    answer = run("summary.py", REFERENCE / "strategies-mnist5k.csv")
    assert answer.returncode == 0
    readme = (SCRIPTS.parent / "README.md").read_text()
    table = {line.split("|")[1].strip(): line for line in answer.stdout.splitlines() if "±" in line}
    area = table["lookahead (oracle)"].split("|")[4].split("±")[0].strip()
    assert f"{float(area):.3f}".lstrip("0") in readme


def test_gathered_table_has_all_rows(tmp_path):
    answer = run("gather.py", REFERENCE / "strategies-digits.csv", tmp_path / "out.csv")
    assert answer.returncode == 0
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "out.csv"), pd.read_csv(REFERENCE / "strategies-digits.csv")
    )


def test_benchmark_measures_what_it_says(monkeypatch):
    benchmark = load("benchmark")
    monkeypatch.setattr(benchmark, "PAPER_RECIPE", replace(benchmark.PAPER_RECIPE, epochs=3))
    (row,) = benchmark.lookahead_rows(1)
    assert row["same_answer"]
    assert row["seconds"] > 0
    rows = benchmark.update_rows(1)
    assert len(rows) == 3 * 6 * 2
    assert all(row["other_seconds"] > 0 for row in rows)
