"""Values as text that Hydra reads back unchanged, and arguments that are refused."""

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from alupdate.config.compose import compose_config
from alupdate.config.overrides import override_text, shell_command
from alupdate.utils.errors import InputError
from alupdate.utils.paths import cache_dir
from tests.support.runs import run_small


@given(st.text(st.sampled_from("ab\\'\"${}=,:~#( )2ä[]%;!`"), max_size=9))
@example("2024")
@example("null")
@example("results (2)")
@example("lr=0.1")
@example("Käse")
def test_text_survives_shell_and_hydra(value):
    (argument,) = shlex.split(shell_command([override_text("a.b", value)]))[3:]
    (read,) = OverridesParser.create().parse_overrides([argument])
    config = OmegaConf.create({"a": {"b": "x"}})
    OmegaConf.update(config, "a.b", read.value(), merge=True)
    assert config.a.b == value


REFUSED = {
    "dataset.path=a (2).npz": "needs quotes: \"dataset.path='a (2).npz'\"",
    "results_dir=Käse": "needs quotes: \"results_dir='Käse'\"",
    "results_dir=~/x": "needs quotes: \"results_dir='~/x'\"",
    "results_dir=a#b": "needs quotes: \"results_dir='a#b'\"",
    "results_dir=lr=0.1": "needs quotes: \"results_dir='lr=0.1'\"",
    "dataset.label=\udce9": "dataset.label=\\udce9: is not UTF-8",
    "dataset.label=a\nb": "dataset.label: holds a line break",
    "seed=" + "[" * 3000: "seed: brackets are nested more than 20 deep",
    "strategy=null": "strategy=null: a name is required, give strategy=OPTION",
    "backbone=null": "backbone=null: a name is required",
    "task=3": "task=3: a name is required",
    "dataset={name: digits}": "a name is required",
    "=3": "=3: has no key",
    "+@=3": "+@=3: has no key",
    "threads=1000000000": "threads=1000000000: must be less than or equal to 1024",
    "device=cuda:99999999999999": "device=cuda:99999999999999: must be auto, cpu, cuda, or",
    "training.learning_rate=1e308": "must be between 1e-30 and 1e+30",
    "posterior.prior_precision=1e-320": "must be between 1e-30 and 1e+30",
    "update.gamma=1e300": "update.gamma=1e+300: must be between 1e-30 and 1e+30",
    "-m=3": "--multirun/-m: ignored explicit argument '3'; see --hydra-help",
    "--config-dir": "--config-dir/-cd: expected one argument; see --hydra-help",
    "--info=nope": "invalid choice: 'nope'",
    "experiment_name=" + "a" * 300: "experiment_name: aaaaaaaaaaaaaaaaaaaa... has 300 bytes",
    "results_dir=x/" + "a" * 300: "results_dir: aaaaaaaaaaaaaaaaaaaa... has 300 bytes",
    "+strategy={_target_: os.system}": "strategy._target_: configs never name Python objects",
    "+x={_target_: os.system}": "x._target_: configs never name Python objects",
}


@pytest.mark.parametrize("argument", REFUSED)
def test_what_to_type_instead(argument, monkeypatch, tmp_path, capsys):
    assert run_small(monkeypatch, tmp_path, argument) == 2
    line = capsys.readouterr().err
    assert REFUSED[argument] in line
    assert line.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


SWEEPS = {
    "hydra.sweeper=null": "hydra.sweeper=None: give hydra/sweeper=NAME",
    "hydra.launcher=3": "hydra.launcher=3: give hydra/launcher=NAME",
    "seed=range(3),range(4)": "seed=range(3),range(4): a list of values holds a sweep",
    "task=status": "task=status: is not for a sweep; leave -m out",
    "seed=range(0)": "seed=range(0): has no values",
    "seed=range(5,0)": "has no values",
    "seed=range(0,1,0)": "has no end",
    "seed=range(0.0,1,0)": "has no end",
    "seed=range(0,1e400)": "has no end",
    "seed=range(1000000000)": "has 1000000000 values; a sweep can take 100000",
    "seed=shuffle(range(1000000000))": "a sweep can take 100000",
    "strategy=glob(zz*)": "strategy=glob(zz*): has no values",
    "seed=range(1000) n_cycles=range(1,1000)": "has more than 100000 jobs",
}


@pytest.mark.parametrize("arguments", SWEEPS)
def test_empty_and_endless_sweeps(arguments, monkeypatch, tmp_path, capsys):
    assert run_small(monkeypatch, tmp_path, "-m", *arguments.split(" ")) == 2
    line = capsys.readouterr().err
    assert SWEEPS[arguments] in line
    assert line.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_target_may_be_part_of_a_name(monkeypatch, tmp_path, capsys):
    named = ("dataset=npz", "dataset.path=source_target_office.npz", "backbone=identity")
    assert run_small(monkeypatch, tmp_path, *named) == 2
    assert "dataset.path=source_target_office.npz: No such file" in capsys.readouterr().err


MAPPINGS = {
    "strategy.settings={a: 1, b: x y}": {"a": 1, "b": "x y"},
    "+strategy.settings.a=1": {"a": 1},
    "+strategy.settings={a: 1}": {"a": 1},
    "strategy.settings={}": {},
    "strategy.settings=null": {},
}


@pytest.mark.parametrize("argument", MAPPINGS)
def test_settings_of_plugins_are_mappings(argument):
    chosen = compose_config(["strategy=plugin", "strategy.module=mine", argument]).strategy
    assert chosen.settings == MAPPINGS[argument]


def test_home_directories_are_expanded_for_every_path(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    keys = ("results_dir", "cache_dir", "experiment_dir", "dataset.path")
    config = compose_config(["dataset=npz", *(f"{key}='~/x'" for key in keys)])
    found = (config.results_dir, config.cache_dir, config.experiment_dir, config.dataset.path)
    assert found == (str(tmp_path / "x"),) * 4
    monkeypatch.setenv("ALUPDATE_CACHE", "~/cache")
    assert cache_dir(None) == tmp_path / "cache"
    with pytest.raises(InputError, match=r"~nobody-of-this-name/x: no home directory"):
        compose_config(["results_dir='~nobody-of-this-name/x'"])
