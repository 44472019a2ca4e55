import io
import sys
from pathlib import Path

import pandas as pd
import pytest

from alupdate.utils.errors import InputError
from benchmarks.measure import Row, Timing
from benchmarks.sections import SECTIONS
from tests.support.processes import run_script
from tests.support.scripts import load

SCRIPTS = Path(__file__).parents[1] / "scripts"
REFERENCE = SCRIPTS.parent / "results" / "reference"


def run(name, *arguments):
    return run_script(SCRIPTS / name, *arguments)


ANY_NUMBER_OF_ARGUMENTS = {"areas.py"}  # its wrong use is in test_claims.py


@pytest.mark.parametrize(
    "name", sorted({path.name for path in SCRIPTS.glob("*.py")} - ANY_NUMBER_OF_ARGUMENTS)
)
def test_wrong_use_is_exit_code_2(name):
    answer = run(name, "a", "b", "c", "d")
    assert answer.returncode == 2
    assert "usage: " in answer.stderr


@pytest.mark.parametrize("name", ["figures.py", "gather.py", "tables.py"])
def test_a_folder_without_runs_is_one_line_and_exit_code_2(name, tmp_path):
    output = [tmp_path / "out.csv"] if name == "gather.py" else []
    answer = run(name, tmp_path, *output)
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert str(tmp_path) in answer.stderr
    assert not list(tmp_path.iterdir())


def test_gap_table_of_the_reference_results(tmp_path):
    answer = run("tables.py", REFERENCE / "gap-closed.csv", tmp_path)
    assert answer.returncode == 0
    assert "| banking77 | minilm | map | per_class | 0.3 | 1 | 1.0004 ± 0.0032 [" in answer.stdout


def test_areas_of_the_reference_results_are_the_numbers_of_the_readme(tmp_path):
    answer = run("tables.py", REFERENCE / "strategies-mnist5k.csv", tmp_path)
    assert answer.returncode == 0
    readme = (SCRIPTS.parent / "README.md").read_text()
    assert (tmp_path / "areas-accuracy.md").read_text() in answer.stdout
    areas = pd.read_csv(tmp_path / "areas-accuracy.csv").set_index("variant")["area"]
    area = areas["lookahead (oracle)"]
    assert f"{area:.3f}".lstrip("0") in readme


def test_gathered_table_has_all_rows(tmp_path):
    answer = run("gather.py", REFERENCE / "strategies-digits.csv", tmp_path / "out.csv")
    assert answer.returncode == 0
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "out.csv"), pd.read_csv(REFERENCE / "strategies-digits.csv")
    )


def test_benchmark_prints_the_rows_of_a_section_and_writes_them(monkeypatch, tmp_path, capsys):
    benchmark = load("benchmark")
    asked = []

    def rows(quick, device):
        asked.append((quick, device.type))
        yield Row(
            "one", "step, 5 labels", Timing(0.5, 5, 1.0), "a loop", Timing(2.0, 5, 3.0), "same"
        )

    monkeypatch.setattr(benchmark, "SECTIONS", {"one": rows, "two": None})
    output = tmp_path / "out.csv"
    assert benchmark.main([str(output), "--only", "one", "--quick", "--threads", "1"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "; threads: 1; python 3." in printed[0]
    assert printed[2] == "one"
    assert asked == [(True, "cpu")]
    (line,) = pd.read_csv(output).to_dict("records")
    assert (line["what"], line["ratio"], line["threads"]) == ("step, 5 labels", 4.0, 1)
    assert (line["device"], line["other_device"]) == ("cpu", "cpu")
    assert list(tmp_path.iterdir()) == [output]


def test_a_benchmark_that_cannot_go_on_is_one_line_and_keeps_what_it_has(
    monkeypatch, tmp_path, capsys
):
    benchmark = load("benchmark")

    def one(*_):
        yield Row("one", "step, 5 labels", Timing(0.5, 5, 1.0))

    def full(*_):
        raise InputError("/tmp: has 3 MiB free, a pool of 1,000,000 needs 1,465")
        yield

    monkeypatch.setattr(benchmark, "SECTIONS", {"one": one, "full": full})
    output = tmp_path / "out.csv"
    assert benchmark.main([str(output), "--threads", "1"]) == 2
    assert capsys.readouterr().err.startswith("error: /tmp: has 3 MiB free")
    assert pd.read_csv(output)["section"].tolist() == ["one"]


@pytest.mark.parametrize("wrong", [["--only", "nothing"], ["--threads", "0"], ["nowhere/out.csv"]])
def test_benchmark_refuses_before_it_measures(wrong, capsys):
    assert load("benchmark").main(wrong) == 2
    assert wrong[-1] in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tpu", "cuda:99", "cuda:x"])
def test_benchmark_refuses_a_device_that_is_not_there_in_one_line(name, capsys):
    assert load("benchmark").main(["--device", name]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: --device {name}: ")
    assert printed.err.count("\n") == 1


def test_every_section_is_a_function_of_quick_and_the_device():
    assert all(callable(rows) for rows in SECTIONS.values())


@pytest.mark.parametrize("name", ["tables", "figures", "report"])
def test_output_that_is_not_utf8_is_no_failure(name, monkeypatch):
    def answer(arguments):
        print("0.5 \u00b1 0.1")
        return 0

    script, written = load(name), io.BytesIO()
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    monkeypatch.setattr(script, "run_command", answer)
    assert script.main([]) == 0
    sys.stdout.flush()
    assert written.getvalue() == b"0.5 \\xb1 0.1\n"
