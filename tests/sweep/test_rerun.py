"""The command that a failed sweep recommends works as it is printed, and asks about plug-ins."""

import shlex

import pytest

from alupdate.run import exit_code
from tests.support.runs import run_small

PLUGIN = """
import pathlib
pathlib.Path("IMPORTED").touch()
class Sometimes:
    needs_oracle = False
    def select(self, query, size):
        if pathlib.Path("fail").exists():
            raise ValueError("boom")
        return query.free()[:size]
def make_strategy(settings):
    return Sometimes()
"""


def recommended(error):
    (line,) = [line for line in error.splitlines() if line.startswith("run only these again: ")]
    return shlex.split(line)[7:]


@pytest.mark.parametrize("place", ["results (2)/f", "lr=0.1/f", "Käse/f", "dig/2024", "it's/null"])
def test_the_recommended_command_is_quoted(place, monkeypatch, tmp_path, capsys):
    (tmp_path / "sometimes.py").write_text(PLUGIN)
    (tmp_path / "fail").touch()
    folder, _, name = place.partition("/")
    quoted = folder.replace("'", r"\'")
    where = (f"results_dir='{quoted}'", f"experiment_name='{name}'", "progress=false")
    chosen = ("strategy=plugin", "strategy.module=sometimes", "n_cycles=1", "-m", *where)
    assert run_small(monkeypatch, tmp_path, *chosen) == 1
    command = recommended(capsys.readouterr().err)
    (tmp_path / "fail").unlink()
    (tmp_path / "IMPORTED").unlink()
    assert command.pop() == "allow_plugins=true"
    assert exit_code(command) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: strategy.module=sometimes: sweep.csv names this module")
    assert line.count("\n") == 1
    assert not (tmp_path / "IMPORTED").exists()
    assert exit_code([*command, "allow_plugins=true"]) == 0
    assert len(list((tmp_path / place).glob("*/curve.csv"))) == 1


def test_a_manifest_cannot_allow_its_own_plugins(monkeypatch, tmp_path, capsys):
    (tmp_path / "sometimes.py").write_text(PLUGIN)
    (tmp_path / "fail").touch()
    chosen = ("strategy=plugin", "strategy.module=sometimes", "n_cycles=1", "allow_plugins=true")
    assert run_small(monkeypatch, tmp_path, *chosen, "-m", "progress=false") == 1
    (tmp_path / "IMPORTED").unlink()
    capsys.readouterr()
    assert exit_code(["task=rerun", "experiment_dir=results/default"]) == 2
    assert "give allow_plugins=true" in capsys.readouterr().err
    assert not (tmp_path / "IMPORTED").exists()
