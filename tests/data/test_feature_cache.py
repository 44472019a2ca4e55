"""The cache of features: extracted once, resumed after a kill, damage noticed, rows mapped."""

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from alupdate.config import PosteriorConfig, TrainingConfig
from alupdate.data import feature_cache, row_files
from alupdate.data.feature_cache import Features, MappedRows, ScaledRows, cached_rows
from alupdate.data.row_files import Extraction
from alupdate.models.learner import FrozenLearner, LearnerSettings
from alupdate.models.scales import check_scales, standardise
from alupdate.utils import paths
from alupdate.utils.errors import InputError
from alupdate.utils.paths import cache_folder
from tests.support.memory import allocated_mebibytes, peak_mebibytes
from tests.support.processes import start_code
from tests.support.slow_extraction import SLOW_EXTRACTION

COUNT, DIMENSION = 50, 3
ROWS = np.random.default_rng(0).normal(size=(COUNT, DIMENSION)).astype(np.float32)


class Recorder:
    """An extraction that remembers which rows were asked for, and may fail at one."""

    def __init__(self, fails_at=None):
        self.computed, self.resumed_after, self._fails_at = [], [], fails_at

    def rows(self, start, stop):
        for first in range(start, stop, 4):
            last = min(first + 4, stop)
            if self._fails_at is not None and last > self._fails_at:
                raise RuntimeError("the network broke")
            self.computed += range(first, last)
            yield ROWS[first:last]

    @contextmanager
    def watched(self, done, total, which):
        self.resumed_after.append(done)
        yield lambda rows: None

    def extraction(self):
        return Extraction(COUNT, self.rows, self.watched)


@pytest.fixture(autouse=True)
def frequent_commits(monkeypatch):
    monkeypatch.setattr(row_files, "ROWS_BETWEEN_COMMITS", 8)


def load(folder, recorder=None):
    recorder = recorder or Recorder()
    rows = cached_rows(folder, "key", recorder.extraction())
    np.testing.assert_array_equal(rows, ROWS)
    return recorder, rows


def names(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_features_are_extracted_once(tmp_path):
    assert load(tmp_path)[0].computed == list(range(COUNT))
    assert load(tmp_path)[0].computed == []
    assert names(tmp_path) == ["key.json", "key.npy"]


def test_rows_are_mapped_and_read_only(tmp_path):
    _, rows = load(tmp_path)
    assert isinstance(rows, np.memmap)
    assert rows.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        rows[0, 0] = 1


def test_keys_do_not_disturb_each_other(tmp_path):
    load(tmp_path)
    other = Extraction(COUNT, lambda a, b: iter([ROWS[a:b] + 1]), Recorder().watched)
    np.testing.assert_array_equal(cached_rows(tmp_path, "other", other), ROWS + 1)
    load(tmp_path)


def interrupted(folder, after=20):
    """Leave an extraction that stopped after some rows."""
    with pytest.raises(RuntimeError, match="the network broke"):
        load(folder, Recorder(fails_at=after))
    assert names(folder) == ["key.partial", "key.progress"]


def test_an_interrupted_extraction_goes_on(tmp_path):
    interrupted(tmp_path)
    recorder, _ = load(tmp_path)
    assert recorder.resumed_after == [16]
    assert recorder.computed == list(range(16, COUNT))
    assert names(tmp_path) == ["key.json", "key.npy"]


def cut(content):
    return content[: len(content) // 2]


def flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES = {
    "cut": cut,
    "flipped": flip,
    "empty": lambda content: b"",
    "foreign": lambda content: b"not a cache" * 99,
    "longer": lambda content: content + b"{}",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("file", ["key.npy", "key.json"])
def test_damaged_features_are_noticed_and_extracted_again(file, damage, tmp_path, caplog):
    load(tmp_path)
    path = tmp_path / file
    path.write_bytes(damage(path.read_bytes()))
    assert load(tmp_path)[0].computed == list(range(COUNT))
    assert "is damaged" in caplog.text
    caplog.clear()
    assert load(tmp_path)[0].computed == []
    assert not caplog.text


@pytest.mark.parametrize(
    "contents",
    [
        {"count": COUNT, "dimension": 10**18, "sha256": ""},
        {"count": -COUNT, "dimension": -DIMENSION, "sha256": ""},
        {"count": COUNT, "dimension": 0, "sha256": ""},
        {"count": COUNT, "dimension": DIMENSION, "sha256": "0" * 64},
        {"count": 2 * COUNT, "dimension": DIMENSION, "sha256": ""},
        {"count": "many"},
        [],
    ],
)
def test_a_foreign_description_is_noticed(contents, tmp_path):
    load(tmp_path)
    (tmp_path / "key.json").write_text(json.dumps(contents))
    assert load(tmp_path)[0].computed == list(range(COUNT))


def test_a_missing_description_is_noticed(tmp_path):
    load(tmp_path)
    (tmp_path / "key.json").unlink()
    assert load(tmp_path)[0].computed == list(range(COUNT))


@pytest.mark.parametrize("damage", [n for n in DAMAGES if n != "longer"])
@pytest.mark.parametrize("file", ["key.partial", "key.progress"])
def test_a_damaged_partial_file_is_started_over(file, damage, tmp_path):
    interrupted(tmp_path)
    path = tmp_path / file
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert load(tmp_path)[0].computed == list(range(COUNT))


def test_rows_after_the_last_commit_are_dropped(tmp_path):
    interrupted(tmp_path)
    with (tmp_path / "key.partial").open("ab") as file:
        file.write(b"half of the next row")
    assert load(tmp_path)[0].computed == list(range(16, COUNT))


@pytest.mark.parametrize("done", [-1, 0, COUNT + 1, 10**12])
@pytest.mark.parametrize("dimension", [-3, 0, 3])
def test_foreign_progress_is_started_over(done, dimension, tmp_path):
    interrupted(tmp_path)
    progress = {"done": done, "dimension": dimension, "crc": 0}
    (tmp_path / "key.progress").write_text(json.dumps(progress))
    assert load(tmp_path)[0].computed == list(range(COUNT))


def test_a_kill_before_the_last_rename_costs_nothing(tmp_path):
    load(tmp_path)
    rows = (tmp_path / "key.npy").read_bytes()
    (tmp_path / "key.npy").rename(tmp_path / "key.partial")
    progress = {"done": COUNT, "dimension": DIMENSION, "crc": row_files.zlib.crc32(rows)}
    (tmp_path / "key.progress").write_text(json.dumps(progress))
    assert load(tmp_path)[0].computed == []
    assert names(tmp_path) == ["key.json", "key.npy"]


SLOW = (
    SLOW_EXTRACTION
    + """
    from alupdate.data import feature_cache

    found = feature_cache.cached_rows(Path(sys.argv[1]), "key", extraction)
    assert (found.ravel() == np.arange(1200)).all()
"""
)


def starts(output: str) -> list[int]:
    return [int(line) for line in output.split()]


def test_a_killed_extraction_resumes_without_recomputing_finished_rows(tmp_path):
    kept = 0
    for _ in range(3):
        worker = start_code(SLOW, tmp_path)
        until = time.monotonic() + 60
        while _done(tmp_path) < kept + 24 and time.monotonic() < until:
            time.sleep(0.005)
        worker.kill()
        killed = worker.finish()
        assert killed.returncode == -signal.SIGKILL
        assert starts(killed.stdout)[0] == kept
        assert _done(tmp_path) >= kept + 24
        kept = _done(tmp_path)
        assert not (tmp_path / "key.npy").exists()
    last = start_code(SLOW, tmp_path).finish()
    assert last.returncode == 0
    assert starts(last.stdout) == list(range(kept, 400, 4))


def _done(folder):
    progress = folder / "key.progress"
    return json.loads(progress.read_text())["done"] if progress.exists() else 0


def test_two_processes_extract_once(tmp_path):
    workers = [start_code(SLOW, tmp_path) for _ in range(2)]
    answers = [worker.finish() for worker in workers]
    assert [answer.returncode for answer in answers] == [0, 0]
    assert starts("".join(answer.stdout for answer in answers)) == list(range(0, 400, 4))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_an_oserror_and_the_extraction_resumes(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("this machine does not let tests mount a file system")
    wide = np.random.default_rng(1).normal(size=(COUNT, 128)).astype(np.float32)
    computed = []

    def rows(start, stop):
        for first in range(start, stop, 4):
            computed.append(first)
            yield wide[first : first + 4]

    extraction = Extraction(COUNT, rows, Recorder().watched)
    try:
        (small / "filler").write_bytes(bytes(44_000))
        with pytest.raises(OSError, match="No space left"):
            cached_rows(small, "key", extraction)
        assert not (small / "key.npy").exists()
        done = _done(small)
        (small / "filler").unlink()
        computed.clear()
        np.testing.assert_array_equal(cached_rows(small, "key", extraction), wide)
        assert computed[0] == done > 0
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_an_unwritable_place_is_an_oserror(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="file"):
        load(tmp_path / "file")


@pytest.fixture
def mapped(tmp_path):
    features = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    features.tofile(tmp_path / "features")
    return np.memmap(tmp_path / "features", np.float32, "r", shape=(50, 6))


@pytest.mark.parametrize("chunk", [1, 100, 2**26])
def test_rows_come_in_the_order_asked_for_with_the_bias_last(mapped, chunk, monkeypatch):
    monkeypatch.setattr(feature_cache, "GATHERED_BYTES", chunk)
    rows = MappedRows(mapped, torch.device("cpu"))
    for positions in ([], [3], [49, 0, 7, 7, 12], np.random.default_rng(1).permutation(50)):
        found = rows[torch.tensor(np.array(positions, dtype=np.int64))]
        expected = np.concatenate([mapped[list(positions)], np.ones((len(positions), 1))], axis=1)
        np.testing.assert_array_equal(found.numpy(), expected)
    assert len(rows) == 50


def test_a_large_mapped_pool_gives_the_same_model(mapped, monkeypatch):
    labels = np.arange(50) % 3
    settings = LearnerSettings(TrainingConfig(solver="lbfgs"), PosteriorConfig(), seed=0)

    def model():
        learner_ = FrozenLearner(Features(mapped, mapped), 3, settings, torch.device("cpu"))
        return learner_.fit(np.arange(5, 25), labels[5:25], 0)

    plain = model()
    monkeypatch.setattr(feature_cache, "LARGE_BYTES", 0)
    large = model()
    assert isinstance(plain.pool, torch.Tensor)
    assert isinstance(large.pool, MappedRows)
    assert torch.equal(plain.posterior.mean, large.posterior.mean)
    everything = torch.arange(50)
    assert torch.equal(plain.pool[everything], large.pool[everything])


@pytest.mark.parametrize("part", [1, 100, 2**26])
def test_a_large_mapped_pool_is_standardised_where_it_is_read(mapped, part, tmp_path, monkeypatch):
    """To the last bit what all of it at once is, constant columns and notes included."""
    rows = np.array(mapped) * np.float32([1, 1e3, 1e-3, 200, 0, 1])
    rows += np.float32([0, 5, 0, 1e9, 7, 0])
    rows.tofile(tmp_path / "more")
    mapped = np.memmap(tmp_path / "more", np.float32, "r", shape=(50, 6))
    plain = standardise(Features(mapped, mapped[:9]), "abcdef")
    monkeypatch.setattr(feature_cache, "LARGE_BYTES", 0)
    monkeypatch.setattr(feature_cache, "GATHERED_BYTES", part)
    large = standardise(Features(mapped, mapped[:9]), "abcdef")
    assert isinstance(large.pool, ScaledRows)
    assert (large.notes, large.pool.shape, len(large.pool)) == (plain.notes, (50, 6), 50)
    assert plain.notes
    for ours, theirs in (
        (np.array(large.pool), plain.pool),
        (large.pool[rows[:, 0] > 0], plain.pool[rows[:, 0] > 0]),
        (large.test, plain.test),
        (large.scale.shift, plain.scale.shift),
        (large.scale.factor, plain.scale.factor),
    ):
        np.testing.assert_array_equal(ours, theirs)
    order = torch.randperm(50)
    expected = MappedRows(plain.pool, torch.device("cpu"))[order]
    assert torch.equal(MappedRows(large.pool, torch.device("cpu"))[order], expected)


@pytest.mark.parametrize("look", [standardise, check_scales])
def test_a_large_mapped_pool_is_never_looked_at_as_a_whole(look, tmp_path, monkeypatch):
    """80 MB, of which the sums of squares alone would take 160."""
    rows = np.random.default_rng(0).normal(size=(80_000, 256)).astype(np.float32)
    rows.tofile(tmp_path / "rows")
    mapped = np.memmap(tmp_path / "rows", np.float32, "r", shape=rows.shape)
    monkeypatch.setattr(feature_cache, "LARGE_BYTES", 0)
    monkeypatch.setattr(feature_cache, "GATHERED_BYTES", 2**22)
    added = allocated_mebibytes(lambda: look(Features(mapped, mapped[:9])), tmp_path)
    assert added < 0.3 * rows.nbytes / 2**20


def test_a_file_that_was_read_is_not_counted_twice(tmp_path):
    """200 MB of features: gathered, they are in memory once."""
    code = f"""
        import numpy as np, torch
        from alupdate.data.feature_cache import MappedRows
        path = {str(tmp_path / "features")!r}
        features = np.memmap(path, np.float32, "r", shape=({{n}}, 256))
        rows = MappedRows(features, torch.device("cpu"))
        gathered = rows[torch.randperm({{n}})]
        assert gathered.shape == ({{n}}, 257)
    """
    np.memmap(tmp_path / "features", np.float32, "w+", shape=(200_000, 256)).flush()
    little = peak_mebibytes(code.format(n=1000))
    much = peak_mebibytes(code.format(n=200_000))
    assert much - little < 1.7 * 200_000 * 257 * 4 / 2**20


@pytest.mark.parametrize("name", ["key.partial", "key.progress", "key.json", "key.npy"])
def test_a_link_in_the_cache_leads_to_no_other_file(name, tmp_path):
    folder = cache_folder(tmp_path / "cache", "features")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (folder / name).symlink_to(victim)
    load(folder)
    assert victim.read_text() == "precious"


def test_a_link_beside_a_valid_progress_is_not_followed(tmp_path):
    with pytest.raises(RuntimeError):
        load(tmp_path, Recorder(fails_at=30))
    (tmp_path / "key.partial").rename(tmp_path / "victim")
    before = (tmp_path / "victim").read_bytes()
    (tmp_path / "key.partial").symlink_to(tmp_path / "victim")
    assert load(tmp_path)[0].computed == list(range(COUNT))
    assert (tmp_path / "victim").read_bytes() == before


def test_the_cache_is_private(tmp_path):
    folder = cache_folder(tmp_path / "a" / "cache", "features")
    load(folder)
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [0o700, 0o700]
    assert (folder / "key.npy").stat().st_mode & 0o77 == 0


@pytest.mark.parametrize("part", ["cache", "cache/features"])
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702, 0o775])
def test_a_cache_that_others_can_write_is_refused(part, mode, tmp_path, monkeypatch):
    cache_folder(tmp_path / "cache", "features")
    (tmp_path / part).chmod(mode)
    if mode == 0o775:
        monkeypatch.setattr(paths, "_is_own_group", lambda number: False)
    with pytest.raises(InputError, match=r"cache_dir: .* can be written by others.*chmod go-w"):
        cache_folder(tmp_path / "cache", "features")
    monkeypatch.setenv("ALUPDATE_TRUST_CACHE", "1")
    cache_folder(tmp_path / "cache", "features")
    monkeypatch.delenv("ALUPDATE_TRUST_CACHE")
    (tmp_path / part).chmod(mode & 0o755)
    cache_folder(tmp_path / "cache", "features")


def test_a_cache_of_another_user_is_refused(tmp_path, monkeypatch):
    folder = cache_folder(tmp_path / "cache", "features")
    if os.geteuid() == 0:
        os.chown(folder, 4321, -1)
    else:
        mine = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.raises(InputError, match=r"cache_dir: .* belongs to user \d+"):
        cache_folder(tmp_path / "cache", "features")
