"""Runs that are watched by stopping rules, ended by one, and resumed."""

import json
import shutil

import pandas as pd
import pytest

import alupdate
from alupdate.config.compose import compose_config
from alupdate.results.reader import read_results
from alupdate.results.records import cycles_of
from alupdate.results.stopping import check_stops
from alupdate.stopping.verdicts import StoppingRules
from alupdate.sweep.status import overview
from tests.support.runs import SMALL, only_run, run_small

LOOSE = ("stop.kappa.threshold=0.5", "stop.kappa.window=2", "stop.size=100")
KAPPA = ("stop=kappa", "stop.threshold=0.5", "stop.window=2", "stop.size=100")
LONG = ("n_cycles=6", "training.epochs=60", "strategy=random")
FILES = ("curve.csv", "queries.csv", "stopping.csv")


def run(tmp_path, *more):
    small = [*SMALL, "dataset=digits", "backbone=pixels", "progress=false"]
    chosen = {argument.split("=")[0] for argument in (*LONG, *more)}
    kept = [given for given in small if given.split("=")[0] not in chosen]
    return alupdate.run([*kept, *LONG, f"results_dir={tmp_path / 'results'}", *more])


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    return run(tmp_path_factory.mktemp("watched"), "stop=watch", *LOOSE)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    return run(tmp_path_factory.mktemp("stopped"), *KAPPA)


def without_run(table):
    return table.drop(columns=["run"])


def test_nothing_is_recorded_without_a_rule_and_watching_changes_no_curve(watched, tmp_path):
    plain = run(tmp_path)
    assert not (plain.path / "stopping.csv").exists()
    assert "stopping" not in (plain.path / "state.json").read_text()
    pd.testing.assert_frame_equal(without_run(plain.curve), without_run(watched.curve))
    verdicts = watched.stopping
    assert len(verdicts) == 7 * 4
    assert not verdicts["ended"].any()
    assert verdicts["value"].isna().sum() == 2  # kappa and change in the first cycle
    assert set(watched.timings["phase"]) == set(plain.timings["phase"]) | {"stop"}
    merged = verdicts.merge(watched.curve, on=["cycle", "n_labelled"])
    assert (merged["accuracy_x"] == merged["accuracy_y"]).all()


def test_a_rule_ends_a_run_where_it_would_have_ended_the_watched_one(watched, stopped):
    verdicts = watched.stopping.query("rule == 'kappa'")
    last = verdicts[verdicts["stop"]]["cycle"].iloc[0]
    assert 1 < last < 6
    assert stopped.curve["cycle"].iloc[-1] == last
    beginning = watched.curve[watched.curve["cycle"] <= last]
    pd.testing.assert_frame_equal(without_run(beginning), without_run(stopped.curve))
    assert stopped.stopping["ended"].tolist() == [False] * last + [True]
    assert stopped.stopping["value"].tolist()[1:] == verdicts["value"].tolist()[1 : last + 1]
    note = f"stopped by kappa after {10 + 3 * last} labels, cycle {last} of 6"
    assert note in (stopped.path / "run.log").read_text()


def test_a_stopped_run_is_complete(stopped):
    before = {path.name: path.stat().st_mtime_ns for path in stopped.path.iterdir()}
    config = stopped.config
    assert alupdate.run(config).path == stopped.path
    assert {path.name: path.stat().st_mtime_ns for path in stopped.path.iterdir()} == before
    (row,) = overview(stopped.path.parent).rows
    assert row.state == "completed"
    (damaged := stopped.path / "stopping.csv").write_text("run\n")
    alupdate.run(config)
    assert "kappa" in damaged.read_text()


def test_more_cycles_are_another_run_that_ends_at_the_same_one(stopped, tmp_path):
    longer = run(tmp_path, *KAPPA, "n_cycles=8")
    assert longer.path.name != stopped.path.name
    assert longer.curve["cycle"].max() == stopped.curve["cycle"].max()


@pytest.mark.parametrize("learning", [(), ("update=second_order", "update.gamma=1")])
@pytest.mark.parametrize("rules", [("stop=watch", *LOOSE), KAPPA], ids=["watched", "stopped"])
def test_a_resumed_run_is_the_same_byte_for_byte(rules, learning, tmp_path):
    whole = run(tmp_path, *rules, *learning)
    wanted = {name: (whole.path / name).read_bytes() for name in FILES}
    kept = json.loads((whole.path / "state.json").read_text())
    from alupdate.results.store import _checksum

    kept["steps"] = kept["steps"][:2]
    kept["sha256"] = _checksum(whole.path.name, kept["steps"])
    shutil.rmtree(whole.path)
    whole.path.mkdir()
    (whole.path / "state.json").write_text(json.dumps(kept))
    resumed = run(tmp_path, *rules, *learning)
    assert {name: (resumed.path / name).read_bytes() for name in FILES} == wanted


def test_the_first_of_several_rules_ends_a_run(tmp_path):
    rules = "stop.rules=[overall_uncertainty,classification_change]"
    ended = run(tmp_path, "stop=any", rules, "stop.overall_uncertainty.threshold=1.0", "n_cycles=2")
    assert ended.curve["cycle"].tolist() == [0]
    assert ended.stopping[ended.stopping["ended"]]["rule"].tolist() == ["overall_uncertainty"]


def test_a_model_is_kept_of_a_stopped_run_and_not_made_again(tmp_path):
    first = run(tmp_path, *KAPPA, "keep_model=true")
    model = first.path / "model.safetensors"
    made = model.stat().st_mtime_ns
    run(tmp_path, *KAPPA, "keep_model=true")
    assert model.stat().st_mtime_ns == made
    assert alupdate.load_model(first.path).facts.n_labelled == first.curve["n_labelled"].max()


def test_a_pool_that_is_used_up(tmp_path):
    used = run(
        tmp_path, "stop=watch", "dataset.n_train=30", "n_initial=10", "n_cycles=2", "batch.size=10",
        "subset=null",
    )  # fmt: skip
    last = used.stopping.query("cycle == 2").set_index("rule")
    assert last.loc[["classification_change", "overall_uncertainty"], "value"].isna().all()
    assert not last.loc["classification_change", "stop"]
    assert last.loc[["kappa", "accuracy_plateau"], "value"].notna().all()


def test_the_stop_set_is_the_same_for_all_strategies_and_differs_by_seed():
    import numpy as np

    config = compose_config(["dataset=digits", "backbone=pixels", "stop=kappa", "stop.size=20"])
    sets = [
        StoppingRules(config.stop, seed, np.arange(100)).stop_set.tolist() for seed in (0, 0, 1)
    ]
    assert sets[0] == sets[1] != sets[2]
    assert len(set(sets[0])) == 20
    everything = compose_config(
        ["dataset=digits", "backbone=pixels", "stop=kappa", "stop.size=null"]
    )
    assert len(StoppingRules(everything.stop, 0, np.arange(100)).stop_set) == 100


def test_a_state_that_goes_on_after_its_end_is_no_run(stopped, watched):
    steps = json.loads((watched.path / "state.json").read_text())["steps"]
    for step in steps:
        step["stopping"] = [v for v in step["stopping"] if v["rule"] == "kappa"]
    verdicts = [record.stopping for record in cycles_of(steps)]
    with pytest.raises(ValueError, match="comes after the end of the run"):
        check_stops(stopped.config, verdicts)
    with pytest.raises(ValueError, match="not one verdict for each"):
        check_stops(watched.config, verdicts)


def test_watched_rules_are_tracked(watched):
    from alupdate.trackers.tracker import points_of

    steps = json.loads((watched.path / "state.json").read_text())["steps"]
    values = points_of(steps)[2].values
    assert {key for key in values if key.startswith("stopping/")} == {
        f"stopping/{rule}" for rule in watched.config.stop.used
    }


def test_runs_that_differ_in_the_rule_have_names_of_their_own(monkeypatch, tmp_path):
    more = ("seed=0,1", "n_cycles=1", "progress=false")
    assert run_small(monkeypatch, tmp_path, "-m", "stop=none,watch", *more) == 0
    results = read_results(tmp_path / "results")
    names = ["margin (stop.name=null)", "margin (stop.name=watch)"]
    assert sorted(results.curves["strategy"].unique()) == names
    assert results.stopping["strategy"].unique().tolist() == names[1:]


@pytest.mark.filterwarnings("ignore")  # Optuna 2 uses what SQLAlchemy 2 has renamed
def test_a_search_refuses_runs_of_unequal_length(monkeypatch, tmp_path, capsys):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    search = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", "hydra.sweeper.n_jobs=1")
    assert run_small(monkeypatch, tmp_path, *search, "stop=kappa", "seed=choice(0,1)") == 2
    assert "a search compares areas over the same labels" in capsys.readouterr().err
    assert not list((tmp_path / "results").glob("*/*/curve.csv"))


def test_the_command_says_what_stopped_it(monkeypatch, tmp_path, capsys):
    assert run_small(monkeypatch, tmp_path, "stop=overall_uncertainty", "stop.threshold=1.0") == 0
    assert "stopped by overall_uncertainty after 10 labels, cycle 0 of 2" in capsys.readouterr().err
    assert (only_run(tmp_path) / "stopping.csv").is_file()
