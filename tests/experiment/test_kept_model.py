"""keep_model=true: the model of a run in its directory."""

import json
import os

import numpy as np
import pandas as pd
import pytest

import alupdate
from alupdate.config.compose import compose_config
from alupdate.experiment.kept_model import has_model, settings_digest
from alupdate.models.saved import labels_digest
from alupdate.results.status import RunStatus
from alupdate.sweep.plan import PlannedRun
from tests.models.test_saved import cut, flipped
from tests.support.runs import SMALL, only_run, run_small
from tests.support.saved import backbone_of

FEWER = ("dataset.n_train=200", "dataset.n_test=100")
RUN = ("dataset=digits", "backbone=pixels", "progress=false", *FEWER, *SMALL)


def run(tmp_path, *more):
    return alupdate.run([*RUN, f"results_dir={tmp_path / 'results'}", *more])


def written(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


@pytest.mark.parametrize(
    "more",
    [
        ("update=retrain",),
        ("update=map", "posterior=per_class"),
        ("update=second_order", "posterior=categorical", "posterior.predictive=mean_field"),
        ("backbone.standardise=false", "posterior.predictive=monte_carlo"),
    ],
    ids=str,
)
def test_the_model_of_a_run_predicts_as_the_run_did(more, tmp_path):
    result = run(tmp_path, "keep_model=true", *more)
    model = alupdate.load_model(result.path)
    dataset = result.config.dataset.load(tmp_path, None)
    predictive = result.config.posterior.predictive
    found = model.predict(dataset.test.rows, predictive).argmax(axis=1)
    assert (found == dataset.test_labels).mean() == result.curve["accuracy"].iloc[-1]
    assert (model.facts.n_labelled, model.temperature) == (16, None)
    classes = [dataset.classes[label] for label in result.queries["label"]]
    pairs = zip(map(str, result.queries["pool_index"]), classes, strict=True)
    assert model.facts.labels == labels_digest(pairs)


def test_a_finished_run_makes_its_model_when_asked_and_only_then(tmp_path):
    folder = run(tmp_path).path
    assert not (folder / "model.json").exists()
    before = written(folder)
    run(tmp_path, "keep_model=true")
    after = written(folder)
    assert after.keys() - before.keys() == {"model.safetensors", "model.json"}
    assert before.items() <= after.items()
    run(tmp_path, "keep_model=true")
    assert written(folder) == after
    first = alupdate.load_model(folder)
    fresh = run(tmp_path / "other", "keep_model=true").path
    content = (fresh / "model.safetensors").read_bytes()
    assert (folder / "model.safetensors").read_bytes() == content
    run(tmp_path, "keep_model=true", "calibrate=true")
    assert alupdate.load_model(folder).temperature is not None
    assert first.temperature is None


@pytest.mark.parametrize(
    "damage",
    [
        flipped,
        lambda folder: cut(folder, "model.json"),
        lambda folder: (folder / "model.json").unlink(),
        lambda folder: (
            alupdate.load_model(folder).update(np.zeros((1, 64)), ["1"], gamma=1.0).save(folder)
        ),
    ],
    ids=["bit flipped", "cut off", "missing", "updated since"],
)
def test_damaged_files_are_written_anew(damage, tmp_path):
    folder = run(tmp_path, "keep_model=true").path
    content = (folder / "model.safetensors").read_bytes()
    damage(folder)
    run(tmp_path, "keep_model=true")
    assert (folder / "model.safetensors").read_bytes() == content
    labels = len(pd.read_csv(folder / "queries.csv"))
    assert has_model(folder, compose_config([*RUN]), labels)
    assert not has_model(folder, compose_config([*RUN]), labels - 1)


def test_a_sweep_launches_finished_runs_whose_model_is_wanted(tmp_path):
    def needs_nothing(*more):
        return PlannedRun(
            (), compose_config([*RUN, *more]), tmp_path, RunStatus(None), True
        ).needs_nothing

    assert needs_nothing()
    assert not needs_nothing("keep_model=true")
    assert not needs_nothing("force=true")


REFUSED = {
    "keep_model=true backbone=cnn": "keep_model=true: backbone=cnn is trained end to end",
    "keep_model=true backbone=resnet18 backbone.frozen=false": "is trained end to end",
    "keep_model=true task=updating": "keep_model=true: task=updating makes no model that could be",
    "keep_model=true task=describe": "keep_model=true: task=describe makes no model",
    "keep_model=true task=features": "keep_model=true: task=features makes no model",
    "keep_model=true task=predict model=m": "keep_model=true: task=predict makes no model",
    "calibrate=true": "calibrate=true: is for a model that is kept; add keep_model=true",
    "calibrate=true task=updating": "calibrate=true: is for a model that is kept; task=updating",
    "model=m.safetensors": "model=m.safetensors: is for task=predict; task=active_learning does",
    "task=predict": "model: a value is required, as in model=results/.../model.safetensors",
}


@pytest.mark.parametrize("command", REFUSED)
def test_what_has_no_model_is_refused_before_anything_is_written(
    command, monkeypatch, tmp_path, capsys
):
    assert run_small(monkeypatch, tmp_path, *command.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert REFUSED[command] in line
    assert not list(tmp_path.iterdir())


def test_a_full_disk_keeps_the_run(monkeypatch, tmp_path, capsys):
    assert run_small(monkeypatch, tmp_path, "progress=false") == 0
    folder = only_run(tmp_path)
    fsync = os.fsync

    def full(_):
        raise OSError(28, "No space left on device", "model.safetensors")

    monkeypatch.setattr(os, "fsync", full)
    assert run_small(monkeypatch, tmp_path, "progress=false", "keep_model=true") == 2
    assert "No space left" in capsys.readouterr().err
    monkeypatch.setattr(os, "fsync", fsync)
    assert json.loads((folder / "status.json").read_text())["state"] == "completed"
    assert run_small(monkeypatch, tmp_path, "progress=false", "keep_model=true") == 0
    assert alupdate.load_model(folder).facts.n_labelled == 16


def test_the_settings_that_decide_the_model_are_in_its_digest():
    plain = settings_digest(compose_config([*RUN]))
    for same in ("n_cycles=7", "strategy=random", "subset=50", "posterior.predictive=mean_field"):
        assert settings_digest(compose_config([*RUN, same])) == plain
    for other in ("seed=1", "training.epochs=4", "posterior=categorical", "update=map"):
        assert settings_digest(compose_config([*RUN, other])) != plain


def test_backbones_name_what_decides_their_features():
    assert backbone_of(name="pixels").identity == "pixels"
    timm = {"name": "timm", "model": "test_resnet", "weights": "random"}
    small, large = (backbone_of(**timm, image_size=size).identity for size in (32, 64))
    assert small.split("|")[0] == "random"
    assert small != large


def test_numbers_of_the_curve_do_not_depend_on_keeping(tmp_path):
    kept = run(tmp_path / "kept", "keep_model=true", "calibrate=true")
    plain = run(tmp_path / "plain")
    pd.testing.assert_frame_equal(kept.curve, plain.curve)
