import json
import shutil

import pytest
from filelock import FileLock

from alupdate.report.page import facts
from alupdate.results.experiment import read_experiment
from alupdate.utils.errors import InputError
from tests.support.experiments import write_run, write_study


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
    experiment = read_experiment(good)
    assert experiment.name == "good"
    assert set(experiment.tables) == {"curve.csv", "timings.csv", "queries.csv"}
    assert experiment.tables["curve.csv"]["run"].nunique() == 4
    assert not experiment.damaged
    assert not facts(experiment).missing


def test_a_single_run_is_an_experiment(good):
    run = margin_run(good)
    experiment = read_experiment(run)
    assert [found.name for found in experiment.runs] == [run.name]


@pytest.mark.parametrize("state", ["failed", "interrupted"])
def test_runs_that_are_not_finished_are_listed_with_their_reason(folder, state):
    path = write_run(folder, seed=7, state=state, error="OutOfMemory: too large")
    experiment = read_experiment(folder)
    assert path.name not in set(experiment.tables["curve.csv"]["run"])
    (missing,) = facts(experiment).missing
    assert (missing.run, missing.state) == (path.name, state)
    assert missing.reason == "OutOfMemory: too large"
    assert missing.updated


def reason(folder):
    (missing,) = facts(read_experiment(folder)).missing
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
    missing = {run.run: (run.state, run.reason) for run in facts(read_experiment(folder)).missing}
    assert missing == {
        "one": ("waiting", "not started yet"),
        "two": ("refused", "n_cycles: must be positive"),
    }


def test_a_damaged_list_of_a_sweep_is_listed(folder):
    (folder / "sweep.csv").write_text("run,state\n")
    (missing,) = facts(read_experiment(folder)).missing
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
    "nan": ("curve.csv", replaced(",10,0", ",10,nan,0"), "curve.csv: line 2 has 16 cells, not 15"),
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
    experiment = read_experiment(folder)
    assert list(experiment.damaged) == [path.parent.name]
    assert complaint in experiment.damaged[path.parent.name]
    assert str(folder) not in experiment.damaged[path.parent.name]
    assert experiment.tables["curve.csv"]["run"].nunique() == 3
    assert facts(experiment).missing[0].state == "damaged"


def test_a_copy_of_a_run_counts_once(folder):
    run = margin_run(folder)
    shutil.copytree(run, folder / "zz-copy")
    experiment = read_experiment(folder)
    assert experiment.tables["curve.csv"]["run"].nunique() == 4
    assert run.name in experiment.damaged["zz-copy"]


def test_runs_that_differ_in_a_setting_are_told_apart(folder):
    for n_batches in (3, 300):
        for seed in range(2):
            lookahead = {"name": "lookahead", "n_batches": n_batches}
            write_run(folder, seed=seed, strategy=lookahead, oracle="an oracle")
    names = set(read_experiment(folder).tables["curve.csv"]["strategy"])
    assert names == {"random", "margin", "lookahead (n_batches=3)", "lookahead (n_batches=300)"}


def test_runs_that_differ_in_where_data_lie_are_not(tmp_path):
    for seed in range(2):
        write_run(tmp_path, seed=seed, dataset={"name": "mnist5k"})
    path = next(tmp_path.glob("*s1*")) / "config.yaml"
    path.write_text(path.read_text().replace("name: mnist5k", "name: mnist5k\n  root: /elsewhere"))
    assert set(read_experiment(tmp_path).tables["curve.csv"]["strategy"]) == {"random"}


def test_a_setting_that_an_earlier_version_lacked_is_no_difference(folder):
    path = margin_run(folder) / "config.yaml"
    path.write_text(path.read_text().replace("  n_train: null\n", ""))
    names = set(read_experiment(folder).tables["curve.csv"]["strategy"])
    assert names == {"random", "margin"}


def test_a_diverged_run_is_not_damaged(folder):
    path = margin_run(folder) / "curve.csv"
    header, *rows = path.read_text().splitlines()
    broken = [",".join([*row.split(",")[:10], "nan", *row.split(",")[11:]]) for row in rows]
    path.write_text("\n".join([header, *broken]) + "\n")
    experiment = read_experiment(folder)
    assert not experiment.damaged
    assert experiment.tables["curve.csv"]["nll"].isna().sum() == 3


def test_runs_that_end_earlier_are_named(folder):
    path = write_run(folder, seed=5, cycles=2)
    (missing,) = facts(read_experiment(folder)).missing
    assert (missing.run, missing.state) == (path.name, "shorter")
    assert "cycle 1" in missing.reason


def test_a_folder_may_hold_both_kinds_of_runs(folder):
    write_study(folder)
    tables = read_experiment(folder).tables
    assert {"curve.csv", "updates.csv"} <= set(tables)
    assert tables["updates.csv"]["gamma"].isna().any()


def test_a_place_that_is_not_there_is_wrong_input(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        read_experiment(tmp_path / "nowhere")


def test_a_folder_without_runs_is_wrong_input(tmp_path):
    with pytest.raises(InputError, match="holds no runs"):
        read_experiment(tmp_path)


def gathered(folder, path, name="curve.csv"):
    read_experiment(folder).tables[name].to_csv(path, index=False, lineterminator="\n")
    return path


def test_a_file_of_gathered_runs_has_tables_only(good, tmp_path):
    experiment = read_experiment(gathered(good, tmp_path / "all.csv"))
    assert experiment.name == "all"
    assert not experiment.runs
    assert len(experiment.tables["curve.csv"]) == 4 * 3
    assert not facts(experiment).has_runs


def test_a_gathered_updating_study_has_tables_only(tmp_path):
    write_study(tmp_path / "study")
    path = gathered(tmp_path / "study", tmp_path / "all.csv", "updates.csv")
    assert list(read_experiment(path).tables) == ["updates.csv"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: text[:-2], "breaks off within line 13"),
        (replaced(",nll", ",x"), "has no column nll"),
        (lambda text: "a,b\n1,2\n", "is no file of gathered"),
    ],
)
def test_a_damaged_gathered_file_is_wrong_input(good, tmp_path, change, complaint):
    path = gathered(good, tmp_path / "all.csv")
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=complaint) as caught:
        read_experiment(path)
    assert str(path) in str(caught.value)
