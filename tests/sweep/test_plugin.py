"""The sweep is a sweeper plugin of Hydra's, which takes what Hydra's own sweepers take."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper

from alupdate.sweep.status import read_manifest
from tests.support.runs import run_small

ROOT = Path(__file__).parents[2]
QUICK = ("n_cycles=0", "threads=1", "progress=false")
EXPERIMENT = """
# @package _global_
n_initial: 12
hydra:
  sweeper:
    params:
      seed: range(2)
      strategy: random,margin
"""
PRIMARY = """
defaults:
  - config
  - _self_
n_initial: 17
"""


@pytest.fixture
def sweep(monkeypatch, tmp_path):
    return lambda *arguments: run_small(monkeypatch, tmp_path, *QUICK, *arguments)


def variants(folder):
    """Return strategy and seed of each run of an experiment, by the names of their directories."""
    names = [path.parent.name.split("-") for path in folder.glob("results/default/*/curve.csv")]
    return sorted((name[2], name[5]) for name in names)


def test_hydra_finds_the_plugin_and_imports_nothing_of_ours_for_it():
    assert "AlupdateSweeper" in {found.__name__ for found in Plugins.instance().discover(Sweeper)}
    code = (
        "import sys; from hydra.core.plugins import Plugins; Plugins.instance();"
        "assert 'hydra_plugins.hydra_alupdate_sweeper' in sys.modules;"
        "sys.exit('imported too much' if {'alupdate', 'torch'} & set(sys.modules) else 0)"
    )
    answer = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert answer.returncode == 0, answer.stderr


def test_the_flag_may_stand_anywhere_and_hydras_basic_sweeper_makes_the_same_runs(sweep, tmp_path):
    assert sweep("seed=0,1", "--multirun", "strategy=random,margin") == 0
    assert len(read_manifest(tmp_path / "results" / "default")) == 4
    runs = variants(tmp_path)
    assert runs == [("margin", "s0"), ("margin", "s1"), ("random", "s0"), ("random", "s1")]
    curves = sorted(path.read_bytes() for path in tmp_path.glob("results/*/*/curve.csv"))
    basic = ("hydra/sweeper=basic", "force=true")
    assert sweep(*basic, "seed=0,1", "strategy=random,margin", "-m") == 0
    assert variants(tmp_path) == runs
    assert sorted(path.read_bytes() for path in tmp_path.glob("results/*/*/curve.csv")) == curves


def test_experiment_files_say_what_is_swept_and_the_command_line_comes_first(sweep, tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "two.yaml").write_text(EXPERIMENT.lstrip())
    chosen = ("n_initial=12", "experiment=two", "strategy=entropy")
    assert sweep("-m", *chosen, "--config-dir", "mine") == 0
    assert variants(tmp_path) == [("entropy", "s0"), ("entropy", "s1")]


def test_another_primary_config_is_that_of_every_job(monkeypatch, sweep, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "primary.yaml").write_text(PRIMARY)
    monkeypatch.setattr("tests.support.runs.SMALL", ("subset=60", "batch.size=3"))
    assert sweep("--config-dir=mine", "-m", "seed=0,1", "--config-name", "primary") == 0
    curves = list(tmp_path.glob("results/default/*/curve.csv"))
    assert len(curves) == 2
    for curve in curves:
        header, first = curve.read_text().splitlines()[:2]
        assert dict(zip(header.split(","), first.split(","), strict=True))["n_labelled"] == "17"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=1,2"), "Sweeping over Hydra's"),
        (("-m", "hydra/sweeper=nothing"), "available: alupdate, basic"),
        (("-m", "hydra.sweeper.max_batch_size=1"), "hydra.sweeper.max_batch_size: no such key"),
        (("-m", "seed=0,1", "sed=3"), "sed: no such key; did you mean seed"),
        (("-m", "seed=0,1", "strategy"), "strategy: a name is required, give strategy=OPTION"),
        (("--multi", "seed=0,1"), "--multi: no such flag; did you mean --multirun"),
        (("-m", "--config-dir=nowhere", "seed=0,1"), "nowhere' not found"),
        (("task=rerun", "experiment_dir=nowhere"), "cannot change with task=rerun"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    arguments, complaint, sweep, tmp_path, capsys
):
    assert sweep(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert complaint in error
    assert list(tmp_path.iterdir()) == []


def test_nothing_private_of_hydra_is_used():
    """But for the loader: Hydra calls what a config names before any public hook sees it."""
    for folder in ("alupdate", "hydra_plugins", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            if path == ROOT / "alupdate" / "config" / "loader.py":
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom):
                    assert not str(node.module).startswith("hydra._"), path
                elif isinstance(node, ast.Import):
                    assert not any(alias.name.startswith("hydra._") for alias in node.names), path
