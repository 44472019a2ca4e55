"""Every file in examples/ is run as a reader would run it."""

import os
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

from tests.support.runs import SMALL

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))
NOTEBOOKS = sorted(path.name for path in EXAMPLES.glob("*.ipynb"))
SAID = {
    "update_your_head.py": "50 more by an update",
    "own_strategy.py": "label these next:",
}


def run(arguments, folder):
    answer = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name, tmp_path):
    assert SAID[name] in run([EXAMPLES / name], tmp_path)


def test_the_updated_head_is_better_than_before_and_near_retraining(tmp_path):
    before, updated, retrained = (
        float(line.split("accuracy")[1].split(",")[0])
        for line in run([EXAMPLES / "update_your_head.py"], tmp_path).splitlines()
    )
    assert updated > before + 0.03
    assert abs(updated - retrained) < 0.04


def test_own_strategy_is_a_plug_in_of_the_command(tmp_path):
    (tmp_path / "own_strategy.py").write_text((EXAMPLES / "own_strategy.py").read_text())
    plugin = ["strategy=plugin", "strategy.module=own_strategy", "batch=sequential"]
    data = ["dataset=digits", "backbone=pixels", "progress=false"]
    run(["-m", "alupdate.run", *data, *plugin, *SMALL], tmp_path)
    assert len(list(tmp_path.glob("results/default/*/curve.csv"))) == 1


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook(name, tmp_path):
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    for cell in notebook.cells:
        assert not cell.get("outputs"), "commit notebooks without outputs"
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()


def test_every_example_is_run():
    assert set(SCRIPTS) == set(SAID)
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == {*SCRIPTS, *NOTEBOOKS}
