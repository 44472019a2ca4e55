"""disturbances.csv: wrong labels, outliers and repetitions among what runs acquire."""

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

import alupdate
from alupdate.data.arrays import Digits
from alupdate.report.commands import run_command
from alupdate.results.picks import COUNTED
from alupdate.results.reader import read_results
from alupdate.results.records import cycles_of, run_tables
from alupdate.results.store import RunStore
from alupdate.utils.display import Display

SMALL = ["dataset=digits", "backbone=pixels", "n_initial=20", "n_cycles=3", "subset=60",
         "batch.size=10", "training.epochs=3", "progress=false", "dataset.n_train=150",
         "strategy=random"]  # fmt: skip
ALL = {"label_noise": 0.3, "outliers": 0.3, "duplicates": 0.4}
EVERYTHING = [f"dataset.{key}={share}" for key, share in ALL.items()]


def run(folder, *arguments):
    return alupdate.run([*SMALL, *arguments, f"results_dir={folder}"])


def table_of(found):
    return pd.read_csv(found.path / "disturbances.csv")


def counted_slowly(found, truth, pictures):
    """Count cycle by cycle, two instances being one where their pictures are."""
    rows = []
    for cycle in range(4):
        queries = found.queries[found.queries["cycle"] <= cycle]
        given = dict(zip(queries["pool_index"], queries["label"], strict=True))
        labels = {index: label for index, label in given.items() if label >= 0}
        wrong = sum(label != truth[index] for index, label in labels.items())
        seen = Counter(pictures[index] for index in labels)
        again = sum(count - 1 for count in seen.values())
        rows.append([wrong, len(given) - len(labels), again])
    return rows


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("batch=sequential", "update=second_order"),
        ("dataset.label_noise_kind=confusion",),
        ("dataset.outliers=0",),
        ("dataset.outliers=0", "dataset.label_noise=0", "annotator=noisy", "annotator.ask_again=4"),
    ],
)
def test_counts_are_those_of_a_plain_loop(arguments, tmp_path):
    found = run(tmp_path, *EVERYTHING, *arguments)
    shares = {k: 0 if f"dataset.{k}=0" in arguments else share for k, share in ALL.items()}
    columns = [COUNTED[key] for key, share in shares.items() if share]
    clean = Digits(n_train=150, outliers=shares["outliers"], duplicates=ALL["duplicates"]).load(
        Path("cache"), Display(enabled=False)
    )
    pictures = [image.tobytes() for image in clean.train.rows]
    counts = counted_slowly(found, clean.train_labels, pictures)
    expected = pd.DataFrame(counts, columns=list(COUNTED.values()))[columns].to_numpy().tolist()
    table = table_of(found)
    assert list(table.columns) == ["run", "cycle", "n_labelled", "disturbance", *columns]
    assert table[columns].to_numpy().tolist() == expected
    assert (table[columns].iloc[-1] > 0).all()
    assert table["n_labelled"].tolist() == found.curve["n_labelled"].tolist()


def test_only_runs_on_such_data_have_it(tmp_path):
    for number, disturbance in enumerate(("dataset.imbalance=3", "n_cycles=2")):
        found = run(tmp_path / str(number), disturbance)
        assert not (found.path / "disturbances.csv").exists()
        assert "picks" not in (found.path / "state.json").read_text()


def test_a_run_that_was_begun_before_ends_with_all_of_its_counts(tmp_path):
    whole = run(tmp_path, *EVERYTHING)
    expected = (whole.path / "disturbances.csv").read_bytes()
    store = RunStore(whole.config)
    steps = json.loads((whole.path / "state.json").read_text())["steps"][:2]
    steps = [{key: value for key, value in step.items() if key != "picks"} for step in steps]
    with store.locked():
        store.begin({"device": "cpu"})
        store.save(steps, run_tables(store.name, whole.config, False, steps))
        store.set_state("interrupted")
    run(tmp_path, *EVERYTHING)
    assert (whole.path / "disturbances.csv").read_bytes() == expected


def test_the_reader_and_gathered_rows_have_the_columns_of_all_runs(tmp_path):
    first = run(tmp_path / "results", "dataset.outliers=0.3")
    second = run(tmp_path / "results", "dataset.duplicates=0.4")
    found = read_results(tmp_path / "results").disturbances
    target = tmp_path / "disturbances-of-all.csv"
    source = str(tmp_path / "results")
    assert run_command(["gather", source, str(target), "disturbances.csv"]) == 0
    pd.testing.assert_frame_equal(read_results(target).disturbances, found)
    assert set(found["disturbance"]) == {"outliers0.3", "duplicates0.4"}
    for one, column, other in (
        (first, "n_outliers", "n_repeated"),
        (second, "n_repeated", "n_outliers"),
    ):
        rows = found[found["run"] == one.path.name]
        assert rows[column].tolist() == table_of(one)[column].tolist()
        assert rows[other].isna().all()
        assert one.disturbances[column].tolist() == rows[column].tolist()


def test_a_state_that_counts_more_than_there_is_is_refused(tmp_path):
    found = run(tmp_path, "dataset.outliers=0.3")
    steps = json.loads((found.path / "state.json").read_text())["steps"]
    steps[1]["picks"]["n_outliers"] = 31
    with pytest.raises(ValueError, match="more picks are wrong, outliers or repeated than there"):
        cycles_of(steps)
