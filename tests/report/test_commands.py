"""What ``alupdate tables``, ``figures``, ``report`` and their like do with arguments and errors."""

import io
import subprocess
import sys

import pandas as pd
import pytest

from alupdate.report.commands import COMMANDS, run_command
from alupdate.run import exit_code
from tests.support.curve_tables import random_curves
from tests.support.experiments import write_run


@pytest.fixture
def experiment(tmp_path):
    for seed in range(2):
        write_run(tmp_path / "small", seed=seed)
        write_run(tmp_path / "small", seed=seed, strategy={"name": "margin"})
    return tmp_path / "small"


def said(capsys):
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_each_command_does(name, capsys):
    assert run_command([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: alupdate {name} ")
    assert COMMANDS[name].description.split()[0] in text


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from alupdate.report.commands import run_command; run_command(['figures', "
        "'--help']); print({'pandas', 'matplotlib', 'torch', 'hydra'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert answer.stdout.endswith(b"set()\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_use_is_exit_code_2(name, capsys):
    assert run_command([name]) == 2
    assert capsys.readouterr().err.startswith(f"usage: alupdate {name} ")


def test_the_command_alupdate_has_them(experiment, capsys):
    assert exit_code(["tables", str(experiment)]) == 0
    assert "### AULC, area under the learning curve, of accuracy" in capsys.readouterr().out
    names = {path.name for path in (experiment / "tables").iterdir()}
    assert {"areas-accuracy.csv", "areas-accuracy.md", "areas-accuracy.tex"} <= names
    assert exit_code(["report", str(experiment)]) == 0
    assert (experiment / "report.html").is_file()


def test_only_figures_of_the_given_names_are_drawn(experiment, tmp_path, capsys):
    given = ["figures", str(experiment), str(tmp_path / "out"), "--only", "curves-*", "*-penalty"]
    assert run_command(given) == 0
    assert capsys.readouterr().out.splitlines() == [
        str(tmp_path / "out" / f"{name}.png") for name in ("curves-digits-pixels", "small-penalty")
    ]
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".png", ".pdf", ".csv"}


def test_a_pattern_that_matches_no_figure_is_refused(experiment, tmp_path, capsys):
    given = ["figures", str(experiment), str(tmp_path / "out"), "--only", "curvs-*"]
    assert run_command(given) == 2
    line = said(capsys)
    assert line.startswith("error: --only: curvs-* matches no figure of curves-digits-pixels, ")
    assert not (tmp_path / "out").exists()


def test_areas_are_not_taken_for_those_of_another_metric(experiment, tmp_path, capsys):
    assert run_command(["areas", str(tmp_path / "areas.csv"), str(experiment)]) == 0
    assert len(pd.read_csv(tmp_path / "areas.csv")) == 4
    capsys.readouterr()
    for name in ("tables", "figures"):
        assert run_command([name, str(tmp_path / "areas.csv"), "--metric", "nll"]) == 2
        assert "metric: nll" in said(capsys)


@pytest.mark.parametrize("name", ["areas", "gather", "report"])
def test_a_file_that_cannot_be_written_is_one_line(name, experiment, tmp_path, capsys):
    target = str(tmp_path / "nowhere" / "out")
    given = [target, str(experiment)] if name == "areas" else [str(experiment), target]
    assert run_command([name, *given]) == 2
    line = said(capsys)
    assert line == f"error: {target}: cannot be written (No such file or directory)\n"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, capsys):
    random_curves().to_csv(tmp_path / "curves.csv", index=False)
    target = tmp_path / "curves.csv" / "out"
    for name in ("tables", "figures"):
        assert run_command([name, str(tmp_path / "curves.csv"), str(target)]) == 2
        assert said(capsys) == f"error: {target}: Not a directory\n"


def test_what_others_wrote_does_not_steer_a_terminal(experiment, capsys):
    folder = experiment / "a-s0-12345678"
    folder.mkdir()
    (folder / "config.yaml").write_text("seed: 0\n")
    (folder / "status.json").write_text('{"state": "failed", "error": "\\u001b[31m http://a:b@c/"}')
    assert exit_code(["gather", str(experiment), str(experiment / "a.csv")]) == 0
    assert said(capsys) == "left out a-s0-12345678 (failed): \\x1b[31m http://c/\n"


def test_a_reader_that_is_gone_is_no_error(experiment, monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    assert run_command(["tables", str(experiment)]) == 0
    assert list((experiment / "tables").glob("*.md"))
