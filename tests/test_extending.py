"""CONTRIBUTING.md: each example works in a copy of the package, by exactly the files it shows."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.support.documents import ROOT, blocks, section

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
KINDS = re.findall(r"^(### An? .*: (one|two) files?)$", TEXT, re.M)
COUNTS = {"one": 1, "two": 2}
SMALL = (
    "n_cycles=2", "subset=30", "batch.size=2", "training.epochs=2", "progress=false",
    "dataset.n_train=200", "dataset.n_test=100",
)  # fmt: skip


def python(arguments, folder):
    answer = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.fixture
def copy(tmp_path):
    for name in ("alupdate", "conf"):
        without = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=without)
    return tmp_path


@pytest.mark.parametrize(("heading", "count"), KINDS, ids=[heading for heading, _ in KINDS])
def test_example(heading, count, copy):
    example = blocks(section(TEXT, heading))
    files = [block for block in example if block.file]
    assert len(files) == COUNTS[count]
    for block in files:
        if block.language == "diff":
            subprocess.run(["git", "apply"], input=block.code, text=True, cwd=copy, check=True)
        else:
            assert not (copy / block.file).exists()
            (copy / block.file).write_text(block.code)
    commands = [c for block in example if block.language == "bash" for c in block.commands]
    for command in commands:
        arguments = shlex.split(re.sub(r"^alupdate ", "python -m alupdate.run ", command))[1:]
        is_run = "=" in arguments[2]
        said = python([*arguments, *(SMALL if is_run else ())], copy)
        assert is_run or "| random |" in said or "top-2" in said
    assert len(list(copy.glob("results/default/*/curve.csv"))) >= 1


def test_every_kind_is_shown():
    assert len(KINDS) == 5
