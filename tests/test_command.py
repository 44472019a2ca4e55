"""The command line: exit codes, one-line complaints, nothing half-written."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import alupdate
from alupdate.utils.files import WARNED
from tests.support.locks import take_no_locks
from tests.support.runs import only_run, run_command, run_small
from tests.support.wrong_commands import WRONG


@pytest.mark.parametrize("argument", WRONG)
def test_wrong_command_is_one_line_and_exit_code_2(argument, monkeypatch, tmp_path, capsys):
    assert run_small(monkeypatch, tmp_path, *argument.split(" ")) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert WRONG[argument] in captured.err
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_command_is_not_taken_for_a_key(monkeypatch, tmp_path, capsys):
    assert run_command(monkeypatch, tmp_path, "table", "results/digits") == 2
    assert capsys.readouterr().err == (
        "error: table: no such command; did you mean tables? see --help\n"
    )
    assert run_command(monkeypatch, tmp_path, "xyz") == 2
    assert "xyz: cannot be read as KEY=VALUE" in capsys.readouterr().err


def test_the_version_is_that_of_the_package(monkeypatch, tmp_path, capsys):
    assert run_command(monkeypatch, tmp_path, "strategy=margin", "--version") == 0
    assert capsys.readouterr().out == f"alupdate {alupdate.__version__}\n"


def test_contradictions_are_refused(monkeypatch, tmp_path, capsys):
    commands = {
        ("update=second_order", "posterior.likelihood=per_class"): "update=second_order: does not",
        ("batch=sequential", "posterior.likelihood=per_class"): "batch.update=second_order: does",
        ("strategy=lookahead", "posterior.likelihood=per_class"): "strategy.update=second_order",
        ("task=updating", "task.initial_sizes=[1250]", "task.new_sizes=[50]"): "1300 labels",
        ("update=first_order", "update.gamma=auto"): "gamma auto is for map and second_order",
        (
            "update.compare=true",
            "posterior.likelihood=per_class",
        ): "update.compare_with=second_order",
        ("task=updating", "posterior.predictive=mean_field"): "compares map predictions",
        ("update=map", "update.gamma=auto", "n_initial=2"): "n_initial=2: update.gamma=auto needs",
        ("task=updating", "task.new_sizes=[]"): "task.new_sizes=[]: ",
        ("task=updating", "task.methods=[{update: magic, gammas: [1]}]"): "task.methods.0.update",
        (
            "task=updating",
            "task.methods=[{update: second_order, gammas: [1], likelihood: per_class}]",
        ): "task.methods[0].likelihood=per_class: does not work with second_order; use first",
        (
            "task=updating",
            "task.methods=[{update: map, gammas: [1], likelihood: multinomial}]",
        ): "task.methods.0.likelihood=multinomial: is now called per_class",
        ("task=updating", "task.methods=[{update: first_order, gammas: [auto]}]"): "gamma auto is",
        ("backbone=cnn", "training.solver=lbfgs"): "needs a frozen backbone",
        ("strategy=lookahead", "strategy.mix={random:0,diverse:0,informative:0}"): "strategy.mix",
        ("strategy=lookahead", "strategy.evaluate_on=holdout", "strategy.holdout=1290"): "holdout",
    }
    for arguments, message in commands.items():
        assert run_small(monkeypatch, tmp_path, *arguments) == 2
        assert message in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []


def write_npz(path, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "X_train": rng.normal(size=(80, 4)),
        "y_train": np.arange(80) % 3,
        "X_test": rng.normal(size=(30, 4)),
        "y_test": np.arange(30) % 3,
    } | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def with_nan():
    rows = np.zeros((80, 4))
    rows[7, 1] = np.nan
    return rows


BAD_ARCHIVES = {
    "lacks X_test": {"X_test": None},
    "NaN or infinite values in 1 rows, the first is row 7": {"X_train": with_nan()},
    "one class only": {"y_train": np.zeros(80, dtype=int)},
    "classes that y_train lacks, such as 9 in row 0": {"y_test": np.full(30, 9)},
    "must hold one label for each of the 80 rows": {"y_train": np.arange(79)},
    "they must agree": {"X_test": np.zeros((30, 5))},
    "labels must be integers or strings": {"y_train": np.linspace(0, 1, 80)},
    "X_train is empty": {"X_train": np.zeros((0, 4)), "y_train": np.zeros(0, dtype=int)},
    "it must be (N, D) or images": {"X_train": np.zeros(80)},
    "plain arrays": {"y_train": np.array(["a", 1] * 40, dtype=object)},
}


@pytest.mark.parametrize("message", BAD_ARCHIVES)
def test_malformed_archives_are_refused(message, monkeypatch, tmp_path, capsys):
    write_npz(tmp_path / "data.npz", **BAD_ARCHIVES[message])
    arguments = ("dataset=npz", "dataset.path=data.npz", "backbone=identity")
    assert run_small(monkeypatch, tmp_path, *arguments) == 2
    captured = capsys.readouterr().err
    assert captured.startswith("error: dataset.path=data.npz: ")
    assert message in captured
    assert captured.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["data.npz"]


def test_unwritable_places_are_one_line(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("not a folder")
    images = np.random.default_rng(0).integers(256, size=(90, 8, 8)).astype(np.uint8)
    write_npz(
        tmp_path / "images.npz",
        X_train=images[:60],
        y_train=np.arange(60) % 3,
        X_test=images[60:],
    )
    places = {
        "results_dir=file/x": (),
        "results_dir=file/y": ("-m",),
        "cache_dir=file/x": (
            "dataset=npz",
            "dataset.path=images.npz",
            "backbone=efficientnet_lite0",
        ),
    }
    for argument, others in places.items():
        assert run_small(monkeypatch, tmp_path, argument, *others) == 2
        captured = capsys.readouterr().err
        assert captured.count("\n") == 1
        assert re.match(rf"error: {argument.split('=')[0]}: cannot (write|use)", captured)


def test_missing_truncated_and_foreign_files_are_refused(monkeypatch, tmp_path, capsys):
    write_npz(tmp_path / "whole.npz")
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npz").write_bytes((tmp_path / "one.npy").read_bytes())
    packed = tmp_path / "packed.npz"
    np.savez_compressed(packed, X_train=np.arange(9999.0))
    damaged = bytearray(packed.read_bytes())
    damaged[200:260] = bytes(60)
    packed.write_bytes(damaged)
    for name in ("none.npz", "cut.npz", "text.npz", "one.npz", "packed.npz"):
        arguments = ("dataset=npz", f"dataset.path={name}", "backbone=identity")
        assert run_small(monkeypatch, tmp_path, *arguments) == 2
        assert f"dataset.path={name}" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_image_backbone_on_vectors_is_refused(monkeypatch, tmp_path, capsys):
    write_npz(tmp_path / "data.npz")
    for backbone in ("cnn", "efficientnet_lite0"):
        arguments = ("dataset=npz", "dataset.path=data.npz", f"backbone={backbone}")
        assert run_small(monkeypatch, tmp_path, *arguments) == 2
        assert "use backbone=identity" in capsys.readouterr().err


def test_string_labels_and_a_changed_file(monkeypatch, tmp_path):
    """Labels may be strings; a file with other content is another run."""
    names = np.array(["cat", "dog", "eel"])
    write_npz(tmp_path / "data.npz", y_train=names[np.arange(80) % 3], y_test=names[[0] * 30])
    arguments = ("dataset=npz", "dataset.path=data.npz", "backbone=identity", "progress=false")
    assert run_small(monkeypatch, tmp_path, *arguments) == 0
    assert run_small(monkeypatch, tmp_path, *arguments) == 0
    assert len(list((tmp_path / "results" / "default").iterdir())) == 1
    write_npz(tmp_path / "data.npz")
    assert run_small(monkeypatch, tmp_path, *arguments) == 0
    assert len(list((tmp_path / "results" / "default").iterdir())) == 2


def test_help_lists_every_option_and_imports_nothing_heavy():
    code = (
        "import sys; from alupdate.run import exit_code; exit_code(['--help']);"
        "heavy = {'torch', 'sklearn', 'pandas', 'matplotlib', 'timm'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    for word in ("mnist5k", "efficientnet_lite0", "lookahead", "sequential", "second_order"):
        assert f"\n  {word}" in answer.stdout
    assert "strategy=lookahead" in answer.stdout


def test_wrong_command_is_refused_before_anything_heavy_is_imported():
    code = (
        "import sys; sys.argv = ['x', 'seed=-1']; from alupdate.run import exit_code;"
        "assert exit_code(sys.argv[1:]) == 2;"
        "sys.exit('torch imported' if 'torch' in sys.modules else 0)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr


def test_failed_run_keeps_its_traceback_in_the_log(monkeypatch, tmp_path, capsys):
    def broken(*_args):
        raise RuntimeError("the disk caught fire\nand burnt")

    monkeypatch.setattr("alupdate.experiment.learning.score", broken)
    assert run_small(monkeypatch, tmp_path, "progress=false") == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "RuntimeError: the disk caught fire" in error
    run = only_run(tmp_path)
    assert "Traceback" in (run / "run.log").read_text()
    assert json.loads((run / "status.json").read_text())["state"] == "failed"


def test_interrupted_run_says_so_and_resumes(monkeypatch, tmp_path, capsys):
    from alupdate.experiment import learning

    original, calls = learning.score, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(learning, "score", interrupted)
    assert run_small(monkeypatch, tmp_path, "progress=false") == 130
    assert capsys.readouterr().err.count("\n") == 1
    run = only_run(tmp_path)
    assert json.loads((run / "status.json").read_text())["state"] == "interrupted"
    assert run_small(monkeypatch, tmp_path) == 0
    assert "resuming after cycle 0" in capsys.readouterr().err


def test_config_can_be_shown_without_running(monkeypatch, tmp_path, capsys):
    assert run_command(monkeypatch, tmp_path, "strategy=lookahead", "--cfg", "job") == 0
    assert "n_batches: 300" in capsys.readouterr().out
    assert not (tmp_path / "results").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_full_disk_is_one_line_and_the_run_resumes(monkeypatch, tmp_path, capsys):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(small)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("this machine does not let tests mount a file system")
    try:
        filler = small / "filler"
        filler.write_bytes(b"x" * 180_000)
        arguments = ("results_dir=small", "progress=false")
        assert run_small(monkeypatch, tmp_path, *arguments) in (1, 2)
        assert capsys.readouterr().err.count("\n") == 1
        filler.unlink()
        assert run_small(monkeypatch, tmp_path, *arguments) == 0
        assert run_small(monkeypatch, tmp_path, "results_dir=large", "progress=false") == 0
        curves = [p.read_bytes() for p in sorted(tmp_path.glob("*/default/*/curve.csv"))]
        assert len(curves) == 2
        assert curves[0] == curves[1]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_where_no_file_can_be_locked_a_run_is_done_after_one_warning(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv(WARNED, "")
    take_no_locks(monkeypatch)
    assert run_small(monkeypatch, tmp_path) == 0
    assert capsys.readouterr().err.count("the file system takes no locks") == 1
    assert run_small(monkeypatch, tmp_path) == 0
    assert "already done" in capsys.readouterr().err
