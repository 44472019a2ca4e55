"""Every file in examples/ is run as a reader would run it."""

from functools import cache
from pathlib import Path

import nbclient
import nbformat
import pytest

from tests.support.processes import run_script
from tests.support.runs import only_run, run_small

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))
NOTEBOOKS = sorted(path.name for path in EXAMPLES.glob("*.ipynb"))
SAID = {
    "update_your_head.py": "50 more by an update",
    "own_strategy.py": "label these next:",
}


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What a script prints, each run once."""

    @cache
    def run(name):
        answer = run_script(EXAMPLES / name, folder=tmp_path_factory.mktemp("example"))
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "agg")
        yield run


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name, said):
    assert SAID[name] in said(name)


def test_the_updated_head_is_better_than_before_and_near_retraining(said):
    before, updated, retrained = (
        float(line.split("accuracy")[1].split(",")[0])
        for line in said("update_your_head.py").splitlines()
    )
    assert updated > before + 0.03
    assert abs(updated - retrained) < 0.04


def test_own_strategy_is_a_plug_in_of_the_command(tmp_path, monkeypatch):
    code = (EXAMPLES / "own_strategy.py").read_text()
    (tmp_path / "example_strategy.py").write_text(code)  # a module that no other test imports
    plugin = ["strategy=plugin", "strategy.module=example_strategy", "batch=sequential"]
    assert run_small(monkeypatch, tmp_path, "progress=false", *plugin) == 0
    assert (only_run(tmp_path) / "curve.csv").is_file()


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
