"""What a finished run has written is checked when the run is asked for again."""

import json
import os

import pytest
from matplotlib.figure import Figure

from alupdate.experiment import setup
from alupdate.results import store
from alupdate.results.reader import read_results
from tests.support.runs import only_run, run_command, run_small


def asked_again(monkeypatch, folder, *arguments):
    """Ask for a run again, where it must not prepare anything."""

    def prepare(*_):
        raise AssertionError("the data were loaded")

    with monkeypatch.context() as patch:
        patch.setattr(setup, "prepare", prepare)
        return run_small(patch, folder, *arguments)


@pytest.mark.parametrize("task", ["active_learning", "updating"])
def test_damaged_tables_are_written_again_without_the_data(tmp_path, monkeypatch, capfd, task):
    sizes = ("task.initial_sizes=[20]", "task.new_sizes=[5]") if task == "updating" else ()
    arguments = (f"task={task}", *sizes)
    assert run_small(monkeypatch, tmp_path, *arguments) == 0
    run = only_run(tmp_path)
    before = {path.name: path.read_bytes() for path in run.glob("*.csv")}
    for name in before:
        (run / name).write_bytes(b"" if name != "queries.csv" else before[name][:-4])
    capfd.readouterr()
    assert asked_again(monkeypatch, tmp_path, *arguments) == 0
    shown = capfd.readouterr().err
    assert "again from state.json" in shown
    assert "already done" in shown
    assert {path.name: path.read_bytes() for path in run.glob("*.csv")} == before
    assert asked_again(monkeypatch, tmp_path, *arguments) == 0
    assert "again from state.json" not in capfd.readouterr().err


def test_the_state_of_another_run_starts_over(tmp_path, monkeypatch):
    folders = [tmp_path / name for name in ("margin", "random")]
    for folder in folders:
        folder.mkdir()
        assert run_small(monkeypatch, folder, f"strategy={folder.name}") == 0
    margin, random = map(only_run, folders)
    before = (margin / "queries.csv").read_bytes()
    (margin / "state.json").write_bytes((random / "state.json").read_bytes())
    (margin / "status.json").unlink()
    assert run_small(monkeypatch, folders[0], "strategy=margin") == 0
    assert (margin / "queries.csv").read_bytes() == before
    assert f"it is the state of {random.name}" in (margin / "run.log").read_text()


@pytest.mark.parametrize("index", [0, 10**6])
def test_labels_that_the_data_do_not_have_start_over(tmp_path, monkeypatch, index):
    assert run_small(monkeypatch, tmp_path) == 0
    run = only_run(tmp_path)
    before = (run / "curve.csv").read_bytes()
    document = json.loads((run / "state.json").read_text())
    steps = document["steps"][:2]
    steps[1]["indices"][0], steps[1]["labels"][0] = index, 77
    document |= {"steps": steps, "sha256": store._checksum(run.name, steps)}
    (run / "state.json").write_text(json.dumps(document))
    (run / "status.json").unlink()
    assert run_small(monkeypatch, tmp_path) == 0
    assert (run / "curve.csv").read_bytes() == before
    assert "cycle 1 has labels that the data do not have" in (run / "run.log").read_text()


ODD_LABELS = ("'NA'", "'null'", "'007'", "'1e3'", "'True'", '"Ba$$in"', '"ag/news"', "'../../x'")


def test_labels_stay_as_they_are_in_tables_and_figures(tmp_path, monkeypatch):
    sizes = ("n_cycles=1", "batch.size=2", "progress=false")
    labels = "dataset.label=" + ",".join(ODD_LABELS)
    assert run_small(monkeypatch, tmp_path, "-m", *sizes, labels, pictures=True) == 0
    folder = tmp_path / "results" / "default"
    wanted = {label.strip("'\"") for label in ODD_LABELS}
    assert set(read_results(folder).curves["dataset"]) == wanted
    assert len(list(folder.glob("*/curve.png"))) == len(wanted)
    for command in (("tables",), ("figures", "--only", "curves-*", "*-areas"), ("report",)):
        name, *options = command
        assert run_command(monkeypatch, tmp_path, name, str(folder), *options) == 0
    assert len(list(folder.glob("curves-*.png"))) == len(wanted)
    assert {path.name for path in tmp_path.iterdir()} == {"results"}


@pytest.mark.parametrize("label", ["'=1+1'", "'@x'", '"a\tb"', "'   '"])
def test_labels_that_fail_later_are_refused(tmp_path, monkeypatch, capfd, label):
    assert run_small(monkeypatch, tmp_path, f"dataset.label={label}") == 2
    error = capfd.readouterr().err.strip()
    assert error.startswith("error: dataset.label")
    assert "\n" not in error
    assert not (tmp_path / "results").exists()


def test_a_picture_that_fails_is_a_warning(tmp_path, monkeypatch, capfd):
    def fails(*_, **__):
        raise RuntimeError("no font\nat all")

    monkeypatch.setattr(Figure, "savefig", fails)
    assert run_small(monkeypatch, tmp_path, "progress=false", pictures=True) == 0
    run = only_run(tmp_path)
    assert json.loads((run / "status.json").read_text())["state"] == "completed"
    assert "curve.png could not be drawn (RuntimeError: no font)" in capfd.readouterr().err
    assert "could not be drawn" in (run / "run.log").read_text()
    assert not list(run.glob("*.png"))


def test_a_log_that_is_a_pipe_is_one_line(tmp_path, monkeypatch, capfd, no_waiting):
    assert run_small(monkeypatch, tmp_path, "n_cycles=0") == 0
    run = only_run(tmp_path)
    (run / "status.json").unlink()
    (run / "run.log").unlink()
    os.mkfifo(run / "run.log")
    assert run_small(monkeypatch, tmp_path, "n_cycles=0") == 2
    assert "run.log: is no regular file" in capfd.readouterr().err
