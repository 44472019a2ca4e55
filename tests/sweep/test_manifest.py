"""sweep.csv holds every run, whoever writes it, and is read again or is an error of one line."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alupdate.results.status import read_status, run_state
from alupdate.sweep.status import (
    MANIFEST,
    ManifestRow,
    current_row,
    read_manifest,
    variant,
    write_manifest,
)
from alupdate.utils.errors import InputError


def row(run="a-s0-1", state="failed", reason=""):
    return ManifestRow(run, state, 2, "1.5", reason, "seed=0 strategy=margin")


@given(reason=st.text(st.characters(codec="utf-8", exclude_characters="\r\0")))
def test_rows_are_read_as_written(reason, tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment")
    rows = [row(reason=reason), row(run="b, with a comma-s1-2")]
    write_manifest(folder, rows)
    assert read_manifest(folder) == rows


def test_later_rows_take_the_place_of_earlier_ones(tmp_path):
    write_manifest(tmp_path, [row("a"), row("b")])
    write_manifest(tmp_path, [row("b", "completed"), row("c")])
    assert [(r.run, r.state) for r in read_manifest(tmp_path)] == [
        ("a", "failed"), ("b", "completed"), ("c", "failed"),
    ]  # fmt: skip


def test_sweeps_that_write_at_once_lose_nothing(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: write_manifest(tmp_path, [row(f"run{i}")]), range(40)))
    assert {r.run for r in read_manifest(tmp_path)} == {f"run{i}" for i in range(40)}


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda text: "", "row 1: must be run,state"),
        (lambda text: text[:-40], "row 2: is damaged"),
        (lambda text: text.replace(",2,", ",two,"), "row 2: is damaged"),
        (lambda text: text.replace("seed=", "'seed="), "row 2: is damaged"),
        (lambda text: "x" + text, "row 1: must be run,state"),
    ],
)
def test_a_damaged_manifest_is_one_line_and_is_written_again(damage, complaint, tmp_path):
    write_manifest(tmp_path, [row()])
    path = tmp_path / MANIFEST
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match=complaint):
        read_manifest(tmp_path)
    write_manifest(tmp_path, [row("new")])
    assert [r.run for r in read_manifest(tmp_path)] == ["new"]


def test_a_missing_manifest_is_one_line(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_manifest(tmp_path)


def test_a_running_run_without_a_process_is_interrupted(tmp_path):
    (tmp_path / "status.json").write_text(json.dumps({"state": "running", "failures": 1}))
    assert run_state(tmp_path, read_status(tmp_path))[0] == "interrupted"


def test_wrong_input_counts_until_the_run_is_complete(tmp_path):
    assert current_row(tmp_path, ["seed=1"], "no data").state == "invalid"
    (tmp_path / "status.json").write_text(json.dumps({"state": "completed"}))
    assert current_row(tmp_path, ["seed=1"], "no data").state == "completed"


def test_variants_leave_out_seed_and_hash():
    assert variant("digits-pixels-margin-top_b-retrain-s12-0a1b2c3d") == (
        "digits-pixels-margin-top_b-retrain"
    )
