"""The layering rule, as written in pyproject.toml."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_imports_go_one_way():
    linter = Path(sys.executable).with_name("lint-imports")
    answer = subprocess.run(
        [str(linter), "--no-cache"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert answer.returncode == 0, answer.stdout
    assert "0 broken" in answer.stdout


def test_nothing_is_unpickled_and_no_shell_is_used():
    """The safe spellings are the only ones in the package and its scripts."""
    forbidden = ("pickle.load", "shell=True", "allow_pickle=True", "eval(", "os.system")
    for folder in ("alupdate", "scripts"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            for word in forbidden:
                assert word not in text.replace(".eval()", ""), f"{path}: {word}"
            assert text.count("torch.load(") == text.count("weights_only=True"), path
