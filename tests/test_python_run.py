"""``alupdate.run`` from Python: results, exceptions, and nothing changed around it."""

import logging
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

import alupdate
from alupdate.config.compose import compose_config
from alupdate.utils.paths import conf_dir
from tests.support.runs import SMALL

DIGITS = ("dataset=digits", "backbone=pixels", "progress=false", *SMALL)


def overrides(tmp_path, *more):
    return [*DIGITS, f"results_dir={tmp_path / 'results'}", *more]


def test_a_run_gives_its_tables_its_path_and_its_model(tmp_path):
    result = alupdate.run(overrides(tmp_path, "update=second_order", "update.compare=true"))
    assert result.curve["n_labelled"].tolist() == [10, 13, 16]
    assert result.queries["pool_index"].nunique() == 16
    assert {"select", "update", "evaluate"} <= set(result.timings["phase"])
    assert len(result.comparison) == 2
    assert result.path.parent == tmp_path / "results" / "default"
    predicted = result.model.posterior.logits(result.model.test).argmax(dim=1).numpy()
    dataset = result.config.dataset.load(tmp_path, None)
    accuracy = np.mean(predicted == dataset.test_labels)
    assert accuracy == pytest.approx(result.curve["accuracy"].iloc[-1], abs=1e-9)


def test_annotators_who_err_and_forecasts_have_tables(tmp_path):
    more = ("annotator=noisy", "annotator.error=0.5", "forecast=expected")
    result = alupdate.run(overrides(tmp_path, *more))
    assert result.annotations["n_instances"].tolist() == [10, 13, 16]
    assert result.annotations["n_wrong"].iloc[-1] > 0
    found = alupdate.load_results(tmp_path / "results")
    assert found.annotations.equals(result.annotations)
    assert found.forecasts.equals(result.forecast)


def test_a_study_of_updates_gives_its_table_and_has_no_model(tmp_path):
    sizes = ("task.initial_sizes=[10]", "task.new_sizes=[2]", "update.n_hypotheses=50")
    result = alupdate.run(overrides(tmp_path, "task=updating", *sizes))
    assert {"base", "retrain", "map"} <= set(result.updates["method"])
    with pytest.raises(alupdate.InputError, match=r"has no curve\.csv"):
        _ = result.curve
    with pytest.raises(alupdate.InputError, match="has no model of its own"):
        _ = result.model


def test_the_second_call_finds_the_run_done(tmp_path):
    first = alupdate.run(overrides(tmp_path))
    written = (first.path / "state.json").stat().st_mtime_ns
    again = alupdate.run(overrides(tmp_path))
    assert again.path == first.path
    assert (again.path / "state.json").stat().st_mtime_ns == written


def test_a_whole_config_is_as_good_as_its_overrides(tmp_path):
    wanted = overrides(tmp_path)
    path = alupdate.run(wanted).path
    assert alupdate.run(compose_config(wanted)).path == path
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        composed = compose("config", wanted)
    assert alupdate.run(composed).path == path
    assert alupdate.run(OmegaConf.to_container(composed)).path == path


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("strategi=margin", "strategi: no such key; did you mean strategy"),
        ("n_cycles=-1", "n_cycles=-1: must be"),
        ("task=status", "leaves no results"),
        ("dataset=npz", r"dataset\.path: a value is required"),
        ("+unknown=1", "no such key"),
    ],
)
def test_wrong_input_raises_and_leaves_nothing(override, words, tmp_path):
    with pytest.raises(alupdate.InputError, match=words):
        alupdate.run(overrides(tmp_path, override))
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("wrong", ["strategy=margin", [None], ["strategy=margin", 1]])
def test_what_is_no_list_of_overrides(wrong):
    with pytest.raises(alupdate.InputError, match="give a list of overrides"):
        alupdate.run(wrong)


def test_a_run_that_breaks_raises_and_says_where_its_log_is(tmp_path, monkeypatch):
    (tmp_path / "breaks.py").write_text(
        "class Broken:\n    needs_oracle = False\n\n"
        "    def select(self, query, size):\n        raise RuntimeError('out of ideas')\n\n\n"
        "make_strategy = lambda settings: Broken()\n"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(alupdate.RunError, match=r"RuntimeError: out of ideas .*run\.log"):
        alupdate.run(overrides(tmp_path, "strategy=plugin", "strategy.module=breaks"))


def test_nothing_around_a_run_changes(tmp_path):
    def surroundings():
        log = logging.getLogger("alupdate")
        return (
            torch.get_num_threads(),
            dict(os.environ),
            signal.getsignal(signal.SIGTERM),
            (log.level, log.propagate, list(log.handlers)),
            os.getcwd(),
            torch.random.get_rng_state().tolist(),
            np.random.get_state()[1].tolist(),
        )

    before = surroundings()
    alupdate.run(overrides(tmp_path, "threads=2"))
    assert surroundings() == before


def test_an_application_that_uses_hydra_keeps_its_own(tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "main.yaml").write_text("colour: green\n")
    with initialize_config_dir(str(tmp_path / "app"), job_name="app", version_base="1.2"):
        application = GlobalHydra.instance().hydra
        assert len(alupdate.run(overrides(tmp_path)).curve) == 3
        assert GlobalHydra.instance().hydra is application
        assert compose("main")["colour"] == "green"


def test_inside_a_hydra_application(tmp_path):
    (tmp_path / "conf.yaml").write_text("seed: 3\nhydra:\n  run:\n    dir: .\n")
    (tmp_path / "app.py").write_text(
        "import hydra\nimport alupdate\n\n\n"
        "@hydra.main(version_base='1.3', config_path='.', config_name='conf')\n"
        "def main(config):\n"
        f"    result = alupdate.run({overrides(tmp_path)!r} + [f'seed={{config.seed}}'])\n"
        "    print(result.path.name, len(result.curve))\n\n\n"
        "main()\n"
    )
    answer = subprocess.run(
        [sys.executable, "app.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert "-s3-" in answer.stdout
    assert answer.stdout.split()[-1] == "3"


def test_import_is_light_and_offers_every_name():
    code = (
        "import sys, alupdate\n"
        "assert not {'torch', 'pandas', 'hydra', 'sklearn'} & set(sys.modules)\n"
        "assert set(alupdate.__all__) <= set(dir(alupdate))\n"
        "for name in alupdate.__all__: getattr(alupdate, name)\n"
        "import alupdate.run\n"
        "assert callable(alupdate.run)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = alupdate.fitt
