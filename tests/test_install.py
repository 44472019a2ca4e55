"""The four ways to start: checkout, editable install, wheel elsewhere, console script."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.support.runs import SMALL, only_run

ROOT = Path(__file__).parents[1]
RUN = ["dataset=digits", "backbone=pixels", "strategy=lookahead", "strategy.n_batches=3", *SMALL]


def run(command, folder):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    answer = subprocess.run(
        [str(part) for part in command],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def environment_with(folder, *install):
    """A new environment that holds alupdate, and sees this one's dependencies behind it."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    packages = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], "/")
    behind = Path(packages.strip()) / "zz_dependencies.pth"
    behind.write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "-q"]
    run([*pip, "--no-build-isolation", "--ignore-installed", *install], folder)
    return python


def test_checkout(tmp_path):
    run([sys.executable, "-m", "alupdate.run", *RUN, f"results_dir={tmp_path}/results"], ROOT)
    assert (only_run(tmp_path) / "curve.png").stat().st_size > 10_000


def test_editable_install(tmp_path):
    python = environment_with(tmp_path / "env", "-e", ROOT)
    place = run([python, "-c", "import alupdate; print(alupdate.__file__)"], tmp_path)
    assert Path(place.strip()).is_relative_to(ROOT)
    run([python, "-m", "alupdate.run", *RUN], tmp_path)
    assert (only_run(tmp_path) / "curve.csv").is_file()


@pytest.fixture(scope="module")
def installed_wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, ROOT], folder)
    (wheel,) = folder.glob("*.whl")
    return environment_with(folder / "env", wheel)


@pytest.fixture(scope="module")
def run_of_wheel(installed_wheel, tmp_path_factory):
    """A folder in which the wheel's console script has made a run."""
    folder = tmp_path_factory.mktemp("console")
    run([installed_wheel.with_name("alupdate"), *RUN], folder)
    return folder


def test_wheel_in_another_directory(installed_wheel, tmp_path):
    code = (
        "import alupdate.utils.paths as p, alupdate.analysis.paper_numbers as n; "
        "print(p.__file__, p.conf_dir(), n.NUMBERS, sep='\\n')"
    )
    for place in run([installed_wheel, "-c", code], tmp_path).splitlines():
        assert Path(place).is_relative_to(installed_wheel.parents[1])
        assert Path(place).exists()


def test_console_script(installed_wheel, run_of_wheel, tmp_path):
    command = installed_wheel.with_name("alupdate")
    assert "strategy=" in run([command, "--help"], tmp_path)
    assert (only_run(run_of_wheel) / "curve.csv").is_file()


def test_results_are_read_by_the_wheel_alone(installed_wheel, run_of_wheel):
    command, folder = installed_wheel.with_name("alupdate"), run_of_wheel
    tables = run([installed_wheel, "-m", "alupdate.run", "tables", "results/default"], folder)
    assert "### Test metrics at the last number of labels" in tables
    drawn = run([command, "figures", "results/default"], folder).splitlines()
    assert drawn == ["results/default/curves-digits-pixels.png"]
    assert (folder / drawn[0]).stat().st_size > 10_000
    (page,) = run([command, "report", "results/default"], folder).splitlines()
    assert "class ChartReader" in (folder / page).read_text()
