"""Configs are those that Hydra composes, also where it is not asked again."""

import shutil
from pathlib import Path

import hydra
import pytest
from hydra import initialize_config_dir

from alupdate.config import compose
from alupdate.config.check import parse_config
from alupdate.config.compose import Composer, compose_config
from alupdate.utils.errors import InputError
from alupdate.utils.paths import conf_dir
from tests.support.runs import run_small

DIGITS = ["dataset=digits", "backbone=pixels"]


@pytest.fixture
def initialised():
    """Hydra as a sweep finds it."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield


@pytest.fixture
def own_conf(monkeypatch, tmp_path):
    """A copy of the config files, from which configs are composed."""
    shutil.copytree(conf_dir(), tmp_path / "conf")
    monkeypatch.setattr(compose, "conf_dir", lambda: tmp_path / "conf")
    monkeypatch.setattr(compose, "_COMPOSERS", {})
    return tmp_path / "conf"


@pytest.fixture
def composed(monkeypatch):
    """The overrides of each config that Hydra has composed."""
    asked, original = [], hydra.compose

    def watched(name, overrides):
        asked.append(overrides)
        return original(name, overrides)

    monkeypatch.setattr(hydra, "compose", watched)
    monkeypatch.setattr(compose, "_COMPOSERS", {})
    return asked


@pytest.mark.parametrize(
    "overrides",
    [
        ["strategy=lookahead", "seed=3", "strategy.n_batches=7", "update.gamma=auto"],
        ["experiment=compare_strategies", "dataset=digits", "backbone=pixels", "seed=2"],
        ["experiment=updating/gap_closed", "dataset=digits", "task.new_sizes=[3,4]", "threads=2"],
        ["task=updating", "task.methods=[{update: map, gammas: [1, 2]}]"],
        ["strategy.fisher=binary", "strategy=bait", "~experiment"],
        ["dataset=npz", "dataset.path='x y,z.npz'", "backbone=identity", "subset=null"],
        ["hydra.verbose=true", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *DIGITS],
        [*DIGITS, "seed=1", "strategy=margin", "strategy=badge", "seed=2"],
    ],
)
def test_configs_are_those_that_hydra_composes(overrides, initialised):
    composer = Composer()
    for seed in ("seed=0", "seed=1"):
        job = [*overrides, seed]
        expected = parse_config(hydra.compose("config", job))
        assert composer.config(job) == expected
        assert compose_config(job) == expected


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("strategy=margn", "strategy=margn: no such strategy; did you mean margin"),
        ("sed=1", "sed: no such key; did you mean seed"),
        ("batch.sizes=1", "batch.sizes: no such key; did you mean batch.size"),
        ("n_cycles=few", "n_cycles=few: must be a valid integer"),
        ("seed=1,2", "seed=1,2: a single run takes one value; -m runs one job for each"),
        ("seed=[1", r"seed=\[1: cannot be read"),
    ],
)
def test_a_wrong_config_is_one_line_whether_or_not_its_groups_are_known(override, complaint):
    compose_config(["seed=1"])
    with pytest.raises(InputError, match="^" + complaint):
        compose_config([override])


def test_hydra_composes_each_combination_of_groups_once(composed):
    for seed in range(3):
        found = compose_config([*DIGITS, f"seed={seed}", "strategy=badge"])
        assert (found.seed, found.strategy.name) == (seed, "badge")
    assert compose_config([*DIGITS, "strategy=badge"]).seed == 0
    assert compose_config([*DIGITS, "strategy=margin"]).strategy.name == "margin"
    assert composed == [[*DIGITS, "strategy=badge"], [*DIGITS, "strategy=margin"]]


def test_what_belongs_to_hydra_is_composed_anew(composed, tmp_path):
    """Such as files elsewhere, which may have changed."""
    option = tmp_path / "mine" / "strategy" / "my_margin.yaml"
    option.parent.mkdir(parents=True)
    arguments = [*DIGITS, "strategy=my_margin", f"hydra.searchpath=['file://{tmp_path}/mine']"]
    for label in ("one", "two"):
        option.write_text(f"name: margin\nlabel: {label}\n")
        assert compose_config(arguments).strategy.label == label
    assert composed == [arguments] * 2


def test_a_sweep_asks_hydra_once_for_each_combination_of_groups(composed, monkeypatch, tmp_path):
    """In its plan, and not again where its jobs start, or in another sweep."""
    quick = ("-m", "seed=0,1", "n_cycles=0", "progress=false")
    assert run_small(monkeypatch, tmp_path, *quick, "strategy=random,margin") == 0
    small = ["dataset=digits", "backbone=pixels"]
    groups = [asked[1:] for asked in composed]  # after the mode
    assert groups == [[*small, "strategy=random"], [*small, "strategy=margin"]]
    assert run_small(monkeypatch, tmp_path, *quick, "strategy=margin", "seed=2") == 0
    assert len(composed) == 2
    option = tmp_path / "mine" / "strategy" / "my_margin.yaml"
    option.parent.mkdir(parents=True)
    option.write_text("name: margin\nlabel: mine\n")
    elsewhere = ("--config-dir", "mine", "experiment_name=mine", "strategy=my_margin")
    assert run_small(monkeypatch, tmp_path, *quick, *elsewhere) == 0
    assert len(composed) == 4  # in its plan, and where its jobs start: the file may have changed
    assert all("label: mine" in path.read_text() for path in tmp_path.glob("results/mine/*/*.yaml"))


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_config_file_that_has_changed_is_read_again(own_conf):
    assert compose_config(DIGITS).seed == 0
    change(own_conf / "config.yaml", "\nseed: 0", "\nseed: 71")
    assert compose_config(DIGITS).seed == 71
    shutil.copy(own_conf / "strategy" / "margin.yaml", own_conf / "strategy" / "another.yaml")
    assert compose_config([*DIGITS, "strategy=another"]).strategy.name == "margin"
    (own_conf / "strategy" / "another.yaml").unlink()
    with pytest.raises(InputError, match="strategy=another: no such strategy"):
        compose_config([*DIGITS, "strategy=another"])
