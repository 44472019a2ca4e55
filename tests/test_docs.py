"""What README and docs say: each command and each line of Python is run."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from matplotlib.figure import Figure

import alupdate
from tests.support.documents import PAGES, ROOT, anchors, blocks, name_of
from tests.support.experiments import write_paper_run
from tests.support.malformed import photos
from tests.support.processes import run_script
from tests.support.runs import run_command
from tests.support.scripts import load

TEXTS = {name_of(page): page.read_text() for page in PAGES}
BLOCKS = {name: blocks(text) for name, text in TEXTS.items()}
OWN_TESTS = ("CONTRIBUTING.md", "docs/guide/labelling.md", "docs/guide/label-studio.md")
"""Pages with tests of their own: tests/test_extending.py, and test_guide.py in tests/labelling and
in tests/labelstudio."""
SHELL = [
    command
    for name, page in BLOCKS.items()
    for block in page
    if name not in OWN_TESTS and block.language == "bash" and not block.not_run
    for command in block.commands
]
COMMANDS = list(dict.fromkeys(re.sub(r"^alupdate ", "python -m alupdate.run ", c) for c in SHELL))
SETUP = [c for c in COMMANDS if c.startswith("python3 -m venv")]
OF_RESULTS = [
    c for c in COMMANDS if re.match(r"python -m alupdate.run (tables|figures|report) ", c)
]
RUNS = [c for c in COMMANDS if c.startswith("python -m alupdate.run") and c not in OF_RESULTS]
SCRIPTS = [c for c in COMMANDS if c.startswith("python scripts/")]
WITH_PYTHON = [
    name
    for name, page in BLOCKS.items()
    if name not in OWN_TESTS and any(block.language == "python" for block in page)
]
SWEEP = "python -m alupdate.run -m strategy=random,margin dataset=digits backbone=pixels"
STUDY = "python -m alupdate.run -m experiment=updating/gap_closed dataset=digits backbone=pixels"
SMALL = [
    "n_cycles=1", "subset=30", "batch.size=2", "training.epochs=2", "progress=false",
    "results_dir=results",
]  # fmt: skip
CLAIMS = {
    name: [c for block in page for c in block.commands if c.startswith("python scripts/claims.py")]
    for name, page in BLOCKS.items()
}
"""Commands by page, which holds what they print."""
PYTHON = "docs/reference/python.md"
KEY = re.compile(r"(?<![\w\]])\[([A-Z][A-Za-z]+(?:19|20)\d\d[a-z]?)\](?![\[(])")


@pytest.fixture
def data(monkeypatch, tmp_path, tmp_path_factory):
    """A folder with data as the docs describe them; features are extracted once for all."""
    shared = tmp_path_factory.getbasetemp().parent / "docs-cache"
    monkeypatch.setenv("ALUPDATE_CACHE", str(shared))
    for block in BLOCKS["docs/guide/own-strategy.md"]:
        if block.file:
            (tmp_path / block.file).write_text(block.code)
    monkeypatch.syspath_prepend(tmp_path)
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
    yield tmp_path
    sys.modules.pop("my_strategies", None)


def small(command):
    """Return a command's arguments, made quick; only the sizes change."""
    arguments = shlex.split(command)[3:]
    if "--help" in arguments:
        return arguments
    given = {argument.split("=")[0] for argument in arguments}
    added = [s for s in SMALL if s.split("=")[0] not in given]
    if "task=updating" in command or "updating/" in command or "paper/gamma" in command:
        added += ["task.initial_sizes=[10]", "task.new_sizes=[2,3]", "update.n_hypotheses=100"]
    if "strategy=lookahead" in arguments or "lookahead" in command.split(","):
        added.append("strategy.n_batches=3")
    if not {"dataset", "backbone", "setting"} & given:
        added += ["dataset=digits", "backbone.image_size=32"]
    if {"dataset=digits", "setting=digits", "dataset=mnist5k"} & {*arguments, *added}:
        added += ["dataset.n_train=300", "dataset.n_test=100"]
    kept = [re.sub(r"^n_cycles=.*", "n_cycles=1", argument) for argument in arguments]
    kept = [re.sub(r"n_trials=\d+", "n_trials=1", argument) for argument in kept]
    kept = [re.sub(r"forecast.holdout=\d+", "forecast.holdout=5", argument) for argument in kept]
    seeds = ["seed=0,1"] if "-m" in arguments else []
    if "hydra/launcher=joblib" in arguments:
        seeds = ["seed=0"]  # three strategies are enough for two processes
    if "experiment=paper/batch_selection" in arguments:
        seeds = ["seed=0", "strategy=margin", "batch=sequential"]
    if "hydra/sweeper=optuna" in arguments:
        seeds = []
    return [*(k for k in kept if not k.startswith("seed=range")), *added, *seeds]


@pytest.mark.parametrize("command", RUNS)
def test_run_command(command, data, monkeypatch):
    if "task=status" in command:  # of what another command has made
        assert run_command(monkeypatch, data, *small(SWEEP)) == 0
        assert run_command(monkeypatch, data, *shlex.split(command)[3:]) == 0
    elif "task=predict" in command:  # with a model that a block of Python has saved
        monkeypatch.chdir(data)
        run = ["dataset=digits", "backbone=pixels", "keep_model=true", *SMALL]
        alupdate.load_model(alupdate.run(run).path).save(data / "models" / "digits")
        assert run_command(monkeypatch, data, *small(command)) == 0
    else:
        assert run_command(monkeypatch, data, *small(command)) == 0


@pytest.fixture
def with_results(data, monkeypatch, tmp_path_factory, worker_id):
    """Make the runs of which a command's folder is to have some, once for all commands."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent

    def made(name, sweep):
        folder, done = shared / f"docs-{name}", shared / f"docs-{name}.done"
        folder.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not done.exists():
                assert run_command(monkeypatch, folder, *small(sweep), "experiment_name=made") == 0
                done.touch()
        return folder / "results" / "made"

    def make(folder):
        if folder == "results/paper-check":  # which needs pretrained weights and days
            for seed in range(2):
                write_paper_run(data / folder, seed)
            return data
        if folder.startswith("results/reference"):
            (data / "results").mkdir(exist_ok=True)
            (data / "results" / "reference").symlink_to(ROOT / "results" / "reference")
        elif folder.startswith("results/"):
            finished = made("study", STUDY) if "gap-closed" in folder else made("sweep", SWEEP)
            shutil.copytree(finished, data / folder)
        return data

    return make


@pytest.mark.parametrize("command", OF_RESULTS)
def test_command_about_results(command, with_results, monkeypatch, capsys):
    arguments = shlex.split(command)[3:]
    given = [a for a in arguments[1:] if a.startswith("results/")]
    *_, folder = (with_results(place) for place in given or arguments[1:2])
    assert run_command(monkeypatch, folder, *arguments) == 0
    target = next((a for a in arguments[2:] if "-" not in a), arguments[1])
    said = capsys.readouterr().out
    assert "± " in said or "identical" in said or _written(folder / target)


@pytest.mark.parametrize("command", SCRIPTS)
def test_script_command(command, with_results):
    script, *arguments = shlex.split(command)[1:]
    folder = with_results(arguments[0] if arguments else "")
    answer = run_script(ROOT / script, *arguments, folder=folder)
    assert answer.returncode == 0, answer.stderr
    if script == "scripts/claims.py":
        (page,) = (name for name, commands in CLAIMS.items() if command in commands)
        assert answer.stdout.strip() in TEXTS[page]
    elif script == "scripts/illustration.py":
        panels = pd.read_csv(folder / arguments[0] / "illustration.csv")["panel"].unique().tolist()
        assert panels == [
            "before", "first-order", "Monte-Carlo", "second-order", "MAP", "retrained"
        ]  # fmt: skip
        assert (folder / arguments[0] / "illustration.png").stat().st_size > 50_000
    else:
        assert answer.stdout or _written(folder / arguments[0])


def test_tables_of_the_committed_runs_are_compared_with_their_pages():
    pages = {name for name, commands in CLAIMS.items() if commands}
    assert pages == {
        f"docs/findings/{name}.md" for name in ("strategy-tables", "strategy-tables-30")
    }
    assert "python scripts/illustration.py docs/figures" in SCRIPTS


def _written(folder):
    """Return the figures and pages that a command has made."""
    return [path for ending in ("png", "html") for path in folder.glob(f"*.{ending}")]


def test_no_command_is_left_out():
    assert set(COMMANDS) == {*RUNS, *OF_RESULTS, *SCRIPTS, *SETUP}


@pytest.mark.parametrize("name", WITH_PYTHON)
def test_python_of_a_page(name, data, monkeypatch):
    """The blocks of a page are one program."""
    monkeypatch.chdir(data)
    namespace = {"__name__": name}
    for block in BLOCKS[name]:
        if block.language == "python" and not block.file:
            exec(compile(block.code, name, "exec"), namespace)


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_somewhere(name):
    page = ROOT / name
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", TEXTS[name], flags=re.S)):
        if link.startswith("http"):
            continue
        place, _, anchor = link.partition("#")
        target = page.parent / place if place else page
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_cited_works_are_in_the_bibliography():
    folders = (ROOT / name for name in ("alupdate", "benchmarks", "docs", "scripts"))
    files = [p for folder in folders for p in folder.rglob("*") if p.suffix in (".py", ".md")]
    cited = {key: name_of(path) for path in files for key in KEY.findall(path.read_text())}
    known = re.findall(r"^### \[(\w+)\]$", TEXTS["docs/bibliography.md"], re.M)
    assert {key: place for key, place in cited.items() if key not in known} == {}


def test_bibliography_has_each_key_once():
    keys = re.findall(r"^### \[(\w+)\]$", TEXTS["docs/bibliography.md"], re.M)
    assert len(keys) == len(set(keys))


def test_configuration_reference_is_that_of_conf():
    answer = run_script(ROOT / "scripts" / "configuration.py")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() in TEXTS["docs/reference/configuration.md"]


def test_pages_are_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    listed = re.findall(r": (\S+\.md)$", navigation, re.M)
    pages = [name.removeprefix("docs/") for name in TEXTS if name.startswith("docs/")]
    assert sorted(listed) == sorted(pages)


def test_reference_of_python_is_complete():
    names = re.findall(r"^(?:::: |    options: .*heading: )alupdate\.(\w+)", TEXTS[PYTHON], re.M)
    assert {*names, "__version__"} - {"experiment", "results"} == set(alupdate.__all__)


def test_pictures_come_from_the_committed_results(tmp_path, monkeypatch):
    """``make figures`` draws each picture of README and docs from results/reference."""

    def quick(figure, path, **_):
        if path.suffix == ".png":
            figure.draw_without_rendering()
            path.touch()

    monkeypatch.setattr(Figure, "savefig", quick)
    makefile = (ROOT / "Makefile").read_text()
    for line in re.findall(r"\$\(PYTHON\) scripts/(.* docs/figures.*)", makefile):
        script, *arguments = shlex.split(line)
        given = [a.replace("results/", f"{ROOT}/results/") for a in arguments]
        given[given.index("docs/figures")] = str(tmp_path)
        assert load(script.removesuffix(".py")).main(given) == 0
    drawn = {path.name for path in tmp_path.glob("*.png")}
    pictures = {Path(p).name for t in TEXTS.values() for p in re.findall(r"figures/([^)\s]*)\)", t)}
    assert pictures <= drawn
    assert {path.name for path in (ROOT / "docs" / "figures").glob("*.png")} == drawn
