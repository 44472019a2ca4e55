"""Every command of the README works, and the code in it does what it says."""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from tests.support.malformed import photos
from tests.support.problems import make_query
from tests.support.processes import run_script
from tests.support.runs import run_command
from tests.support.scripts import load

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
]
RUNS = [c for c in COMMANDS if c.startswith("python -m alupdate.run")]
SCRIPTS = [c for c in COMMANDS if c.startswith("python scripts/")]
SETUP = [c for c in COMMANDS if c.startswith("python3 -m venv")]
SWEEP = "python -m alupdate.run -m strategy=random,margin dataset=digits backbone=pixels"
STUDY = "python -m alupdate.run -m experiment=updating/gap_closed dataset=digits backbone=pixels"
(OWN_STRATEGY,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
SMALL = [
    "n_cycles=1", "subset=30", "batch.size=2", "training.epochs=2", "progress=false",
    "results_dir=results",
]  # fmt: skip


@pytest.fixture
def data(monkeypatch, tmp_path, tmp_path_factory):
    """A folder with data as the README describes them; features are extracted once for all."""
    shared = tmp_path_factory.getbasetemp().parent / "readme-cache"
    monkeypatch.setenv("ALUPDATE_CACHE", str(shared))
    (tmp_path / "my_strategies.py").write_text(OWN_STRATEGY)
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "my.npz",
        X_train=rng.normal(size=(50, 4)),
        y_train=np.array(["a", "b"])[np.arange(50) % 2],
        X_test=rng.normal(size=(20, 4)),
        y_test=np.array(["a", "b"])[np.arange(20) % 2],
    )
    photos()(tmp_path)
    labels = [f"intent {i % 3}" for i in range(60)]
    texts = [f"a question on subject {i % 3}, the {i}th" for i in range(60)]
    pd.DataFrame({"text": texts, "intent": labels}).to_csv(tmp_path / "questions.csv")
    numbers = rng.normal(size=60)
    pd.DataFrame({"a": numbers, "b": numbers**2, "label": np.arange(60) % 2}).to_parquet(
        tmp_path / "table.parquet"
    )
    return tmp_path


def small(command):
    """Return a README command's arguments, made quick; only the sizes change."""
    arguments = shlex.split(command)[3:]
    if "--help" in arguments:
        return arguments
    given = {argument.split("=")[0] for argument in arguments}
    added = [s for s in SMALL if s.split("=")[0] not in given]
    if "updating" in command:
        added += ["task.initial_sizes=[10]", "task.new_sizes=[2,3]", "update.n_hypotheses=100"]
    if "strategy=lookahead" in arguments:
        added.append("strategy.n_batches=3")
    if not {"dataset", "backbone"} & given:
        added += ["dataset=digits", "backbone.image_size=32"]
    if "dataset=digits" in {*arguments, *added}:
        added += ["dataset.n_train=300", "dataset.n_test=100"]
    kept = [re.sub(r"^n_cycles=.*", "n_cycles=1", argument) for argument in arguments]
    seeds = ["seed=0,1"] if "-m" in arguments else []
    if "hydra/launcher=joblib" in arguments:
        seeds = ["seed=0"]  # three strategies are enough for two processes
    return [*(k for k in kept if not k.startswith("seed=range")), *added, *seeds]


@pytest.mark.parametrize("command", RUNS)
def test_run_command(command, data, monkeypatch):
    if "task=status" in command:  # of what the command above it has made
        assert run_command(monkeypatch, data, *small(SWEEP)) == 0
    assert run_command(monkeypatch, data, *small(command)) == 0


@pytest.mark.parametrize("command", SCRIPTS)
def test_script_command(command, data, monkeypatch):
    script, folder = shlex.split(command)[1:]
    sweep = STUDY if "gap-closed" in folder else SWEEP
    name = f"experiment_name={Path(folder).name}"
    if folder.startswith("results/"):
        assert run_command(monkeypatch, data, *small(sweep), name) == 0
    answer = run_script(ROOT / script, folder, folder=data)
    assert answer.returncode == 0, answer.stderr
    assert "± " in answer.stdout or _written(data / folder)


def _written(folder):
    """Return the figures and pages that a script has made."""
    return [path for ending in ("png", "html") for path in folder.glob(f"*.{ending}")]


def test_first_command_sets_up_and_runs_the_default():
    assert SETUP[0].endswith(".venv/bin/python -m alupdate.run strategy=lookahead")
    assert "python -m alupdate.run strategy=lookahead" in (ROOT / "Makefile").read_text().replace(
        "$(PYTHON)", "python"
    )


def test_second_command_is_what_ci_runs():
    assert SETUP[1].endswith(".venv/bin/pytest")
    assert f"\n{SETUP[1]}\n" in (ROOT / ".ci" / "run").read_text()


def test_no_command_is_left_out():
    assert set(COMMANDS) == {*RUNS, *SCRIPTS, *SETUP}
    assert len(SETUP) == 2


def test_strategy_in_20_lines():
    assert len(OWN_STRATEGY.splitlines()) <= 20
    namespace = {}
    exec(OWN_STRATEGY, namespace)
    query = make_query(dtype=torch.float64)
    chosen = namespace["make_strategy"]({}).select(query, 3)
    covariance = query.posterior.covariance.numpy()
    variances = [row @ covariance @ row for row in query.features.numpy()]
    assert chosen.tolist() == np.argsort(variances)[::-1][:3].tolist()


@pytest.mark.parametrize("name", re.findall(r"\]\(((?:docs/|[A-Z]+\.)[^)]*)\)", README))
def test_linked_file_exists(name):
    assert (ROOT / name).is_file()


def test_pictures_come_from_the_committed_results(tmp_path, monkeypatch):
    """``make figures`` draws each picture of README and docs from results/reference."""
    save = Figure.savefig

    def quick(figure, path, **_):
        if path.suffix == ".png":
            save(figure, path, dpi=20)

    monkeypatch.setattr(Figure, "savefig", quick)
    makefile = (ROOT / "Makefile").read_text()
    for line in re.findall(r"\$\(PYTHON\) scripts/(.* docs/figures.*)", makefile):
        script, *arguments = shlex.split(line)
        given = [a.replace("results/", f"{ROOT}/results/") for a in arguments]
        given[given.index("docs/figures")] = str(tmp_path)
        assert load(script.removesuffix(".py")).main(given) == 0
    drawn = {path.name for path in tmp_path.glob("*.png")}
    shown = README + "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    pictures = {Path(p).name for p in re.findall(r"\]\(((?:docs/)?figures/[^)]*)\)", shown)}
    assert pictures <= drawn
    assert {path.name for path in (ROOT / "docs" / "figures").glob("*.png")} == drawn
