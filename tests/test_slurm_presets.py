"""The launcher presets: they compose, ask for sane resources, and run real jobs."""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra_plugins.hydra_submitit_launcher import config as plugin
from omegaconf import OmegaConf
from submitit.slurm.slurm import _make_sbatch_string

from alupdate.config.check import HYDRA_ERRORS, explain_hydra_error
from alupdate.utils.paths import conf_dir
from tests.support.runs import SMALL, only_run

PRESETS = {
    "local": plugin.LocalQueueConf,
    "slurm_cpu": plugin.SlurmQueueConf,
    "slurm_gpu": plugin.SlurmQueueConf,
    "slurm_localhost": plugin.SlurmQueueConf,
}
ON_SLURM = [name for name in PRESETS if name.startswith("slurm_")]
ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "slurm_localhost.sh"


@cache
def launcher(option, *overrides):
    """Return the settings that Hydra would give the launcher."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        composed = compose(
            "config", [f"hydra/launcher={option}", *overrides], return_hydra_config=True
        )
    return OmegaConf.to_container(composed.hydra.launcher, resolve=True)


def test_every_preset_has_a_test_and_a_line_for_the_help():
    files = sorted((conf_dir() / "hydra" / "launcher").glob("*.yaml"))
    assert [path.stem for path in files] == sorted(PRESETS)
    for path in files:
        assert re.match(r"# \w.{20,}\n", path.read_text())


@pytest.mark.parametrize("option", PRESETS)
def test_presets_are_settings_of_the_plugin(option):
    settings = launcher(option, "experiment_name=study", "results_dir=/out")
    assert settings.keys() == OmegaConf.structured(PRESETS[option]).keys()
    assert settings["_target_"] == PRESETS[option]._target_
    assert settings["name"] == "study"
    assert settings["submitit_folder"] == "/out/study/.submitit/%j"


@pytest.mark.parametrize("option", ON_SLURM)
def test_slurm_presets_ask_for_sane_resources(option):
    settings = launcher(option)
    assert 1 <= settings["cpus_per_task"] <= 16
    assert 1 <= settings["mem_gb"] / settings["cpus_per_task"] <= 8
    assert 10 <= settings["timeout_min"] <= 24 * 60
    assert 60 <= settings["signal_delay_s"] < 60 * settings["timeout_min"] / 2
    assert settings["max_num_timeout"] > 0  # a run resumes, so it may queue again
    assert 1 <= settings["array_parallelism"] <= 100
    assert settings["tasks_per_node"] == settings["nodes"] == 1
    assert settings["gpus_per_node"] == (1 if option == "slurm_gpu" else None)
    assert settings["partition"] == ("debug" if option == "slurm_localhost" else None)


def test_plain_launchers_of_the_plugin_stay():
    assert launcher("submitit_slurm")["timeout_min"] == 60
    assert launcher("submitit_local")["_target_"] == plugin.LocalQueueConf._target_


def test_a_missing_plugin_is_one_line(monkeypatch):
    Plugins.instance()  # has found the plugins; none is looked for again
    launchers = ConfigStore.instance().repo["hydra"]["launcher"]
    monkeypatch.delitem(launchers, "submitit_slurm.yaml")
    with (
        initialize_config_dir(str(conf_dir()), version_base="1.3"),
        pytest.raises(HYDRA_ERRORS) as caught,
    ):
        compose("config", ["hydra/launcher=slurm_gpu"], return_hydra_config=True)
    line = explain_hydra_error(caught.value)
    assert re.fullmatch(r"hydra/launcher=slurm_\w+: needs a plugin; pip install .*\[slurm\]'", line)


def test_a_site_s_settings_reach_sbatch():
    overrides = ("partition=long", "account=physics", "timeout_min=720", "gpus_per_node=2")
    settings = launcher("slurm_gpu", *(f"hydra.launcher.{override}" for override in overrides))
    ours = ("partition", "account", "gpus_per_node", "cpus_per_task", "setup", "signal_delay_s")
    script = _make_sbatch_string(
        "python", "logs", time=settings["timeout_min"], **{key: settings[key] for key in ours}
    )
    for line in (
        "--partition=long",
        "--account=physics",
        "--time=720",
        "--gpus-per-node=2",
        "--cpus-per-task=8",
        "--signal=USR2@120",
    ):
        assert f"#SBATCH {line}\n" in script
    export = "export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK\n"
    assert script.index(export) < script.index("srun ")


def one_run(option, folder):
    """Run ``python -m alupdate.run -m`` with a launcher, without torch in the starting process."""
    command = [sys.executable, "-m", "alupdate.run", "-m", f"hydra/launcher={option}"]
    command += ["dataset=digits", "backbone=pixels", "progress=false", *SMALL]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=120)
    status = json.loads((only_run(folder) / "status.json").read_text())
    assert status["state"] == "completed"
    logs = list((folder / "results" / "default" / ".submitit").glob("*/*_0_log.out"))
    assert len(logs) == 1


def test_local_preset_runs_a_job_in_a_process_of_its_own(tmp_path):
    one_run("local", tmp_path)


def test_slurm_preset_runs_a_job_through_slurm(tmp_path):
    if not node_answers():
        pytest.skip("no SLURM of scripts/slurm_localhost.sh answers on this machine")
    one_run("slurm_localhost", tmp_path)


def test_shards_of_features_are_jobs_of_slurm(tmp_path):
    if not node_answers():
        pytest.skip("no SLURM of scripts/slurm_localhost.sh answers on this machine")
    command = [sys.executable, "-m", "alupdate.run", "-m", "hydra/launcher=slurm_localhost"]
    command += ["task=features", "extraction.shards=2", "cache_dir=cache", "dataset=digits"]
    command += ["backbone=timm", "backbone.model=test_resnet", "backbone.weights=random"]
    command += ["backbone.image_size=32", "device=cpu"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=120)
    kept = [p.suffix for p in (tmp_path / "cache" / "features").iterdir() if p.suffix != ".lock"]
    assert sorted(kept) == [".json", ".log", ".npy"]
    (log,) = (tmp_path / "cache" / "features").glob("*.log")
    assert {line.split(", shard ")[1][0] for line in log.read_text().splitlines()} == {"0", "1"}


def node_answers():
    command = ["sinfo", "--noheader", "--partition=debug", "--format=%T"]
    try:
        answer = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=5
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.strip() in {"idle", "mixed"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize("argument", ["", "restart"])
def test_the_script_explains_itself(argument):
    answer = subprocess.run(
        ["bash", SCRIPT, argument], check=False, capture_output=True, text=True, timeout=20
    )
    assert answer.returncode == 2
    for command in ("start", "status", "stop", "demo"):
        assert f"slurm_localhost.sh {command} " in answer.stderr


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv to become another user")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_script_says_that_it_needs_root():
    as_nobody = ["setpriv", "--reuid=65534", "--clear-groups", "bash", "-s", "--", "start"]
    answer = subprocess.run(
        as_nobody, input=SCRIPT.read_text(), check=False, capture_output=True, text=True, timeout=20
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith("error: installing and starting SLURM needs root")
    assert answer.stderr.count("\n") == 1


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck")
def test_the_script_passes_shellcheck():
    subprocess.run(["shellcheck", SCRIPT], check=True)
