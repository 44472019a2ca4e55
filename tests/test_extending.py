"""CONTRIBUTING.md: each example works in a copy of the package, by exactly the files it shows."""

import json
import re
import shlex
import shutil
import subprocess

import pytest

from tests.support.documents import ROOT, blocks, section
from tests.support.processes import start_code

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
KINDS = re.findall(r"^(### An? .*: (one|two) files?)$", TEXT, re.M)
COUNTS = {"one": 1, "two": 2}
SMALL = (
    "n_cycles=2", "subset=30", "batch.size=2", "training.epochs=2", "progress=false",
    "dataset.n_train=200", "dataset.n_test=100",
)  # fmt: skip


COMMANDS_IN_TURN = """
import json, sys

for name in [name for name in sys.modules if name.partition(".")[0] == "alupdate"]:
    del sys.modules[name]  # the server of processes has imported it from elsewhere
sys.path.insert(0, sys.argv[1])
import alupdate
from alupdate.run import exit_code

print(alupdate.__file__)
for arguments in json.loads(sys.argv[2]):
    sys.argv = ["alupdate", *arguments]
    print("next command", flush=True)
    assert exit_code(arguments) == 0, arguments
imported = [m.__file__ for n, m in sys.modules.items() if n.partition(".")[0] == "alupdate"]
assert all(place.startswith(sys.path[0]) for place in imported), imported
"""


def outputs(commands, folder):
    """Run commands, each a list of arguments, in turn in one process; return what each prints."""
    answer = start_code(COMMANDS_IN_TURN, folder, json.dumps(commands), folder=folder).finish()
    assert answer.returncode == 0, answer.stdout + answer.stderr
    place, *said = answer.stdout.split("next command")
    assert place.startswith(str(folder))
    return said


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
    given = [shlex.split(re.sub(r"^(alupdate|python -m alupdate.run) ", "", c)) for c in commands]
    are_runs = ["=" in arguments[0] for arguments in given]
    sized = [a + [*SMALL] * is_run for a, is_run in zip(given, are_runs, strict=True)]
    said = outputs(sized, copy)
    for is_run, text in zip(are_runs, said, strict=True):
        assert is_run or "| random |" in text or "top-2" in text
    assert len(list(copy.glob("results/default/*/curve.csv"))) >= 1


def test_every_kind_is_shown():
    assert len(KINDS) == 5
