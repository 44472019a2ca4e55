import errno
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from alupdate.config.check import make_config
from alupdate.experiment.kept_model import settings_digest
from alupdate.results.records import Comparison, CycleRecord, tables
from alupdate.results.status import read_status
from alupdate.results.store import RunStore
from alupdate.utils import files
from alupdate.utils.errors import InputError

SCORES = {"accuracy": 0.5, "nll": 1 / 3, "brier": 0.1, "ece": 0.2, "ace": 0.3}
RECORDS = [
    CycleRecord(0, 2, (4, 7), (0, 1), SCORES, {"retrain": 0.25}),
    CycleRecord(
        1, 3, (9,), (1,), SCORES, {"update": 0.5}, Comparison(1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    ),
]


def config(**changes):
    settings = {
        "dataset": {"name": "digits"},
        "backbone": {"name": "pixels"},
        "strategy": {"name": "margin"},
        "batch": {"name": "top_b"},
        "posterior": {},
        "training": {},
        "update": {"name": "retrain"},
        "task": {"name": "active_learning"},
    } | changes
    return make_config(settings)


def save(store, oracle=False):
    files = tables(store.name, config(), oracle, RECORDS)
    store.save([asdict(record) for record in RECORDS], files)


@pytest.fixture
def store(tmp_path):
    store = RunStore(config(results_dir=str(tmp_path)))
    with store.locked():
        yield store


def test_state_survives_a_round_trip(store):
    save(store)
    restored = TypeAdapter(list[CycleRecord]).validate_python(store.load())
    assert restored == RECORDS


def test_tables_have_the_documented_columns(store):
    save(store, oracle=True)
    header, first, _ = (store.path / "curve.csv").read_text().splitlines()
    assert header == (
        "run,dataset,backbone,strategy,batch,update,seed,cycle,n_labelled,"
        "accuracy,nll,brier,ece,ace,oracle"
    )
    assert first == (
        f"{store.name},digits,pixels,margin,top_b,retrain,0,0,2,0.5,0.3333333333,0.1,0.2,0.3,true"
    )
    assert (store.path / "timings.csv").read_text().splitlines() == [
        "run,cycle,phase,seconds",
        f"{store.name},0,retrain,0.250000",
        f"{store.name},1,update,0.500000",
    ]
    assert (store.path / "queries.csv").read_text().splitlines() == [
        "run,cycle,position,pool_index,label",
        f"{store.name},0,0,4,0",
        f"{store.name},0,1,7,1",
        f"{store.name},1,0,9,1",
    ]
    assert (store.path / "comparison.csv").read_text().splitlines()[1] == (
        f"{store.name},1,3,1,0.100000,0.200000,2,0.3,0.4,0.5,0.6"
    )


@pytest.mark.parametrize("keep", [0, 1, 10, 100, -1])
def test_damaged_state_counts_as_none(store, keep, caplog):
    save(store)
    path = store.path / "state.json"
    path.write_bytes(path.read_bytes()[:keep])
    assert store.load() == []
    assert "damaged" in caplog.text


def test_altered_state_is_noticed(store):
    save(store)
    path = store.path / "state.json"
    path.write_text(path.read_text().replace('"n_labelled": 3', '"n_labelled": 4'))
    assert store.load() == []


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "file"
    files.replace_file(path, "old")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.replace_file(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_name_depends_on_everything_that_decides_the_result():
    base = RunStore(config()).name
    others = [
        config(seed=1),
        config(n_initial=11),
        config(subset=None),
        config(strategy={"name": "entropy"}),
        config(update={"name": "retrain", "gamma": 3}),
        config(training={"solver": "lbfgs"}),
        config(posterior={"prior_precision": 2}),
        config(batch={"name": "top_b", "size": 3}),
    ]
    names = {RunStore(other).name for other in others}
    assert len(names) == len(others)
    assert base not in names


def test_the_name_does_not_depend_on_where_and_how_to_run():
    base = RunStore(config()).name
    for changes in ({"results_dir": "x"}, {"force": True}, {"device": "cpu"}, {"threads": 2}):
        assert RunStore(config(**changes)).name == base


def test_the_name_has_the_digest_of_data_instead_of_their_place():
    def name(dataset, digest):
        return RunStore(config(dataset=dataset), {"dataset": digest}).name

    base = name({"name": "csv", "path": "a.csv"}, "1")
    assert name({"name": "csv", "path": "b.csv"}, "1") == base
    assert name({"name": "csv", "path": "a.csv"}, "2") != base
    assert name({"name": "csv", "path": "a.csv", "text_column": "t"}, "1") != base


def test_another_result_format_is_another_run(monkeypatch):
    base = RunStore(config()).name
    monkeypatch.setattr("alupdate.results.store.FORMAT_VERSION", 999)
    assert RunStore(config()).name != base


def test_a_run_is_done_by_one_process_at_a_time(store):
    again = RunStore(replace(config(), results_dir=str(store.path.parents[1])))
    with pytest.raises(InputError, match="another process"), again.locked():
        pass


def test_status_names_versions_host_and_times(store):
    store.begin({"device": "cpu"})
    status = json.loads((store.path / "status.json").read_text())
    assert status["state"] == "running"
    assert {"versions", "git_revision", "host", "started", "updated", "device"} <= set(status)
    assert status["versions"]["torch"]
    store.set_state("failed", "because")
    assert read_status(store.path).state == "failed"
    assert not store.is_complete()


def test_clear_forgets_everything(store):
    store.begin({})
    save(store)
    store.clear()
    assert [path.name for path in Path(store.path).iterdir()] == [".lock"]


def finish(store):
    """Complete a run of two cycles."""
    save(store)
    store.set_state("completed")


@pytest.fixture
def finished(tmp_path):
    store = RunStore(config(results_dir=str(tmp_path), n_initial=2, n_cycles=1))
    with store.locked():
        finish(store)
    return store


def test_tables_of_a_finished_run_are_as_its_state_says(finished):
    assert finished.damaged_tables() == {}
    assert finished.is_complete()


@pytest.mark.parametrize("name", ["curve.csv", "queries.csv", "timings.csv", "comparison.csv"])
@pytest.mark.parametrize("damage", ["deleted", "emptied", "edited", "cut"])
def test_damaged_tables_are_written_again_from_the_state(finished, name, damage):
    path = finished.path / name
    before = path.read_bytes()
    if damage == "deleted":
        path.unlink()
    else:
        changed = {"emptied": b"", "edited": before.replace(b"0", b"7"), "cut": before[:-9]}
        path.write_bytes(changed[damage])
    assert not finished.is_complete()
    tables = finished.damaged_tables()
    assert list(tables) == [name]
    finished.repair(tables)
    assert path.read_bytes() == before
    assert finished.is_complete()


def test_a_finished_run_without_its_state_is_done_while_its_tables_can_be_read(finished):
    (finished.path / "state.json").unlink()
    assert finished.is_complete()
    (finished.path / "curve.csv").write_text("")
    assert not finished.is_complete()


def test_a_state_with_too_few_steps_is_not_complete(finished):
    files = tables(finished.name, config(), False, RECORDS[:1])
    with finished.locked():
        finished.save([asdict(RECORDS[0])], files)
    assert finished.damaged_tables() is None


def test_the_state_of_another_run_counts_as_none(finished, tmp_path, caplog):
    other = RunStore(config(results_dir=str(tmp_path), n_initial=2, n_cycles=1, seed=1))
    with other.locked():
        (other.path / "state.json").write_bytes((finished.path / "state.json").read_bytes())
        assert other.load() == []
    assert f"it is the state of {finished.name}" in caplog.text


def test_the_checksum_is_of_the_name_too(finished, tmp_path, caplog):
    other = RunStore(config(results_dir=str(tmp_path), n_initial=2, n_cycles=1, seed=1))
    text = (finished.path / "state.json").read_text().replace(finished.name, other.name)
    with other.locked():
        (other.path / "state.json").write_text(text)
        assert other.load() == []
    assert "checksum mismatch" in caplog.text


IMPOSSIBLE = [
    ({"cycle": 5}, "step 0 is cycle 5"),
    ({"cycle": "x"}, "step 0: cycle: "),
    ({"n_labelled": 3}, "n_labelled is not the number of labels"),
    ({"indices": (4, 4)}, "n_labelled is not the number of labels"),
    ({"indices": (4, 7, 9)}, "not one label for each instance"),
    ({"indices": (), "labels": ()}, "n_labelled is not the number of labels"),
    ({"annotations": {"given": [[4, 0, 0]], "n_changed": 0, "n_wrong": 0}}, "not about the inst"),
    (
        {"annotations": {"given": [[4, 0, 0], [7, 0, -1]], "n_changed": 0, "n_wrong": 0}},
        "an annotation has a number below 0",
    ),
    (
        {"annotations": {"given": [[4, 0, 0], [7, 0, 1]], "n_changed": 0, "n_wrong": 3}},
        "more labels are wrong than there are",
    ),
    (
        {"annotations": {"given": [[4, 0, 0], [7, 0, 1], [7, 1, 1]], "n_changed": 0, "n_wrong": 0}},
        "n_labelled is not the number of labels",
    ),
    ({"indices": (4, -1)}, "below 0"),
    ({"scores": {}}, "has no accuracy"),
    ({"timings": None}, "step 0: timings: "),
]


@pytest.mark.parametrize(("changes", "reason"), IMPOSSIBLE)
def test_impossible_records_with_a_valid_checksum_count_as_none(store, caplog, changes, reason):
    store.save([asdict(RECORDS[0]) | changes], {})
    assert store.load() == []
    assert reason in caplog.text
    assert "starting from the beginning" in caplog.text


def test_only_the_first_cycle_may_have_no_labels(store, caplog):
    first = asdict(CycleRecord(0, 0, (), (), SCORES, {}))
    store.save([first], {})
    assert len(store.load()) == 1
    store.save([first, first | {"cycle": 1}], {})
    assert store.load() == []
    assert "cycle 1 has not one label for each instance" in caplog.text


def test_a_setting_that_earlier_versions_lacked_changes_no_name_while_it_says_what_they_did():
    def batch_of(**settings):
        batch = {"name": "sequential", **settings}
        return RunStore(config(batch=batch)).settings["batch"], settings_digest(config(batch=batch))

    former = {"name": "sequential", "size": 10, "every": 1, "update": "second_order"}
    stored, digest = batch_of()
    assert stored == former
    stored, other = batch_of(labels="sampled", n_samples=2)
    assert stored == {**former, "labels": "sampled", "n_samples": 2}
    assert other != digest


def test_a_batch_with_labels_of_the_models_own_is_told_apart_in_tables():
    sampled = config(batch={"name": "sequential", "labels": "sampled"})
    name = RunStore(sampled).name
    assert name.startswith("digits-pixels-margin-sequential_sampled-retrain-s0-")
    header, first, _ = tables(name, sampled, False, RECORDS)["curve.csv"].splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert row["batch"] == "sequential_sampled"
