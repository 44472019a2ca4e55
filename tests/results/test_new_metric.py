"""A metric is added in one file: a copy of the package, with a row more, has it everywhere."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from alupdate.results.reader import read_results
from tests.support.experiments import write_run

ROOT = Path(__file__).parents[2]
FUNCTION = '''\
def confidence(predictions: Predictions) -> float:
    """Return the mean probability of the predicted class."""
    return predictions.probabilities.max(dim=1).values.mean().item()


'''
ROW = '    Metric("confidence", "mean confidence", True, confidence),\n'
STEPS = """
import json, runpy, sys
from pathlib import Path

import alupdate
from alupdate.results.reader import read_results
from alupdate.run import exit_code
from alupdate.trackers.tracker import points_of

small = ("dataset=digits", "backbone=pixels", "n_initial=10", "n_cycles=1", "subset=60",
         "batch.size=3", "training.epochs=3", "progress=false", "update.n_hypotheses=50")
for own in (["strategy=margin"], ["strategy=random"],
            ["task=updating", "task.initial_sizes=[10]", "task.new_sizes=[2]"]):
    assert exit_code([*small, *own]) == 0
answers = {"package": alupdate.__file__}
for script in ("tables", "figures"):
    main = runpy.run_path(f"{sys.argv[1]}/scripts/{script}.py")["main"]
    some = ["--only", "curves-*"] if script == "figures" else []
    answers[script] = main(["results/default", script, "--metric", "confidence", *some])
    answers[f"{script} of old runs"] = main(["old", "nothing", "--metric", "confidence"])
    answers[f"other {script} of old runs"] = main(
        ["old", f"old-{script}", "--metric", "nll", *some])
report = runpy.run_path(f"{sys.argv[1]}/scripts/report.py")["main"]
answers["report"] = report(["results/default", "report.html"])
results = read_results("results/default")
answers["curves"] = results.curves["confidence"].tolist()
answers["updates"] = results.updates["confidence"].tolist()
answers["old"] = read_results("old").curves["confidence"].isna().all().item()
states = [json.loads(path.read_text()) for path in Path("results").rglob("state.json")]
answers["points"] = sorted({key for state in states for point in points_of(state["steps"])
                            for key in point.values if key.startswith("confidence")})
Path("answers.json").write_text(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with runs, tables, figures and report of the changed copy."""
    folder = tmp_path_factory.mktemp("metric")
    copy = folder / "copy"
    for name in ("alupdate", "conf", "scripts"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = copy / "alupdate" / "utils" / "metrics.py"
    functions, table, rest = path.read_text().partition('ACCURACY = "accuracy"')
    rows, end, others = rest.partition(')\n"""All metrics')
    path.write_text(functions + FUNCTION + table + rows + ROW + end + others)
    write_run(folder / "old", seed=0)
    environment = os.environ | {"PYTHONPATH": str(copy), "ALUPDATE_CACHE": str(folder / "cache")}
    answer = subprocess.run(
        [sys.executable, "-c", STEPS, str(copy)],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    (folder / "stderr").write_text(answer.stderr)
    assert answer.returncode == 0, answer.stderr
    return folder


@pytest.fixture(scope="module")
def answers(folder):
    found = json.loads((folder / "answers.json").read_text())
    assert found["package"].startswith(str(folder))
    return found


@pytest.mark.parametrize(("name", "count"), [("curve.csv", 2), ("updates.csv", 1)])
def test_its_column_is_the_last_one(name, count, folder, answers):
    paths = list((folder / "results").rglob(name))
    assert len(paths) == count
    for path in paths:
        table = pd.read_csv(path)
        assert table.columns[-1] == "confidence"
        assert table["confidence"].between(0.1, 1).all()


def test_it_is_read_back(folder, answers):
    for name, kind in (("curve.csv", "curves"), ("updates.csv", "updates")):
        paths = sorted((folder / "results").rglob(name))
        values = pd.concat([pd.read_csv(path)["confidence"] for path in paths])
        assert answers[kind] == values.tolist()


def test_tables_figures_and_report_have_it(folder, answers):
    assert answers["tables"] == answers["figures"] == answers["report"] == 0
    areas = pd.read_csv(folder / "tables" / "areas-confidence.csv")
    assert areas["area"].between(0.1, 1).all()
    assert "confidence" in pd.read_csv(folder / "tables" / "final.csv")
    assert (folder / "figures" / "curves-digits-pixels-confidence.png").is_file()
    page = (folder / "report.html").read_text()
    assert "test mean confidence" in page


def test_trackers_get_it(answers):
    assert "confidence" in answers["points"]
    assert "confidence/retrain/new_2" in answers["points"]


def test_runs_that_were_made_before_are_read_without_it(folder, answers):
    assert answers["old"] is True
    for script in ("tables", "figures"):
        assert answers[f"{script} of old runs"] == 2
        assert answers[f"other {script} of old runs"] == 0
    assert not (folder / "nothing").exists()
    complaint = "error: metric confidence: run digits-pixels-random-"
    assert (folder / "stderr").read_text().count(complaint) == 2


def test_its_runs_are_read_where_it_is_not_known(folder, answers):
    results = read_results(folder / "results")
    assert results.curves["run"].nunique() == 2
    assert "confidence" not in results.curves
