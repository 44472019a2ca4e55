"""One size at a time, on problems of these sizes, and a large pool in a process of its own."""

import subprocess
import sys
from collections import namedtuple
from dataclasses import fields

import numpy as np
import pytest

from alupdate.utils.errors import InputError
from benchmarks import growth, large_pool
from benchmarks.memory import peak_mib

SMALL = growth.Sizes(dimension=5, classes=3, pool=30, batch=4, points=20, labelled=8)


@pytest.mark.parametrize("variable", growth.VARIABLES)
def test_a_variable_is_a_size_and_its_quick_values_are_fewer(variable):
    name, base, values, quick = growth.VARIABLES[variable]
    assert name in {field.name for field in fields(growth.Sizes)}
    assert set(quick) < set(values)
    assert len(quick) == 3
    assert list(values) == sorted(values)
    if name == "batch":
        assert max(values) < base.pool


def test_rows_name_variable_value_and_sizes(without_memory):
    rows = list(growth.value_rows("classes", SMALL, 3, 1))
    assert [row.what.partition(":")[0] for row in rows] == [
        "update", "look-ahead query, 30 candidate batches", "sequential margin query"
    ]  # fmt: skip
    for row in rows:
        assert (row.section, row.variable, row.value) == ("growth", "classes", 3)
        assert row.what.endswith(": b=4 D=5 C=3 P=30 T=20")
        assert row.other is None


def test_evaluation_points_matter_to_look_ahead_only(without_memory):
    (row,) = growth.value_rows("evaluation points", SMALL, 20, 1)
    assert row.what.startswith("look-ahead")


def test_operations_do_what_they_are_called():
    steps = growth.operations(SMALL)
    updated = steps["update"]()
    assert updated.directions.shape == (4, 6)
    assert len(set(steps["look-ahead query, 30 candidate batches"]())) == 4
    assert len(set(steps["sequential margin query"]())) == 4


def test_the_problem_on_disk_is_that_of_its_labels(tmp_path):
    large_pool.write_problem(tmp_path, 500, 6, 3)
    labels = np.load(tmp_path / "labels.npy")
    features = np.fromfile(tmp_path / "features", np.float32).reshape(500, 6)
    assert np.isfinite(features).all()
    means = np.stack([features[labels == c].mean(axis=0) for c in range(3)])
    assert np.abs(means).max() > 0.15  # the classes differ
    assert features.std() == pytest.approx(1.0, abs=0.15)


def test_chunks_do_not_change_how_many_rows_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr(large_pool, "CHUNK", 7)
    large_pool.write_problem(tmp_path, 20, 3, 2)
    assert (tmp_path / "features").stat().st_size == 4 * 20 * 3


def test_a_query_looks_at_every_candidate(tmp_path, monkeypatch):
    seen = []
    select = large_pool.Selector.select

    def watched(self, cycle, pool, model, annotate):
        seen.append((pool.candidates(), select(self, cycle, pool, model, annotate)))
        return seen[-1][1]

    monkeypatch.setattr(large_pool.Selector, "select", watched)
    large_pool.write_problem(tmp_path, 300, 6, 3)
    seconds = large_pool.query_seconds(tmp_path, 50, 6, 3, 4)
    assert len(seconds) == large_pool.REPEATS == len(seen) - 1
    for candidates, batch in seen:
        assert candidates.tolist() == list(range(large_pool.LABELLED, 250))
        assert len(set(batch)) == 4
        assert min(batch) >= large_pool.LABELLED


def test_pools_are_queried_in_processes_of_their_own():
    (row,) = large_pool.pool_rows([50], 6, 3, 4)
    assert (row.section, row.variable, row.value) == ("growth", "candidates", 50)
    assert row.ours.seconds > 0
    assert row.ours.mib > 50
    assert "whole process" in row.agreement


def test_a_process_does_not_count_the_memory_of_the_one_that_started_it():
    program = "from benchmarks.memory import peak_mib; print(peak_mib())"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert float(answer.stdout) < 100 < peak_mib()


def test_no_room_is_one_line_and_nothing_written(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(large_pool.shutil, "disk_usage", lambda _: usage(1, 1, 10 * 2**20))
    with pytest.raises(InputError, match="has 10 MiB free, a pool of 1,000,000 needs 1,464"):
        large_pool.write_problem(tmp_path, 1_000_000, 384, 10)
    assert not list(tmp_path.iterdir())


def test_a_query_that_breaks_down_is_one_line(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise subprocess.CalledProcessError(1, "python", stderr="Traceback\n  line\nMemoryError: 9")

    monkeypatch.setattr(large_pool.subprocess, "run", broken)
    with pytest.raises(
        InputError, match="a query from 10 candidates failed: MemoryError: 9"
    ) as error:
        large_pool._in_its_own_process(tmp_path, 10, 6, 3, 4, large_pool.CPU)
    assert "\n" not in str(error.value)


def test_a_query_that_the_system_kills_is_one_line(tmp_path, monkeypatch):
    def killed(*_, **__):
        raise subprocess.CalledProcessError(-9, "python", stderr="")

    monkeypatch.setattr(large_pool.subprocess, "run", killed)
    with pytest.raises(InputError, match=r"a query from 10 candidates failed: killed \(exit -9\)"):
        large_pool._in_its_own_process(tmp_path, 10, 6, 3, 4, large_pool.CPU)
