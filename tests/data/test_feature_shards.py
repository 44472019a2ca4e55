"""Features in shards: resumed, joined byte for byte, and never mixed up by whoever works beside."""

import json
import shutil
import signal
import threading
import time

import numpy as np
import pytest

from alupdate.data import row_files
from alupdate.data.feature_cache import cached_rows, keep_shard
from alupdate.data.feature_shards import Shard, ShardFolder
from alupdate.data.row_files import load_rows
from alupdate.utils.files import locked_file
from tests.data.test_feature_cache import COUNT, ROWS, Recorder, cut, flip
from tests.support.processes import start_code
from tests.support.slow_extraction import SLOW_EXTRACTION

ALL = list(range(COUNT))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(row_files, "ROWS_BETWEEN_COMMITS", 8)


def keep(folder, number, of=3, recorder=None, key="key"):
    recorder = recorder or Recorder()
    return keep_shard(folder, key, recorder.extraction(), Shard(number, of)), recorder.computed


def whole(folder, key="key"):
    """Return which rows were still to be computed."""
    recorder = Recorder()
    np.testing.assert_array_equal(cached_rows(folder, key, recorder.extraction()), ROWS)
    assert not (folder / f"{key}.shards").exists()
    return recorder.computed


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 50, 64, 1000])
@pytest.mark.parametrize("of", [1, 2, 3, 7, 200])
def test_shards_are_all_instances_once_and_in_blocks(count, of):
    spans = [Shard(number, of).span(count) for number in range(of)]
    assert [i for start, stop in spans for i in range(start, stop)] == list(range(count))
    assert all(start % 8 == 0 or start == count for start, _ in spans)
    sizes = [-(-(stop - start) // 8) for start, stop in spans]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_the_last_shard_joins_them_to_the_file_of_an_unsharded_extraction(order, tmp_path):
    cached_rows(tmp_path / "unsharded", "key", Recorder().extraction())
    computed = []
    for missing, number in zip((2, 1, 0), order, strict=True):
        found, rows = keep(tmp_path, number)
        assert found == missing
        computed += rows
    assert sorted(computed) == ALL
    for name in ("key.npy", "key.json"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "unsharded" / name).read_bytes()
    assert whole(tmp_path) == []
    assert keep(tmp_path, 1) == (0, [])


def test_with_more_shards_than_blocks_some_are_empty(tmp_path):
    for number in range(20):
        keep(tmp_path, number, of=20)
    assert whole(tmp_path) == []


def test_an_interrupted_shard_goes_on_where_it_was(tmp_path):
    with pytest.raises(RuntimeError, match="the network broke"):
        keep(tmp_path, 1, of=2, recorder=Recorder(fails_at=46))
    assert sorted(path.suffix for path in (tmp_path / "key.shards").iterdir()) == [
        ".lock", ".partial", ".progress",
    ]  # fmt: skip
    assert keep(tmp_path, 1, of=2) == (1, list(range(40, COUNT)))


def test_a_run_finishes_what_shards_have_begun(tmp_path, caplog):
    keep(tmp_path, 1)
    with pytest.raises(RuntimeError, match="the network broke"):
        keep(tmp_path, 2, recorder=Recorder(fails_at=46))
    assert whole(tmp_path) == [*range(16), *range(40, COUNT)]
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert line.endswith("key.shards: of 3 shards, extracted here: 0, 2")


def without_contents(content):
    return b"{}"


def of_another_key(content):
    return json.dumps(json.loads(content) | {"part": "shard 1 of 3 of other"}).encode()


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("1-of-3.npy", cut, "bytes for"),
        ("1-of-3.npy", flip, "checksum"),
        ("1-of-3.json", cut, "unreadable"),
        ("1-of-3.json", without_contents, "unreadable"),
        ("1-of-3.json", of_another_key, "it holds shard 1 of 3 of other, not shard 1 of 3 of key"),
    ],
)
def test_a_shard_that_is_damaged_or_foreign_is_extracted_again(
    name, damage, reason, tmp_path, caplog
):
    keep(tmp_path, 0)
    keep(tmp_path, 1)
    path = tmp_path / "key.shards" / name
    path.write_bytes(damage(path.read_bytes()))
    assert keep(tmp_path, 2)[1] == ALL[32:] + ALL[16:32]
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "1-of-3.npy is damaged" in line
    assert reason in line
    assert whole(tmp_path) == []


def test_a_shard_under_the_name_of_another_is_not_taken_for_it(tmp_path):
    keep(tmp_path, 0, of=2)
    folder = tmp_path / "key.shards"
    for ending in ("npy", "json"):
        shutil.copy(folder / f"0-of-2.{ending}", folder / f"1-of-2.{ending}")
    assert whole(tmp_path) == ALL[24:]


def test_of_two_divisions_that_is_used_of_which_more_is_there(tmp_path, caplog):
    keep(tmp_path, 0, of=2)
    keep(tmp_path, 0)
    keep(tmp_path, 2)
    assert whole(tmp_path) == ALL[16:32]
    assert "has shards of [2, 3]" in caplog.text


def test_an_unsharded_extraction_that_was_begun_goes_on(tmp_path):
    with pytest.raises(RuntimeError, match="the network broke"):
        cached_rows(tmp_path, "key", Recorder(fails_at=20).extraction())
    keep(tmp_path, 0)
    keep(tmp_path, 1)
    keep(tmp_path, 2)
    assert whole(tmp_path) == []


def test_a_damaged_file_is_extracted_in_shards_again(tmp_path):
    whole(tmp_path)
    path = tmp_path / "key.npy"
    path.write_bytes(flip(path.read_bytes()))
    assert keep(tmp_path, 0) == (2, ALL[:16])
    assert keep(tmp_path, 1) == (1, ALL[16:32])
    assert keep(tmp_path, 2) == (0, ALL[32:])
    assert whole(tmp_path) == []


def test_shards_stay_while_another_process_works_on_one(tmp_path):
    folder = ShardFolder(tmp_path / "key.npy")
    folder.keep(Shard(0, 2), Recorder().extraction())
    with locked_file(tmp_path / "key.shards" / "1-of-2.lock"):
        folder.remove()
        assert (tmp_path / "key.shards" / "0-of-2.npy").exists()
    folder.remove()
    assert not (tmp_path / "key.shards").exists()


def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "key.shards").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"key\.shards"):
        keep(tmp_path, 0)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_job_that_comes_as_the_shards_are_joined_does_nothing(tmp_path, monkeypatch):
    """The folder goes away between its making and the lock in it."""
    whole(tmp_path)

    def gone(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr("alupdate.data.feature_shards.locked_file", gone)
    late = Recorder()
    ShardFolder(tmp_path / "key.npy").keep(Shard(0, 2), late.extraction())
    assert late.computed == []
    (tmp_path / "key.npy").unlink()
    with pytest.raises(FileNotFoundError):
        ShardFolder(tmp_path / "key.npy").keep(Shard(0, 2), late.extraction())


def test_a_job_that_comes_when_all_is_joined_leaves_no_folder(tmp_path):
    cached_rows(tmp_path, "key", Recorder().extraction())
    recorder = Recorder()
    ShardFolder(tmp_path / "key.npy").keep(Shard(0, 2), recorder.extraction())
    assert recorder.computed == []
    assert not (tmp_path / "key.shards").exists()


def test_shards_and_a_run_at_the_same_time_extract_every_row_once(tmp_path):
    recorders = [Recorder() for _ in range(8)]
    barrier = threading.Barrier(9)

    def work(number):
        barrier.wait()
        keep_shard(tmp_path, "key", recorders[number].extraction(), Shard(number % 4, 4))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    barrier.wait()
    for thread in threads:
        thread.join()
    assert sorted(i for recorder in recorders for i in recorder.computed) == ALL
    assert whole(tmp_path) == []


SLOW = (
    SLOW_EXTRACTION
    + """
    from alupdate.data.feature_cache import keep_shard
    from alupdate.data.feature_shards import Shard

    keep_shard(Path(sys.argv[1]), "key", extraction, Shard(int(sys.argv[2]), 2))
"""
)


def test_a_killed_shard_resumes_beside_another_and_they_are_joined(tmp_path):
    killed, other = (start_code(SLOW, tmp_path, number) for number in (0, 1))
    progress, until = tmp_path / "key.shards" / "0-of-2.progress", time.monotonic() + 60
    while not progress.exists() and time.monotonic() < until:
        time.sleep(0.005)
    killed.kill()
    answer = killed.finish()
    assert answer.returncode == -signal.SIGKILL
    done = json.loads(progress.read_text())["done"]
    resumed = start_code(SLOW, tmp_path, 0).finish()
    assert (resumed.returncode, other.finish().returncode) == (0, 0)
    assert [int(line) for line in resumed.stdout.split()] == list(range(done, 200, 4))
    joined = load_rows(tmp_path / "key.npy", 400)
    assert joined is not None
    assert (joined.ravel() == np.arange(1200)).all()
    assert not (tmp_path / "key.shards").exists()


@pytest.mark.parametrize("name", ["5-of-0.npy", "0-of-00.partial"])
def test_files_of_no_division_are_passed_over(name, tmp_path):
    (tmp_path / "key.shards").mkdir()
    (tmp_path / "key.shards" / name).touch()
    assert whole(tmp_path) == ALL
