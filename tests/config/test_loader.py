"""Configs are data: nothing in them is called, and none fills the memory."""

import pytest
from omegaconf import OmegaConf

from alupdate.config.loader import refuse_calls
from alupdate.utils.errors import InputError
from tests.support.runs import run_small

HEAD = "# @package _global_\n"
CALLS = {
    "callback": ("hydra: {callbacks: {x: {_target_: mymod.go}}}", "hydra.callbacks.x"),
    "formatter": (
        'hydra: {job_logging: {version: 1, formatters: {f: {"()": mymod.go}}}}',
        "hydra.job_logging.formatters.f.()=mymod.go",
    ),
    "handler": (
        "hydra: {job_logging: {version: 1, handlers: {h: {class: mymod.go}}}}",
        "hydra.job_logging.handlers.h.class=mymod.go",
    ),
    "stream": (
        "hydra: {hydra_logging: {version: 1, handlers: {h: {stream: 'ext://mymod.x'}}}}",
        "hydra.hydra_logging.handlers.h.stream=ext://mymod.x",
    ),
    "reference": (
        'evil: {f: {"()": mymod.go}}\nhydra: {job_logging: {version: 1, formatters: "${evil}"}}',
        "hydra.job_logging.formatters.f.()=mymod.go",
    ),
    "launcher": ("hydra: {launcher: {_target_: mymod.go}}", "hydra.launcher._target_=mymod.go"),
    "sweeper": ("hydra: {sweeper: {_target_: mymod.go}}", "hydra.sweeper._target_=mymod.go"),
    "variable": ("hydra: {job: {env_set: {'A=B': x}}}", "hydra.job.env_set.A=B: no name or value"),
    "environment": ("hydra: {job: {env_set: {PYTHONPATH: /tmp}}}", "hydra.job.env_set.PYTHONPATH"),
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mymod.py").write_text("open('CALLED', 'w')\ndef go(**_): open('CALLED', 'w')\n")
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    return tmp_path


def refused(monkeypatch, folder, capsys, *arguments):
    """Run a command that must be refused with one line and leave nothing; return the line."""
    before = sorted(folder.rglob("*"))
    monkeypatch.syspath_prepend(str(folder))
    assert run_small(monkeypatch, folder, *arguments) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert sorted(folder.rglob("*")) == before
    return line


@pytest.mark.parametrize("name", CALLS)
def test_configs_call_nothing(name, monkeypatch, folder, capsys):
    text, message = CALLS[name]
    (folder / "mine/experiment/bad.yaml").write_text(HEAD + text)
    for mode in ((), ("-m",)):
        given = (*mode, "--config-dir", "mine", "experiment=bad")
        assert message in refused(monkeypatch, folder, capsys, *given)


def test_nothing_below_a_plugin_is_called_either():
    parts = ("callbacks", "launcher", "sweeper", "job_logging", "hydra_logging")
    own = {key: {} for key in parts} | {"job": {"env_set": {}}}
    refuse_calls(OmegaConf.create({"hydra": own}))
    composed = OmegaConf.create(
        {"evil": {"_target_": "mymod.go"}, "hydra": own | {"launcher": {"a": ["${evil}"]}}}
    )
    with pytest.raises(InputError, match=r"hydra.launcher.a.0._target_=mymod.go"):
        refuse_calls(composed)


def test_hydra_flags_and_packages_call_nothing(monkeypatch, folder, capsys):
    (folder / "saved.pkl").write_bytes(b"cmymod\ngo\n(tR.")
    (folder / "mine/primary.yaml").write_text(
        "defaults: [config, _self_]\nhydra: {searchpath: ['pkg://mymod']}\n"
    )
    for arguments, message in {
        ("--experimental-rerun", "saved.pkl"): "--experimental-rerun: no such flag",
        ("--experimental-rerun=saved.pkl",): "--experimental-rerun: no such flag",
        ("hydra.searchpath=[pkg://mymod]",): "configs never name Python packages",
        ("-m", "hydra.searchpath=[pkg://mymod]"): "configs never name Python packages",
        ("-cd", "mine", "-cn", "primary"): "configs never name Python packages",
        ("-m", "hydra.launcher._target_=mymod.go"): "hydra.launcher._target_=mymod.go",
        ("-m", "+hydra.callbacks.x._target_=mymod.go"): "hydra.callbacks.x",
    }.items():
        assert message in refused(monkeypatch, folder, capsys, *arguments)


def laughs(levels):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for i in range(1, levels):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]")
    return "\n".join(lines)


FILES = {
    "broken": ("a: [1\n", "bad.yaml, line 3: expected ',' or ']'"),
    "binary": (b"\x89PNG\xff\x00", "is no text in UTF-8"),
    "python tag": ("seed: !!python/name:mymod.go\n", "line 2: the tag"),
    "own tag": ("seed: !foo 3\n", "line 2: the tag !foo"),
    "recursive": ("a: &a [*a]\n", "line 2: contains itself"),
    "exponential": (laughs(9), "values once aliases are expanded"),
    "deep": (f"a: {'[' * 3000}{']' * 3000}\n", "nested too deeply"),
    "nested": (f"a: {'[' * 60}{']' * 60}\n", "line 2: is nested more than 50 deep"),
    "number": ("seed: !!int abc\n", "invalid literal for int() with base 10: 'abc'"),
    "large number": (f"seed: {'9' * 5000}\n", "Exceeds the limit"),
    "twice": ("seed: 1\nseed: 2\n", "line 3: found duplicate key seed"),
    "a list": ("- 1\n", "must hold lines of the kind KEY: VALUE"),
    "empty": ("", "must hold lines of the kind KEY: VALUE"),
    "large": ("#" * 1_000_001, "bytes; a config has 1000000 at most"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_config_are_named(name, monkeypatch, folder, capsys):
    content, message = FILES[name]
    text = content if isinstance(content, bytes) else (HEAD + content).encode()
    (folder / "mine/experiment/bad.yaml").write_bytes(text)
    given = ("--config-dir=mine", "experiment=bad")
    line = refused(monkeypatch, folder, capsys, *given)
    assert "mine/experiment/bad.yaml" in line
    assert message in line


DEFAULTS = {
    "[{/experiment: bad}]": "files name one another under defaults, in a circle",
    "3": "defaults must be a list (got int)",
    "[3]": "Unsupported type in defaults : int",
}


@pytest.mark.parametrize("defaults", DEFAULTS)
def test_defaults_that_hydra_cannot_follow(defaults, monkeypatch, folder, capsys):
    (folder / "mine/experiment/bad.yaml").write_text(f"{HEAD}defaults: {defaults}\n")
    line = refused(monkeypatch, folder, capsys, "--config-dir=mine", "experiment=bad")
    assert DEFAULTS[defaults] in line


def test_no_path_holds_a_null_character(monkeypatch, folder, capsys):
    (folder / "mine/experiment/bad.yaml").write_text(f'{HEAD}results_dir: "a\\0b"\n')
    line = refused(monkeypatch, folder, capsys, "--config-dir=mine", "experiment=bad")
    assert line == "error: results_dir=a\\x00b: holds a null character\n"


def test_an_experiment_in_a_folder_is_looked_for_in_all_of_them(monkeypatch, folder, capsys):
    line = refused(monkeypatch, folder, capsys, "experiment=strategies/practica")
    assert line.startswith("error: experiment=strategies/practica: no such experiment; ")
    assert "did you mean strategies/practical" in line
    assert "paper/gamma" in line
    assert "compare_strategies" in line


def test_a_setting_needs_an_experiment(monkeypatch, folder, capsys):
    line = refused(monkeypatch, folder, capsys, "setting=digits")
    assert "experiment=paper/gamma setting=OPTION" in line


def test_an_experiment_without_its_first_line(monkeypatch, folder, capsys):
    (folder / "mine/experiment/bad.yaml").write_text("seed: 3\n")
    line = refused(monkeypatch, folder, capsys, "--config-dir=mine", "experiment=bad")
    assert "must begin with the line # @package _global_" in line
