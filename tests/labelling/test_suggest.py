"""task=suggest as a command: files in, files out."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest

from alupdate.data.arrays import digits
from alupdate.utils.metrics import METRIC_NAMES
from tests.support.runs import run_command

SMALL = [
    "backbone=pixels", "n_initial=10", "batch.size=3", "subset=150", "training.epochs=20",
    "progress=false",
]  # fmt: skip
CLASSES = "dataset.classes=[0,1,2,3,4,5,6,7,8,9]"
SUGGEST = ["task=suggest", "dataset=npz", "dataset.path=hidden.npz", CLASSES]


@pytest.fixture
def pool(tmp_path):
    """Digits with their labels, and without those of the pool."""
    data = digits()
    rows = {"X_train": data.train.rows[:300, ..., 0], "X_test": data.test.rows[:100, ..., 0]}
    np.savez(
        tmp_path / "all.npz", **rows, y_train=data.train_labels[:300], y_test=data.test_labels[:100]
    )
    np.savez(tmp_path / "hidden.npz", **rows, y_test=data.test_labels[:100])
    return tmp_path


def campaign_of(folder):
    (found,) = (folder / "results" / "default").glob("labelling-*")
    return found


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


def filled(batch, truth):
    """Write the true labels into a batch."""
    rows = rows_of(batch)
    for row in rows:
        row["label"] = str(truth[int(row["instance"])])
    with batch.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return [int(row["instance"]) for row in rows]


@pytest.mark.parametrize(
    ("strategy", "batch", "update"),  # each pair of two of them
    [
        ("margin", "top_b", "retrain"),
        ("margin", "sequential", "second_order"),
        ("badge", "top_b", "second_order"),
        ("badge", "sequential", "retrain"),
        ("bald", "top_b", "retrain"),
        ("bald", "sequential", "second_order"),
    ],
)
def test_a_run_is_replayed_byte_for_byte(strategy, batch, update, pool, monkeypatch):
    names = [f"strategy={strategy}", f"batch={batch}", f"update={update}"]
    simulated = ["dataset=npz", "dataset.path=all.npz", "n_cycles=2", *SMALL, *names]
    assert run_command(monkeypatch, pool, *simulated, "experiment_name=simulated") == 0
    (run,) = (pool / "results" / "simulated").iterdir()
    truth, asked = digits().train_labels, []
    rounds = 3 if batch == "top_b" else 7
    for _ in range(rounds):
        assert run_command(monkeypatch, pool, *SUGGEST, *SMALL, *names) == 0
        asked += filled(campaign_of(pool) / "batch.csv", truth)
    assert run_command(monkeypatch, pool, *SUGGEST, *SMALL, *names) == 0
    queries = pd.read_csv(run / "queries.csv")
    assert asked == queries["pool_index"].tolist()
    expected = (run / "curve.csv").read_text().splitlines()
    found = (campaign_of(pool) / "progress.csv").read_text().splitlines()
    assert found[0] == expected[0]
    for line in expected[1:]:
        after_name = line.split(",", 1)[1].split(",", 8)
        assert sum(row.split(",", 1)[1].split(",", 8) == after_name for row in found[1:]) == 1
    assert set(METRIC_NAMES) < set(expected[0].split(","))


@pytest.mark.parametrize(("labels", "count"), [("acquired", 1), ("predicted", 3)])
def test_only_acquired_labels_are_waited_for(labels, count, pool, monkeypatch, capsys):
    names = [
        *SMALL,
        "strategy=margin",
        "batch=sequential",
        f"batch.labels={labels}",
        "progress=true",
    ]
    assert run_command(monkeypatch, pool, *SUGGEST, *names) == 0
    filled(campaign_of(pool) / "batch.csv", digits().train_labels)
    capsys.readouterr()
    assert run_command(monkeypatch, pool, *SUGGEST, *names) == 0
    assert len(rows_of(campaign_of(pool) / "batch.csv")) == count
    captured = capsys.readouterr()
    said = " ".join((captured.out + captured.err).split())
    assert ("waits for these labels" in said) == (labels == "acquired")


def test_the_next_batch_follows_from_the_labels_alone(pool, monkeypatch):
    """With or without the kept model, in one file or another: the same batch and model."""
    names = ["strategy=margin", "update=map", *SMALL]
    for _ in range(3):
        assert run_command(monkeypatch, pool, *SUGGEST, *names) == 0
        filled(campaign_of(pool) / "batch.csv", digits().train_labels)
    kept = campaign_of(pool)
    assert run_command(monkeypatch, pool, *SUGGEST, *names) == 0
    (pool / "labels.csv").write_bytes((kept / "labels.csv").read_bytes())
    other = [*SUGGEST, *names, "dataset.labels=labels.csv", "experiment_name=other"]
    assert run_command(monkeypatch, pool, *other) == 0
    (again,) = (pool / "results" / "other").glob("labelling-*")
    for name in ("batch.csv", "batch.html", "model.safetensors"):
        assert (again / name).read_bytes() == (kept / name).read_bytes(), name


def test_updates_go_on_from_the_kept_model(pool, monkeypatch):
    """It is really used: a training that is no longer possible is not asked for.

    What is expected of the model comes from models that are trained for it, and is left out.
    """
    from alupdate.models.learner import FrozenLearner

    names = ["strategy=margin", "update=second_order", *SMALL]
    for _ in range(2):
        assert run_command(monkeypatch, pool, *SUGGEST, *names) == 0
        filled(campaign_of(pool) / "batch.csv", digits().train_labels)

    def refuse(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(FrozenLearner, "fit", refuse)
    monkeypatch.setattr("alupdate.labelling.suggest.say_expected", lambda *_: None)
    assert run_command(monkeypatch, pool, *SUGGEST, *names) == 0
    facts = json.loads((campaign_of(pool) / "model.json").read_text())
    assert "13" in json.dumps(facts)


def test_answers_from_a_file_are_added_once(pool, monkeypatch, capsys):
    names = ["strategy=random", *SMALL]
    assert run_command(monkeypatch, pool, *SUGGEST, *names) == 0
    batch = campaign_of(pool) / "batch.csv"
    asked = filled(batch, digits().train_labels)
    (pool / "answers.csv").write_bytes(batch.read_bytes())
    for _ in range(2):
        assert run_command(monkeypatch, pool, *SUGGEST, *names, "task.answers=answers.csv") == 0
    labels = rows_of(campaign_of(pool) / "labels.csv")
    assert [int(row["instance"]) for row in labels] == asked
    other = (int(labels[0]["label"]) + 1) % 10
    (pool / "answers.csv").write_text(f"instance,label\n{asked[0]},{other}\n")
    assert run_command(monkeypatch, pool, *SUGGEST, *names, "task.answers=answers.csv") == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error: task.answers=answers.csv: ")
    assert "dataset.on_conflict=last" in line


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["strategy=lookahead"], "strategy=lookahead is an oracle"),
        (["strategy=expected_lookahead", "backbone=cnn"], "backbone=cnn is trained as a whole"),
        (["dataset=digits"], "dataset=digits has all its labels"),
        (["-m", "strategy=margin,random"], "is not for a sweep"),
        (["strategy=margin", "task.answers=none.csv"], "none.csv"),
        (["strategy=margin", "dataset.path=none.npz"], "none.npz"),
        (["strategy=margin", "dataset.labels=none.txt"], "must end in one of .csv"),
    ],
)
def test_wrong_commands_have_one_line(arguments, line, pool, monkeypatch, capsys):
    given = (
        [a for a in SUGGEST if not a.startswith("dataset")]
        if "dataset=digits" in arguments
        else SUGGEST
    )
    assert run_command(monkeypatch, pool, *given, *SMALL, *arguments) == 2
    assert line in capsys.readouterr().err
    assert not (pool / "results").exists()


def test_wrong_labels_in_a_batch_change_nothing(pool, monkeypatch, capsys):
    names = ["strategy=margin", *SMALL]
    assert run_command(monkeypatch, pool, *SUGGEST, *names) == 0
    batch = campaign_of(pool) / "batch.csv"
    filled(batch, [10] * 300)
    before = batch.read_bytes()
    assert run_command(monkeypatch, pool, *SUGGEST, *names) == 2
    assert "10" in capsys.readouterr().err
    assert batch.read_bytes() == before
    assert not (campaign_of(pool) / "labels.csv").exists()


def test_answers_may_take_back_what_the_data_say(pool, monkeypatch, capsys):
    """The remedy that the complaint names: a row with the status removed, and the other label."""
    rows = np.load(pool / "all.npz")
    labels = rows["y_train"].astype(str)
    labels[12:] = ""
    np.savez(pool / "hidden.npz", X_train=rows["X_train"], y_train=labels)
    names = ["strategy=random", *SMALL]
    other = str((int(labels[3]) + 1) % 10)
    for n_removed, answers in enumerate([f"3,,removed\n3,{other},\n", "5,,removed\n"], start=1):
        (pool / "answers.csv").write_text("instance,label,status\n" + answers)
        assert run_command(monkeypatch, pool, *SUGGEST, *names, "task.answers=answers.csv") == 0
        found = rows_of(campaign_of(pool) / "labels.csv")
        assert sum(row["status"] == "removed" for row in found) == n_removed
        assert run_command(monkeypatch, pool, *SUGGEST, *names) == 0
    assert json.loads((campaign_of(pool) / "model.json").read_text())["facts"]["n_labelled"] == 11
    kept = (campaign_of(pool) / "labels.csv").read_bytes()
    (pool / "answers.csv").write_text(f"instance,label,status\n7,{other}x,\n")
    assert run_command(monkeypatch, pool, *SUGGEST, *names, "task.answers=answers.csv") == 2
    assert (campaign_of(pool) / "labels.csv").read_bytes() == kept
