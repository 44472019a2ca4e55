"""Features that the jobs of a sweep extract together, by a command."""

import numpy as np
import pytest
from hydra import initialize_config_dir

from alupdate.config.compose import Composer
from alupdate.data.feature_shards import Shard
from alupdate.results.status import RunStatus
from alupdate.sweep.launch import extract_shared_features
from alupdate.sweep.plan import PlannedRun, extractions, sharded
from alupdate.utils.display import Display
from alupdate.utils.paths import conf_dir
from tests.support.runs import run_command, run_small

COUNT = 1100 + 948
NETWORK = (
    "dataset=npz", "dataset.path=data.npz", "backbone=timm", "backbone.model=test_resnet",
    "backbone.weights=random", "backbone.image_size=32", "threads=1", "device=cpu",
)  # fmt: skip
FEATURES = ("task=features", *NETWORK)


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Runs a command on images of which there are two blocks."""
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(COUNT, 8, 8, 3)).astype(np.uint8)
    labels = np.arange(COUNT) % 2
    np.savez(
        tmp_path / "data.npz",
        X_train=images[:1100], y_train=labels[:1100], X_test=images[1100:], y_test=labels[1100:],
    )  # fmt: skip
    monkeypatch.delenv("ALUPDATE_CACHE", raising=False)
    return lambda *arguments: run_command(monkeypatch, tmp_path, *arguments)


def kept(folder):
    return sorted(p.name for p in (folder / "features").iterdir() if p.suffix != ".lock")


def test_two_workers_extract_together_what_one_job_would(command, monkeypatch, tmp_path, capsys):
    assert command(*FEATURES, "cache_dir=alone") == 0
    shared = ("extraction.shards=2", "cache_dir=shared")
    workers = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert command("-m", *FEATURES, *shared, *workers) == 0
    assert "2 of 2 jobs are done" in capsys.readouterr().err
    names = kept(tmp_path / "alone")
    assert [name.rpartition(".")[2] for name in names] == ["json", "log", "npy"]
    assert kept(tmp_path / "shared") == names
    for name in (names[0], names[2]):
        whole, joined = (tmp_path / place / "features" / name for place in ("alone", "shared"))
        assert whole.read_bytes() == joined.read_bytes()
    log = (tmp_path / "shared" / "features" / names[1]).read_text()
    assert sorted(line.partition(" by ")[2].split(" in ")[0] for line in log.splitlines()) == [
        f"test_resnet, shard {k} of 2: 1024 images" for k in (0, 1)
    ]
    assert run_small(monkeypatch, tmp_path, *NETWORK, "cache_dir=shared") == 0
    assert "images/s" not in capsys.readouterr().err


def test_shards_by_hand_and_a_run_that_needs_them(command, monkeypatch, tmp_path, capsys):
    assert command(*FEATURES, "cache_dir=c", "extraction.shards=2", "extraction.shard=1") == 0
    said = capsys.readouterr().err
    assert "npz: shard 1 of 2: features of instances 1024 to 2047 are kept; 1 more to come" in said
    assert run_small(monkeypatch, tmp_path, *NETWORK, "cache_dir=c") == 0
    said = capsys.readouterr().err
    assert "1024/1024" in said
    assert "features of npz by test_resnet, shard 0 of 2: 1024 images in" in said
    assert command(*FEATURES, "cache_dir=c", "extraction.shards=4", "extraction.shard=3") == 0
    said = capsys.readouterr().err
    assert "all are joined" in said
    assert "images/s" not in said


@pytest.fixture
def compose():
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield Composer().config


def test_a_sweep_makes_a_job_for_each_shard(compose):
    job = ["task=features", "extraction.shards=3"]
    one = [*job, "extraction.shard=2"]
    run = ["extraction.shards=3", "seed=1"]
    jobs = [job, one, run, ["task=features"]]
    assert sharded(jobs, [compose(job) for job in jobs]) == [
        *([*job, f"extraction.shard={k}"] for k in range(3)), one, run, ["task=features"],
    ]  # fmt: skip


def test_a_sweep_of_runs_shares_what_comes_ahead(compose, tmp_path):
    overrides = ("dataset=mnist5k", "backbone=efficientnet_lite0", "extraction.shards=2")
    run = PlannedRun(overrides, compose(overrides), tmp_path, RunStatus("missing"), False)
    launched = []
    extract_shared_features([run], lambda jobs: launched.extend(jobs) or [], Display(False))
    assert launched == [[*overrides, "task=features", f"extraction.shard={k}"] for k in (0, 1)]
    alone = PlannedRun((), compose(overrides[:2]), tmp_path, RunStatus("missing"), False)
    assert extractions([alone]) == []


def test_a_run_is_the_same_however_its_features_come(compose):
    from alupdate.results.store import RunStore

    names = {
        RunStore(compose(["dataset=mnist5k", *more])).name
        for more in ([], ["extraction.shards=8"], ["backbone.precision=float32"])
    }
    assert len(names) == 1
    assert RunStore(compose(["dataset=mnist5k", "backbone.precision=float16"])).name not in names


def test_the_numbers_of_shards_begin_at_0():
    assert str(Shard(0, 2)) == "shard 0 of 2"
