"""Every malformed input is one line with exit code 2, and leaves nothing behind."""

import pytest

from tests.support.malformed import MALFORMED, photos
from tests.support.runs import only_run, run_small


def without_repeats(arguments):
    """Return the arguments, of those for one key the last."""
    return tuple({argument.partition("=")[0]: argument for argument in arguments}.values())


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_input_is_one_line(name, monkeypatch, tmp_path, capsys):
    build, message = MALFORMED[name]
    arguments = without_repeats(build(tmp_path))
    given = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setenv("ALUPDATE_CACHE", str(tmp_path.parent / f"{tmp_path.name}-cache"))
    assert run_small(monkeypatch, tmp_path, *arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    (complaint,) = [line for line in lines if not line.endswith(" s left")]
    assert complaint.startswith("error: ")
    assert message in complaint
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == given


def test_a_damaged_cache_is_made_again(monkeypatch, tmp_path):
    arguments = (*photos()(tmp_path), "backbone.image_size=32", "training.epochs=2", "seed=0")
    small = ("n_initial=4", "n_cycles=1", "batch.size=2", "subset=6", "progress=false")
    arguments = without_repeats((*arguments, "backbone=efficientnet_lite0", *small))
    cache = tmp_path / "cache"
    monkeypatch.setenv("ALUPDATE_CACHE", str(cache))
    assert run_small(monkeypatch, tmp_path, *arguments) == 0
    curve = (only_run(tmp_path) / "curve.csv").read_bytes()
    damaged = [path for path in cache.rglob("*") if path.suffix in (".npy", ".npz", ".json")]
    assert len(damaged) == 4
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-9])
    assert run_small(monkeypatch, tmp_path, *arguments, "force=true") == 0
    assert (only_run(tmp_path) / "curve.csv").read_bytes() == curve
