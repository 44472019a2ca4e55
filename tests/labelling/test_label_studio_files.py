"""task=suggest with files for Label Studio: tasks out, exports in, and what is refused."""

import contextlib
import csv
import io
import json

import numpy as np
import pytest

from alupdate.data.arrays import digits
from alupdate.labelling import label as label_module
from tests.support.label_studio_exports import Given, Task, answered, exported, write_export
from tests.support.runs import run_command

CLASSES = "dataset.classes=[0,1,2,3,4,5,6,7,8,9]"
SMALL = [
    "dataset=npz", "dataset.path=pool.npz", "backbone=pixels", "strategy=margin", "n_initial=10",
    "batch.size=3", "subset=150", "training.epochs=5", "progress=false",
]  # fmt: skip
SUGGEST = ["task=suggest", *SMALL, CLASSES]
EXCHANGE = [*SUGGEST, "task.format=labelstudio"]


@pytest.fixture
def pool(tmp_path):
    np.savez(tmp_path / "pool.npz", X_train=digits().train.rows[:60, ..., 0])
    return tmp_path


def campaign_of(folder, experiment="default"):
    (found,) = (folder / "results" / experiment).glob("labelling-*")
    return found


def tasks_of(folder):
    """Return the written tasks as an annotator has answered them, the last one first."""
    written = json.loads((campaign_of(folder) / "batch.labelstudio.json").read_text())
    truth = digits().train_labels
    return [
        answered(i + 1, task["data"], str(truth[int(task["data"]["instance"])]), created=i)
        for i, task in enumerate(written)
    ][::-1]


def fill(batch):
    rows = list(csv.DictReader(io.StringIO(batch.read_text())))
    for row in rows:
        row["label"] = str(digits().train_labels[int(row["instance"])])
    with batch.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_an_export_gives_the_next_batch_of_the_table(pool, monkeypatch):
    """As labels, and as answers; the same as by batch.csv, byte for byte."""
    assert run_command(monkeypatch, pool, *EXCHANGE) == 0
    folder = campaign_of(pool)
    tasks = tasks_of(pool)
    assert len(tasks) == 10
    assert (folder / "labelling-config.xml").read_text().count("<Choice ") == 10
    assert tasks[0].data["image"].startswith("data:image/jpeg;base64,")
    fill(folder / "batch.csv")
    assert run_command(monkeypatch, pool, *EXCHANGE) == 0
    names = ("batch.csv", "batch.labelstudio.json", "model.safetensors")
    expected = {name: (folder / name).read_bytes() for name in names}
    for kind, key in (("json_min", "dataset.labels"), ("tsv", "task.answers")):
        given = [f"{key}={write_export(pool / 'export', kind, tasks)}", f"experiment_name={kind}"]
        assert run_command(monkeypatch, pool, *EXCHANGE, *given) == 0
        found = campaign_of(pool, kind)
        assert {name: (found / name).read_bytes() for name in names} == expected, kind
    assert (found / "labels.csv").read_bytes() == (folder / "labels.csv").read_bytes()


def test_answers_are_added_once_and_the_last_one_counts(pool, monkeypatch, capsys):
    data = [{"image": "x", "instance": str(i)} for i in range(2)]
    twice = [Given(("1",), 2), Given(("2",), 3), Given((), 1, skips=True)]
    export = write_export(pool / "e", "json", [Task(1, data[0], twice), answered(2, data[1], "3")])
    command = [*SUGGEST, f"task.answers={export}"]
    assert run_command(monkeypatch, pool, *command) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "task 1: 0 is labelled 2, but task 1 says 1; correct one, or set dataset" in line
    assert not (pool / "results").exists()
    for _ in range(2):
        assert run_command(monkeypatch, pool, *command, "dataset.on_conflict=last") == 0
    labels = (campaign_of(pool) / "labels.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in labels[1:]] == [["1", "3"], ["0", "2"]]


def test_files_of_an_earlier_batch_do_not_stay(pool, monkeypatch):
    assert run_command(monkeypatch, pool, *EXCHANGE) == 0
    assert run_command(monkeypatch, pool, *SUGGEST) == 0
    names = {path.name for path in campaign_of(pool).iterdir()}
    assert "batch.csv" in names
    assert not names & {"batch.labelstudio.json", "labelling-config.xml"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["dataset.path=vectors.npz"], "shows images and texts, but the pool has vectors"),
        (["dataset.classes=null"], "task.format=labelstudio: needs the classes to choose from"),
        (["dataset.classes=[a,$b]"], "takes a part of the class $b for a variable"),
        (["task.format=json"], "task.format"),
        (["task.answers=wrong.json"], "task.answers=wrong.json: must be a list of tasks"),
        (["dataset.labels=unknown.json"], "task 1: the pool has no instance 999"),
        (["dataset.labels=class.json"], "class.json: task 1: the label x is none of"),
        (["task.answers=class.json"], "class.json: task 1: the label x is none of"),
        (["dataset.labels=new.json"], "is an export of Label Studio, to which no answers"),
    ],
)
def test_wrong_commands_have_one_line(arguments, line, pool, monkeypatch, capsys):
    np.savez(pool / "vectors.npz", X_train=np.eye(30, dtype=np.float32))
    (pool / "wrong.json").write_text("{}")
    for name, instance, label in (("unknown", "999", "1"), ("class", "5", "x")):
        tasks = [answered(1, {"image": "x", "instance": instance}, label)]
        (pool / f"{name}.json").write_bytes(exported("json", tasks))
    assert run_command(monkeypatch, pool, *EXCHANGE, *arguments) == 2
    assert line in capsys.readouterr().err
    assert not (pool / "results").exists()


def test_nothing_is_added_to_an_export(pool, monkeypatch, capsys):
    assert run_command(monkeypatch, pool, *EXCHANGE) == 0
    export = write_export(pool / "export", "csv", tasks_of(pool)[:5])
    before = export.read_bytes()
    fill(campaign_of(pool) / "batch.csv")
    monkeypatch.setattr(label_module, "terminal_keys", contextlib.nullcontext)
    for task in (["task=suggest"], ["task=label"]):
        capsys.readouterr()
        command = [*task, *SMALL, CLASSES, f"dataset.labels={export}"]
        assert run_command(monkeypatch, pool, *command) == 2
        assert "is an export of Label Studio, to which no answers" in capsys.readouterr().err
    assert export.read_bytes() == before
