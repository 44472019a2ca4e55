"""Data cards, and features that are extracted ahead of a sweep."""

import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from alupdate import run
from alupdate.data.arrays import digits
from alupdate.data.dataset import from_arrays
from alupdate.experiment.setup import card
from tests.support.runs import run_command, run_small


def test_card_counts_what_is_there():
    rows = np.arange(24, dtype=np.float32).reshape(8, 3)
    rows[1] = rows[0]
    labels = np.array(["b", "a", "b", "b", "b", "a", "b", "b"])
    dataset = from_arrays("d", rows, labels, rows[[0, 5, 6]] + [[0], [0], [99]], labels[:3], "here")
    lines = dict(card(dataset))
    assert lines["instances"] == "vectors of dimension 3"
    assert (lines["pool"], lines["test set"], lines["classes"]) == ("8", "3", "2")
    assert lines["largest class"] == "b: 6"
    assert lines["smallest class"] == "a: 2"
    assert lines["imbalance"] == "3 to 1"
    assert lines["copies within the pool"] == "1"
    assert lines["test instances in the pool"] == "2"
    assert dataset.notes == ("2 of 3 test instances are in the pool, too (exact copies)",)


def test_describe_probes_the_whole_pool(monkeypatch, tmp_path, capsys):
    arguments = ("task=describe", "dataset=digits", "backbone=pixels")
    assert run_command(monkeypatch, tmp_path, *arguments) == 0
    output = capsys.readouterr().out
    assert "images of 8 x 8 pixels, 1 channels" in output
    assert "64 by pixels" in output
    (line,) = [line for line in output.splitlines() if "linear probe" in line]
    accuracy = float(line.split("│")[2].split()[0])
    data = digits()
    pool, test = (x.rows.reshape(len(x), -1) / 255.0 for x in (data.train, data.test))
    peer = LogisticRegression(C=1.0, max_iter=1000).fit(pool, data.train_labels)
    assert accuracy == pytest.approx(peer.score(test, data.test_labels), abs=0.02)
    assert not (tmp_path / "results").exists()


def test_features_are_extracted_once_ahead_of_a_sweep(monkeypatch, tmp_path, capsys):
    images = np.random.default_rng(0).integers(256, size=(40, 16, 16, 3)).astype(np.uint8)
    labels = np.arange(40) % 2
    np.savez(
        tmp_path / "data.npz",
        X_train=images[:30], y_train=labels[:30], X_test=images[30:], y_test=labels[30:],
    )  # fmt: skip
    arguments = (
        "dataset=npz", "dataset.path=data.npz", "backbone=efficientnet_lite0",
        "backbone.image_size=32",
    )  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["alupdate-features", *arguments])
    with pytest.raises(SystemExit) as ended:
        run.extract_features()
    assert ended.value.code == 0
    first = capsys.readouterr().err
    assert "images/s" in first
    assert "npz: 30 + 10 instances, 1280 features by efficientnet_lite0" in first
    assert run_small(monkeypatch, tmp_path, *arguments) == 0
    assert "images/s" not in capsys.readouterr().err


@pytest.mark.parametrize("task", ["describe", "features"])
def test_networks_that_are_trained_have_no_fixed_features(task, monkeypatch, tmp_path, capsys):
    assert run_small(monkeypatch, tmp_path, f"task={task}", "backbone=cnn") == 2
    captured = capsys.readouterr().err
    assert captured.startswith(f"error: task={task}: backbone=cnn is trained end to end")
    assert captured.count("\n") == 1


def test_a_file_that_moved_is_the_same_data_set(monkeypatch, tmp_path, capsys):
    rows, labels = np.random.default_rng(0).normal(size=(80, 4)), np.arange(80) % 3
    arrays = {"X_train": rows, "y_train": labels, "X_test": rows[:30] + 1, "y_test": labels[:30]}
    np.savez(tmp_path / "here.npz", **arrays)
    arguments = ("dataset=npz", "backbone=identity")
    assert run_small(monkeypatch, tmp_path, *arguments, "dataset.path=here.npz") == 0
    (tmp_path / "here.npz").rename(tmp_path / "there.npz")
    capsys.readouterr()
    assert run_small(monkeypatch, tmp_path, *arguments, "dataset.path=there.npz") == 0
    assert "already done" in capsys.readouterr().err
    arrays["X_train"] = rows + 2
    np.savez(tmp_path / "there.npz", **arrays)
    assert run_small(monkeypatch, tmp_path, *arguments, "dataset.path=there.npz") == 0
    assert "already done" not in capsys.readouterr().err
    assert len(list((tmp_path / "results" / "default").iterdir())) == 2
