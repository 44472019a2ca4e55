import importlib.util
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
REFERENCE = SCRIPTS.parent / "results" / "reference"


def run(name, *arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPTS / name), *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
    )


def load(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", sorted(path.name for path in SCRIPTS.glob("*.py")))
def test_wrong_use_is_exit_code_2(name, tmp_path):
    for arguments in (["a", "b", "c", "d"], [tmp_path]):
        answer = run(name, *arguments)
        if name == "benchmark.py" and len(arguments) == 1:
            continue  # the folder would be its output, after minutes of measuring
        assert answer.returncode == 2
        assert "Traceback" not in answer.stderr
        assert answer.stderr


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


def test_benchmark_measures_what_it_says():
    benchmark = load("benchmark")
    (row,) = benchmark.lookahead_rows(1)
    assert row["same_answer"]
    assert row["seconds"] > 0
    rows = benchmark.update_rows(1)
    assert len(rows) == 6
    assert all(row["other_seconds"] > 0 for row in rows)
