import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alupdate.report.page import page
from alupdate.report.summary import facts
from alupdate.results.csv_tables import KINDS, TEXT
from alupdate.results.reader import read_results
from alupdate.results.records import CURVE_COLUMNS
from alupdate.results.status import read_status
from alupdate.utils.errors import InputError
from alupdate.utils.metrics import LATER_METRICS
from tests.support.experiments import write_run, write_study

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "good"
    for strategy in ("random", "margin"):
        for seed in range(2):
            write_run(folder, seed=seed, strategy={"name": strategy})
    return folder


@pytest.fixture
def folder(good, tmp_path):
    return shutil.copytree(good, tmp_path / "experiment")


def margin_run(folder):
    return next(folder.glob("*margin*-s0-*"))


def test_finished_runs_are_in_the_tables(good):
    results = read_results(good)
    assert results.name == "good"
    assert results.timings is not None
    assert results.queries is not None
    assert results.updates is results.comparisons is results.areas is results.benchmark is None
    assert results.curves["seed"].dtype == results.queries["label"].dtype == "int64"
    assert results.curves["oracle"].dtype == bool
    assert results.curves["run"].nunique() == 4
    assert not results.missing
    assert not facts(results).missing


def test_a_single_run_is_an_experiment(good):
    run = margin_run(good)
    results = read_results(run)
    assert [found.name for found in results.runs] == [run.name]


@pytest.mark.parametrize("state", ["failed", "interrupted"])
def test_runs_that_are_not_finished_are_listed_with_their_reason(folder, state):
    path = write_run(folder, seed=7, state=state, error="OutOfMemory: too large")
    results = read_results(folder)
    assert path.name not in set(results.curves["run"])
    (missing,) = facts(results).missing
    assert (missing.run, missing.state) == (path.name, state)
    assert missing.reason == "OutOfMemory: too large"
    assert missing.updated


def reason(folder):
    (missing,) = facts(read_results(folder)).missing
    return missing.reason


def test_a_run_at_work_is_told_from_one_that_was_killed(folder):
    path = write_run(folder, seed=7, state="running")
    assert "its process is gone" in reason(folder)
    with FileLock(path / ".lock"):
        assert reason(folder) == "at work"


SWEEP = """\
run,state,failures,seconds,reason,overrides
{there},completed,0,1.0,,seed=0
one,waiting,0,,,seed=1
two,refused,0,,n_cycles: must be positive,n_cycles=-1
"""


def test_runs_that_a_sweep_has_not_started_are_listed(folder):
    (folder / "sweep.csv").write_text(SWEEP.format(there=margin_run(folder).name))
    missing = {run.run: (run.state, run.reason) for run in facts(read_results(folder)).missing}
    assert missing == {
        "one": ("waiting", "not started yet"),
        "two": ("refused", "n_cycles: must be positive"),
    }


def test_a_damaged_list_of_a_sweep_is_listed(folder):
    (folder / "sweep.csv").write_text("run,state\n")
    (missing,) = facts(read_results(folder)).missing
    assert (missing.run, missing.state) == ("sweep.csv", "damaged")
    assert missing.reason.startswith("has no column reason")


def test_repeated_failures_are_counted(folder):
    path = write_run(folder, seed=7, state="failed", error="E")
    status = json.loads((path / "status.json").read_text())
    (path / "status.json").write_text(json.dumps(status | {"failures": 3}))
    assert reason(folder) == "E (failed 3 times)"


def replaced(old, new):
    return lambda text: text.replace(old, new, 1)


DAMAGES = {
    "truncated": ("curve.csv", lambda text: text[:-4], "curve.csv: breaks off within line 4"),
    "empty": ("curve.csv", lambda text: "", "curve.csv: breaks off within line 1"),
    "no rows": ("curve.csv", lambda text: text.splitlines()[0] + "\n", "curve.csv: has no rows"),
    "no column": ("curve.csv", replaced(",nll", ",x"), "curve.csv: has no column nll"),
    "word": ("timings.csv", replaced("select,", "select,x"), "timings.csv: line 2: seconds cannot"),
    "nan": (
        "curve.csv",
        replaced(",10,0", ",10,nan,0"),
        f"curve.csv: line 2 has {len(CURVE_COLUMNS) + 1} cells, not {len(CURVE_COLUMNS)}",
    ),
    "truth": ("curve.csv", replaced("false", "perhaps"), "line 2: oracle cannot be 'perhaps'"),
    "not JSON": ("status.json", lambda text: text[:-5], "status.json cannot be parsed"),
    "a list": ("status.json", lambda text: "[]", "status.json holds no keys"),
    "state": ("status.json", replaced("completed", "perfect"), "state is perfect, not one of"),
    "not YAML": ("config.yaml", lambda text: "a: [", "config.yaml cannot be parsed"),
    "bytes": ("queries.csv", lambda text: None, "queries.csv: is no text file"),
    "lost table": ("curve.csv", None, "has neither curve.csv nor updates.csv"),
    "lost status": ("status.json", None, "status.json is missing"),
    "lost settings": ("config.yaml", None, "config.yaml is missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_listed_and_the_others_are_read(folder, damage):
    name, change, complaint = DAMAGES[damage]
    path = margin_run(folder) / name
    if change is None:
        path.unlink()
    elif (text := change(path.read_text())) is None:
        path.write_bytes(b"\xff\xfe\x00")
    else:
        path.write_text(text)
    results = read_results(folder)
    (missing,) = results.missing
    assert (missing.run, missing.state) == (path.parent.name, "damaged")
    assert complaint in missing.reason
    assert str(folder) not in missing.reason
    assert results.notes() == [f"left out {path.parent.name} (damaged): {missing.reason}"]
    assert results.curves["run"].nunique() == 3
    assert facts(results).missing[0].state == "damaged"


def test_a_copy_of_a_run_counts_once(folder):
    run = margin_run(folder)
    shutil.copytree(run, folder / "zz-copy")
    results = read_results(folder)
    assert results.curves["run"].nunique() == 4
    (missing,) = results.missing
    assert missing.run == "zz-copy"
    assert run.name in missing.reason


def test_runs_that_differ_in_a_setting_are_told_apart(folder):
    for n_batches in (3, 300):
        for seed in range(2):
            lookahead = {"name": "lookahead", "n_batches": n_batches}
            write_run(folder, seed=seed, strategy=lookahead, oracle="an oracle")
    names = set(read_results(folder).curves["strategy"])
    assert names == {"random", "margin", "lookahead (n_batches=3)", "lookahead (n_batches=300)"}


def test_runs_that_differ_in_where_data_lie_are_not(tmp_path):
    for seed in range(2):
        write_run(tmp_path, seed=seed, dataset={"name": "mnist5k"})
    path = next(tmp_path.glob("*s1*")) / "config.yaml"
    path.write_text(path.read_text().replace("name: mnist5k", "name: mnist5k\n  root: /elsewhere"))
    assert set(read_results(tmp_path).curves["strategy"]) == {"random"}


def test_a_setting_that_an_earlier_version_lacked_is_no_difference(folder):
    path = margin_run(folder) / "config.yaml"
    path.write_text(path.read_text().replace("  n_train: null\n", ""))
    names = set(read_results(folder).curves["strategy"])
    assert names == {"random", "margin"}


def test_a_diverged_run_is_not_damaged(folder):
    path = margin_run(folder) / "curve.csv"
    header, *rows = path.read_text().splitlines()
    broken = [",".join([*row.split(",")[:10], "nan", *row.split(",")[11:]]) for row in rows]
    path.write_text("\n".join([header, *broken]) + "\n")
    results = read_results(folder)
    assert not results.missing
    assert results.curves["nll"].isna().sum() == 3


def test_runs_that_end_earlier_are_named(folder):
    path = write_run(folder, seed=5, cycles=2)
    (missing,) = facts(read_results(folder)).missing
    assert (missing.run, missing.state) == (path.name, "shorter")
    assert "cycle 1" in missing.reason


def test_a_folder_may_hold_both_kinds_of_runs(folder):
    write_study(folder)
    results = read_results(folder)
    assert results.curves is not None
    assert results.updates["gamma"].isna().any()


def test_a_place_that_is_not_there_is_wrong_input(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        read_results(tmp_path / "nowhere")


def test_a_folder_without_runs_is_wrong_input(tmp_path):
    with pytest.raises(InputError, match="holds no runs"):
        read_results(tmp_path)


def gathered(folder, path, kind="curves"):
    getattr(read_results(folder), kind).to_csv(path, index=False, lineterminator="\n")
    return path


def kinds(results):
    return {kind for kind in KINDS if getattr(results, kind) is not None}


def test_a_file_of_gathered_runs_has_tables_only(good, tmp_path):
    results = read_results(gathered(good, tmp_path / "all.csv"))
    assert results.name == "all"
    assert not results.runs
    assert len(results.curves) == 4 * 3
    assert not facts(results).has_runs


@pytest.mark.parametrize("kind", ["curves", "updates", "timings", "queries", "comparisons"])
def test_gathered_rows_are_what_they_were(kind, tmp_path):
    write_run(tmp_path / "study", compare=True)
    write_study(tmp_path / "study")
    again = read_results(gathered(tmp_path / "study", tmp_path / "all.csv", kind))
    assert kinds(again) == {kind}
    before = getattr(read_results(tmp_path / "study"), kind)
    pd.testing.assert_frame_equal(getattr(again, kind), before)


REFERENCE = {
    "strategies-digits": "curves",
    "gap-closed-exact": "updates",
    "strategy-areas": "areas",
    "benchmark": "benchmark",
}


@pytest.mark.parametrize("name", REFERENCE)
def test_the_committed_tables_are_read_as_pandas_reads_them(name):
    path = ROOT / "results" / "reference" / f"{name}.csv"
    results = read_results(path)
    assert kinds(results) == {REFERENCE[name]}
    table, plain = getattr(results, REFERENCE[name]), pd.read_csv(path)
    assert len(table) == len(plain)
    for column in table:
        if column in LATER_METRICS and column not in plain:
            assert table[column].isna().all()
            continue
        expected = plain[
            "experiment" if (name, column) == ("strategy-areas", "dataset") else column
        ]
        if column in TEXT:
            assert table[column].to_list() == expected.fillna("").to_list()
        else:
            assert table[column].to_list() == pytest.approx(expected.to_list(), nan_ok=True)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: text[:-2], "breaks off within line 13"),
        (replaced(",nll", ",x"), "has no column nll"),
        (replaced("run,dataset", "run,run"), "has two columns run"),
        (lambda text: "a,b\n1,2\n", "is no table of results"),
        (lambda text: "\n", "is no table of results"),
        (lambda text: "", "breaks off within line 1"),
        (replaced(",0,10,", ",half,10,"), "line 2: cycle cannot be 'half'"),
        (replaced(",0,10,", ",0.5,10,"), "line 2: cycle cannot be '0.5'"),
        (replaced(",0,10,", ",0,1_0,"), "line 2: n_labelled cannot be '1_0'"),
    ],
)
def test_a_damaged_gathered_file_is_wrong_input(good, tmp_path, change, complaint):
    path = gathered(good, tmp_path / "all.csv")
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=complaint) as caught:
        read_results(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_a_spreadsheet_wrote_is_read(good, tmp_path):
    path = gathered(good, tmp_path / "all.csv")
    text = path.read_text().replace(",0,10,", ",0.0,10.0,").replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    pd.testing.assert_frame_equal(read_results(path).curves, read_results(good).curves)


@pytest.mark.parametrize("label", ["NA", "null", "007", "1e3", "True", "nan", "-", "a b"])
def test_a_label_stays_the_text_that_it_is(label, tmp_path):
    write_run(tmp_path / "odd", strategy={"name": "margin", "label": label})
    results = read_results(tmp_path / "odd")
    assert set(results.curves["strategy"]) == {label}
    again = read_results(gathered(tmp_path / "odd", tmp_path / "all.csv"))
    assert set(again.curves["strategy"]) == {label}


def test_links_to_runs_are_followed(good, tmp_path):
    folder = tmp_path / "linked"
    folder.mkdir()
    for run in good.iterdir():
        (folder / run.name).symlink_to(run)
    (folder / "again").symlink_to(good)  # the same runs: each counts once
    results = read_results(folder)
    assert not results.missing
    pd.testing.assert_frame_equal(results.curves, read_results(good).curves)


def test_a_link_to_a_folder_around_it_is_refused(folder, tmp_path):
    write_run(tmp_path / "elsewhere")
    (folder / "loop").symlink_to(tmp_path)
    (folder / "itself").symlink_to(folder / "itself")
    results = read_results(folder)
    assert results.curves["run"].nunique() == 4
    (missing,) = results.missing
    assert (missing.run, missing.reason) == ("loop", "is a link to a folder around it")


def test_copies_that_mlflow_keeps_are_skipped(folder):
    shutil.copytree(margin_run(folder), folder / "mlflow-artifacts" / "1" / "artifacts")
    assert not read_results(folder).missing


def changed(folder, **keys):
    path = margin_run(folder) / "status.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


@pytest.mark.parametrize(
    "keys",
    [
        {"started": "2026-11-27T10:00:00"},
        {"started": "0001-01-01T00:00:00+05:00", "updated": "9999-12-31T23:59:59-05:00"},
        {"started": ["yesterday"], "updated": 7, "failures": "often", "oracle": {"a": 1}},
        {"host": "\ud800", "error": "\ud800", "\ud800": {"\ud800": None}},
    ],
)
def test_odd_values_of_a_status_are_no_damage(keys, folder):
    changed(folder, **keys)
    results = read_results(folder)
    assert not results.missing
    assert read_status(margin_run(folder)).seconds != 0
    page(results).encode()


DEEP = 100_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("status.json", '{"state": "completed", "a": ' + "[" * DEEP + "]" * DEEP + "}"),
        ("config.yaml", "[" * DEEP),
        ("config.yaml", "a: &a\n  b: *a\n"),
        ("config.yaml", "a: &a\n- *a\n"),
        ("config.yaml", "a:\n- ? [1, 2]\n  : 3\n"),
    ],
)
def test_a_file_that_cannot_be_taken_apart_is_damaged(name, text, folder):
    (margin_run(folder) / name).write_text(text)
    results = read_results(folder)
    assert [missing.state for missing in results.missing] == ["damaged"]
    assert results.missing[0].reason.startswith(name)
    assert len(results.missing[0].reason) < 1000
    assert read_status(margin_run(folder)).state in (None, "completed")


def test_dates_in_settings_are_text(folder):
    path = margin_run(folder) / "config.yaml"
    path.write_text(path.read_text() + "made: 2026-11-27\n")
    assert {run.settings.get("made") for run in read_results(folder).runs} == {None, "2026-11-27"}


FILES = ("status.json", "config.yaml", "curve.csv", "timings.csv", "sweep.csv")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FILES), st.integers(0, 2000), st.binary(max_size=5), st.integers(0, 20))
def test_whatever_is_in_one_file_the_others_are_read(folder, name, place, inserted, dropped):
    run = margin_run(folder)
    path = (folder if name == "sweep.csv" else run) / name
    whole = path.read_bytes() if path.exists() else SWEEP.encode()
    path.write_bytes(whole[:place] + inserted + whole[place + dropped :])
    try:
        results = read_results(folder)
        others = set(results.curves["run"]) - {run.name}
        assert len(others) >= 3
        results.notes()
        page(results)
    except InputError as error:
        assert "differ only in settings" in str(error)  # noqa: PT017 a changed name is a duplicate
    finally:
        path.write_bytes(whole)


def test_nothing_to_show_is_wrong_input(tmp_path):
    write_run(tmp_path / "early", state="failed", error="E")
    with pytest.raises(InputError, match="early: no run is completed yet"):
        read_results(tmp_path / "early").require("accuracy")


def test_an_unknown_metric_is_wrong_input(good):
    read_results(good).require("nll")
    with pytest.raises(InputError, match="metric loss: is not known"):
        read_results(good).require("loss")


def with_digests(run, **digests):
    path = run / "status.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sha256": digests}))


def test_data_that_changed_between_runs_are_told_apart(folder):
    for run in folder.glob("*-s0-*"):
        with_digests(run, dataset="a" * 64)
    for run in folder.glob("*-s1-*"):
        with_digests(run, dataset="b" * 64)
    results = read_results(folder)
    names = {"digits (data aaaaaaaa)", "digits (data bbbbbbbb)"}
    assert set(results.curves["dataset"]) == names
    assert results.curves.groupby(["dataset", "strategy"])["seed"].nunique().eq(1).all()
    (line,) = results.notes()
    assert line.startswith("dataset digits: its data changed between runs (aaaaaaaa, bbb")


def test_strategies_on_changed_data_are_no_pair(folder):
    for run in folder.glob("*random*"):
        with_digests(run, dataset="a" * 64)
    for run in folder.glob("*margin*"):
        with_digests(run, dataset="b" * 64)
    curves = read_results(folder).curves
    assert curves.groupby("dataset")["strategy"].nunique().tolist() == [1, 1]


def test_changed_weights_are_told_apart(folder):
    for place, run in enumerate(sorted(folder.glob("*-s?-*"))):
        with_digests(run, dataset="a" * 64, weights=f"{place % 2}" * 64)
    results = read_results(folder)
    assert set(results.curves["dataset"]) == {"digits"}
    assert len(results.curves["backbone"].unique()) == 2
    assert "its weights changed" in results.notes()[0]


def test_the_same_data_are_one_data_set(folder):
    for run in folder.glob("*-s?-*"):
        with_digests(run, dataset="a" * 64)
    results = read_results(folder)
    assert set(results.curves["dataset"]) == {"digits"}
    assert results.notes() == []


def test_updates_on_changed_data_are_told_apart(tmp_path):
    for seed in range(2):
        with_digests(write_study(tmp_path, seed=seed), dataset=f"{seed}" * 64)
    assert read_results(tmp_path).updates["dataset"].nunique() == 2


def test_changed_files_of_a_strategy_are_told_apart(folder):
    for place, run in enumerate(sorted(folder.glob("*margin*"))):
        with_digests(run, **{"mine.py": f"{place}" * 64, "helper.py": "c" * 64})
    results = read_results(folder)
    strategies = sorted(results.curves["strategy"].unique())
    assert [name.split(" (files ")[0] for name in strategies] == ["margin", "margin", "random"]
    assert "strategy margin: its files changed" in results.notes()[0]
