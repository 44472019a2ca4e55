"""A small sweep, in turn, under every kind of fault; ``fault_injection`` has the large one."""

import os
import random
import subprocess

import pytest

from tests.support.runs import run_command
from tests.sweep.fault_injection import FAULTS, SETTINGS, Study, differences, run_with_faults

SWEEP = ("strategy=unlucky,random", "seed=0,1", "n_cycles=4", "training.epochs=50")


@pytest.fixture
def study(tmp_path):
    study = Study(tmp_path, SWEEP, random.Random(1), launcher=())
    study.prepare()
    yield study
    if os.path.ismount(tmp_path / "results"):
        subprocess.run(["umount", "--lazy", str(tmp_path / "results")], check=True)


def test_a_sweep_under_faults_ends_as_one_without(study, monkeypatch):
    clean = ("-m", *SETTINGS, *SWEEP, "results_dir=clean")
    assert run_command(monkeypatch, study.folder, *clean) == 0
    run_with_faults(study, len(FAULTS), pause=0.8)
    assert differences(study.folder / "clean" / "default", study.results) == []
    assert sum(study.injected.values()) == len(FAULTS)
