"""forecast.csv of runs on digits: same curves, resumed alike, held-out labels never trained on."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from alupdate.config.compose import compose_config
from alupdate.data.pool import Annotator, Pool
from alupdate.experiment import active_learning
from alupdate.experiment.forecasting import Forecaster
from alupdate.laplace.names import GAUSSIAN
from alupdate.laplace.posterior import fit_posterior
from alupdate.models.learner import Model
from alupdate.results.reader import read_results
from alupdate.results.records import CycleRecord, cycles_of
from alupdate.utils.errors import InputError
from alupdate.utils.seeds import Stream, generator
from tests.support.runs import only_run, run_small
from tests.support.wrong_commands import WRONG

POOL = 45
"""The 25 labels of a run, and the 20 that are held out."""
OFF = ("n_cycles=5", "training.epochs=40", f"dataset.n_train={POOL}", "progress=false")
ON = ("forecast=expected", "forecast.ahead=[3,6]", *OFF)


def steps_of(run):
    return json.loads((run / "state.json").read_text())["steps"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same run without a forecast, with one, with one that was interrupted, with a holdout."""
    folder, found = tmp_path_factory.mktemp("forecasts"), {}
    with pytest.MonkeyPatch.context() as patch:
        for name, arguments in (
            ("none", OFF),
            ("on", ON),
            ("holdout", (*ON, "forecast.holdout=20")),
        ):
            (folder / name).mkdir()
            assert run_small(patch, folder / name, *arguments) == 0
            found[name] = only_run(folder / name)
        (folder / "resumed").mkdir()
        with patch.context() as stopped:
            stopped.setattr(active_learning.ActiveLearning, "_cycle", _stopping_after(4))
            assert run_small(stopped, folder / "resumed", *ON) != 0
        assert len(steps_of(only_run(folder / "resumed"))) == 4
        assert run_small(patch, folder / "resumed", *ON) == 0
        found["resumed"] = only_run(folder / "resumed")
    return found


def _stopping_after(count):
    cycle = active_learning.ActiveLearning._cycle

    def stopping(self, earlier, pool, model):
        if len(earlier) == count:
            raise KeyboardInterrupt
        return cycle(self, earlier, pool, model)

    return stopping


def test_without_a_forecast_a_run_is_what_it_was(runs):
    assert not (runs["none"] / "forecast.csv").exists()
    steps = steps_of(runs["none"])
    assert all("forecast" not in step for step in steps)
    assert "forecast" not in (runs["none"] / "config.yaml").read_text()


def test_a_forecast_changes_no_curve(runs):
    none, with_it = (pd.read_csv(runs[name] / "curve.csv") for name in ("none", "on"))
    pd.testing.assert_frame_equal(none.drop(columns="run"), with_it.drop(columns="run"))
    assert none["run"][0] != with_it["run"][0]


def test_a_resumed_run_expects_the_same_byte_for_byte(runs):
    for name in ("curve.csv", "queries.csv", "forecast.csv"):
        assert (runs["on"] / name).read_bytes() == (runs["resumed"] / name).read_bytes()


def test_rows_hold_what_is_expected_and_what_came_true(runs):
    table, curve = (pd.read_csv(runs["on"] / f"{name}.csv") for name in ("forecast", "curve"))
    assert table.query("ahead == 0")["cycle"].tolist() == list(range(6))
    assert table.query("ahead > 0")["cycle"].tolist() == [3, 3, 4, 4, 5, 5]
    assert (table["lower"] <= table["expected"]).all()
    assert (table["expected"] <= table["upper"]).all()
    truth = curve.set_index("n_labelled")["accuracy"]
    for row in table.to_dict("records"):
        count = row["n_labelled"] + row["ahead"]
        if count in truth.index:
            assert row["accuracy"] == truth[count]
        else:
            assert np.isnan(row["accuracy"])


def test_results_hold_forecasts_with_the_names_of_strategies_told_apart(runs, tmp_path):
    for name in ("on", "holdout"):
        (tmp_path / name).symlink_to(runs[name])
    results = read_results(tmp_path)
    assert sorted(results.forecasts["strategy"].unique()) == [
        "margin (forecast.holdout=0)",
        "margin (forecast.holdout=20)",
    ]


def test_labels_that_are_held_out_cost_labels_and_are_never_trained_on(runs):
    queries, curve = (pd.read_csv(runs["holdout"] / f"{n}.csv") for n in ("queries", "curve"))
    assert curve["n_labelled"].tolist() == [30, 33, 36, 39, 42, 45]
    config = compose_config([
        "dataset=digits", "backbone=pixels", "n_initial=10", "n_cycles=5", "batch.size=3",
        "forecast=expected", "forecast.holdout=20",
    ])  # fmt: skip
    order = generator(config.seed, Stream.INITIAL_LABELS).permutation(POOL)
    held_out = Forecaster(config, Annotator(order), order).held_out
    assert len(set(held_out)) == 20
    assert set(queries["pool_index"]) == set(range(POOL)) - set(held_out)
    first = pd.read_csv(runs["none"] / "queries.csv").query("cycle == 0")["pool_index"]
    assert first.tolist() == queries.query("cycle == 0")["pool_index"].tolist()
    expected = pd.read_csv(runs["holdout"] / "forecast.csv").query("ahead == 0")["expected"]
    np.testing.assert_allclose(expected * 20, (expected * 20).round(), atol=1e-6)


def test_a_state_whose_numbers_of_labels_do_not_fit_is_refused(runs):
    steps = steps_of(runs["holdout"])
    assert len(cycles_of(steps)) == 6
    steps[2]["forecast"]["n_held_out"] = 19
    with pytest.raises(ValueError, match="n_labelled is not the number"):
        cycles_of(steps)


def small_forecaster(*overrides):
    config = compose_config(["dataset=digits", "backbone=pixels", "forecast=expected", *overrides])
    return Forecaster(config, Annotator(np.zeros(50, np.int64)), np.arange(50))


def test_nothing_is_expected_of_weights_that_have_learnt_nothing():
    rows = torch.randn(50, 4)
    posterior = fit_posterior(torch.zeros(3, 4), rows[:5], GAUSSIAN, 1.0)
    pool = Pool.unlabelled(50).label(np.arange(5), np.array([0, 1, 2, 0, 1]))
    record = CycleRecord(0, 5, (0, 1, 2, 3, 4), (0, 1, 2, 0, 1), {}, {})
    found = small_forecaster().with_forecast(record, pool, Model(rows, rows, posterior), [])
    assert found.forecast.now is None
    assert "say nothing" in found.forecast.in_words()


def test_a_holdout_as_large_as_the_pool_is_refused():
    with pytest.raises(InputError, match="holdout=40: leaves no candidates in a pool of 50"):
        small_forecaster("forecast.holdout=40")


def test_wrong_commands_name_the_key():
    """Those of the list that are about forecasts, without a process for each."""
    wrong = {command: line for command, line in WRONG.items() if "forecast" in command}
    assert len(wrong) >= 6
    for command, line in wrong.items():
        with pytest.raises(InputError) as refused:
            compose_config(["dataset=digits", "backbone=pixels", *command.split()])
        assert line in str(refused.value)
