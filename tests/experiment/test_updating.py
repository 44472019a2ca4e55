"""The comparison of updates with retraining, on digits."""

import numpy as np
import pandas as pd
import pytest

from alupdate.results.records import UPDATE_COLUMNS
from tests.support.runs import only_run, run_small

STUDY = ("task=updating", "task.initial_sizes=[20,40]", "task.new_sizes=[1,5]")
METHODS = (
    "task.methods=[{update: first_order, gammas: [0.01]}, {update: second_order, gammas: [1, 10]},"
    "{update: monte_carlo, gammas: [1]},"
    "{update: map, gammas: [1, auto], likelihood: per_class, prior_precision: 0.3}]"
)


def study(monkeypatch, folder, *arguments, pictures=False):
    folder.mkdir(exist_ok=True)
    options = (*STUDY, METHODS, "update.n_hypotheses=200", "progress=false", "training.epochs=40")
    chosen = {option.split("=")[0]: option for option in (*options, *arguments)}
    assert run_small(monkeypatch, folder, *chosen.values(), pictures=pictures) == 0
    return records(folder)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of a finished study, for the tests that only read it."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        study(patch, folder, pictures=True)
    return folder


def records(folder):
    return pd.read_csv(only_run(folder) / "updates.csv")


def without_times(table):
    return table.drop(columns=["run", "seconds", "speedup", "choice_seconds"])


def test_rows_and_columns(done):
    table = records(done)
    assert tuple(table.columns) == UPDATE_COLUMNS
    per_cell = table.groupby(["n_initial", "n_new"])["method"].agg(list)
    assert len(per_cell) == 4
    for methods in per_cell:
        assert methods == [
            "base", "retrain", "retrain_lbfgs", "first_order", "second_order", "second_order",
            "monte_carlo", "map", "map",
        ]  # fmt: skip
    assert set(table.loc[table["tempered_ece"].isna(), "method"]) == {"monte_carlo"}
    assert set(table["step_size"].dropna()) == {"fixed", "auto"}
    auto = table[table["step_size"] == "auto"]
    assert auto["gamma"].between(0.1, 100).all()
    assert (auto["choice_seconds"] > 0).all()
    assert (only_run(done) / "updates.png").stat().st_size > 10_000


def test_base_is_compared_with_itself_and_the_retrained_model(done):
    table = records(done)
    base = table[table["method"] == "base"]
    assert (base["decision_flips"] == 0).all()
    assert base.groupby("n_initial")["accuracy"].nunique().tolist() == [1, 1]
    retrain = table[table["method"] == "retrain"]
    assert (retrain["agreement"] == 1).all()
    assert (retrain["speedup"] == 1).all()
    updates = table[table["step_size"] == "fixed"]
    ratio = retrain["seconds"].iloc[0] / updates["seconds"].iloc[0]
    assert updates["speedup"].iloc[0] == pytest.approx(ratio, rel=1e-6)


def test_updates_come_closer_to_retraining_than_the_base(monkeypatch, tmp_path):
    table = study(monkeypatch, tmp_path, "task.new_sizes=[30]", "training.epochs=200")
    means = table.groupby("method")["accuracy"].mean()
    assert means["base"] < means["map"] <= means["retrain_lbfgs"] + 0.05
    assert means["retrain"] > means["base"]


def test_larger_label_sets_contain_the_smaller(monkeypatch, tmp_path, done):
    first = records(done)
    fewer = study(monkeypatch, tmp_path / "fewer", "task.initial_sizes=[20]", "task.new_sizes=[5]")
    same = first[(first["n_initial"] == 20) & (first["n_new"] == 5)].reset_index(drop=True)
    pd.testing.assert_frame_equal(without_times(fewer), without_times(same), check_dtype=False)


def test_an_interrupted_study_resumes_at_the_last_initial_size(monkeypatch, tmp_path, done):
    """And finds again what a study without a break has found."""
    from alupdate.experiment.updating import Updating

    whole = records(done)
    original = Updating._records

    def interrupted(self, n_initial):
        if n_initial == 40:
            raise KeyboardInterrupt
        return original(self, n_initial)

    folder = tmp_path / "cut"
    folder.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(Updating, "_records", interrupted)
        options = (*STUDY, METHODS, "update.n_hypotheses=200", "training.epochs=40")
        assert run_small(patch, folder, *options) == 130
    kept = pd.read_csv(only_run(folder) / "updates.csv")
    assert set(kept["n_initial"]) == {20}
    resumed = study(monkeypatch, folder)
    pd.testing.assert_frame_equal(without_times(resumed), without_times(whole))
    half = len(kept)
    np.testing.assert_array_equal(resumed["seconds"][:half], kept["seconds"])


def test_a_network_trained_end_to_end(monkeypatch, tmp_path):
    table = study(monkeypatch, tmp_path, "backbone=cnn", "task.initial_sizes=[20]")
    assert "retrain_lbfgs" not in set(table["method"])
    assert table["tempered_ece"].isna().all()
    assert len(table) == 2 * 8
