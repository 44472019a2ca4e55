"""What a campaign expects: with the labels of a simulated run, that of the run."""

import csv
from dataclasses import replace

import numpy as np
import pytest

import alupdate
from alupdate.config.compose import compose_config
from alupdate.data.arrays import digits
from alupdate.data.pool import Pool
from alupdate.experiment.learning import Learning
from alupdate.experiment.selection import Selector
from alupdate.labelling import expected
from alupdate.labelling.campaign import locked_folder, open_campaign, read_labels
from alupdate.labelling.expected import CampaignForecaster, say_expected
from alupdate.labelling.suggest import suggest
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError

QUIET = Display(enabled=False)
SMALL = ["backbone=pixels", "n_initial=10", "batch.size=5", "training.epochs=20", "progress=false"]
AHEAD = ["forecast=expected", "forecast.ahead=[20,60]", "forecast.level=0.8"]
N_POOL = 200


class Heard(Display):
    """A display that remembers what it was told."""

    def __init__(self):
        super().__init__(enabled=False)
        self.lines = []

    def say(self, text):
        self.lines.append(text)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A simulated run of eight cycles that expects something after each."""
    folder = tmp_path_factory.mktemp("run")
    data = digits()
    rows = {"X_train": data.train.rows[:N_POOL, ..., 0], "X_test": data.test.rows[:50, ..., 0]}
    labels = {"y_train": data.train_labels[:N_POOL], "y_test": data.test_labels[:50]}
    np.savez(folder / "all.npz", **rows, **labels)
    np.savez(folder / "hidden.npz", X_train=rows["X_train"])
    arguments = [f"dataset.path={folder / 'all.npz'}", "n_cycles=8", f"results_dir={folder}"]
    return alupdate.run(["dataset=npz", *arguments, *SMALL, *AHEAD]), folder


def campaign_of(folder, *more):
    classes = "dataset.classes=[0,1,2,3,4,5,6,7,8,9]"
    config = compose_config(
        ["task=suggest", "dataset=npz", f"dataset.path={folder / 'hidden.npz'}", classes, *SMALL,
         f"results_dir={folder}", *more]
    )  # fmt: skip
    with locked_folder(config) as place:
        data, labels_file = read_labels(config, place, QUIET)
        return open_campaign(config, place, data, labels_file, QUIET)


def forecaster_of(campaign):
    return CampaignForecaster(campaign, campaign.suggester(Selector(campaign.config)))


def pool_of(run, count):
    queries = run.queries[:count]
    return Pool.unlabelled(N_POOL).label(
        queries["pool_index"].to_numpy(), queries["label"].to_numpy()
    )


def test_it_is_what_the_run_expected_at_the_ends_of_its_batches(run):
    run, folder = run
    forecaster = forecaster_of(campaign_of(folder, *AHEAD))
    with (run.path / "forecast.csv").open() as file:
        written = list(csv.DictReader(file))
    for cycle in (0, 2, 3, 5):
        found = forecaster.forecast(pool_of(run, 10 + 5 * cycle))
        rows = [row for row in written if int(row["cycle"]) == cycle]
        assert len(found.expected) == len(rows) == (3 if cycle >= 3 else 1)
        for said, row in zip(found.expected, rows, strict=True):
            numbers = [said.ahead, said.accuracy.value, said.accuracy.lower, said.accuracy.upper]
            columns = ("ahead", "expected", "lower", "upper")
            assert numbers == pytest.approx([float(row[c]) for c in columns], rel=1e-9), cycle


def test_labels_that_came_since_cost_one_training_or_none(run, monkeypatch):
    run, folder = run
    trained = []
    retrain = Learning.retrain
    monkeypatch.setattr(
        Learning, "retrain", lambda *a: trained.append(len(a[2].indices)) or retrain(*a)
    )
    for update, counts in (
        ("retrain", [[30, 10, 15, 20, 25], [35, 30], [35]]),
        ("second_order", [[10, 10, 15, 20, 25, 30], [30, 35], []]),
    ):
        forecaster = forecaster_of(campaign_of(folder, f"update={update}"))
        for count, wanted in zip((30, 35, 35), counts, strict=True):
            trained.clear()
            forecaster.forecast(pool_of(run, count))
            assert set(trained) <= set(wanted)
            assert len(trained) <= len(wanted)


def test_a_model_that_is_worse_by_updates_is_not_taken_for_one_that_learns_slowly(run, monkeypatch):
    """Its estimate ends a curve of the form that trained models have."""
    run, folder = run
    curves = []

    def noted(settings, seed, cycle, estimates, left):
        curves.append(estimates)
        return ()

    monkeypatch.setattr(expected, "expectations", noted)
    for update in ("retrain", "second_order"):
        forecaster_of(campaign_of(folder, f"update={update}")).forecast(pool_of(run, 50))
    trained, updated = (np.array([estimate.mean for _, estimate in curve]) for curve in curves)
    assert len(trained) == 8
    assert trained[-1] != updated[-1]
    np.testing.assert_allclose(np.diff(trained), np.diff(updated))
    assert [count for count, _ in curves[1]] == [10, 15, 20, 25, 30, 35, 40, 50]


def test_an_updated_model_that_does_not_fit_the_labels_is_not_passed_over_in_silence(run):
    run, folder = run
    forecaster, pool = forecaster_of(campaign_of(folder, "update=second_order")), pool_of(run, 30)
    model = forecaster.suggester.model(pool)
    away = replace(model, posterior=replace(model.posterior, mean=-model.posterior.mean))
    found = forecaster.forecast_of(pool, away)
    trained = forecaster_of(campaign_of(folder)).forecast(pool)
    assert found.now == trained.now
    assert forecaster.assumption.startswith("of a model trained on the labels, as the updated one")
    assert forecaster.forecast_of(pool, model).now != trained.now
    assert forecaster.assumption.startswith("90 % intervals")


def test_without_labels_enough_or_anything_left_nothing_is_said(run):
    run, folder = run
    forecaster = forecaster_of(campaign_of(folder))
    heard = Heard()
    say_expected(forecaster, pool_of(run, 9), heard)
    everything = Pool.unlabelled(10).label(np.arange(10), np.arange(10))
    say_expected(forecaster, everything, heard)
    assert heard.lines == []
    one_class = Pool.unlabelled(N_POOL).label(np.arange(12), np.zeros(12, np.int64))
    say_expected(forecaster, one_class, heard)
    assert heard.lines == ["expected accuracy: the labels say nothing about it yet"]


def test_suggest_prints_it_and_what_it_assumes(run, tmp_path):
    run, folder = run
    campaign = campaign_of(folder, f"results_dir={tmp_path}")
    names = campaign.data.names
    with campaign.labels_file.open("w", newline="") as file:
        rows = zip(run.queries["pool_index"][:30], run.queries["label"][:30], strict=True)
        csv.writer(file).writerows([["instance", "label"], *((names[i], y) for i, y in rows)])
    heard = Heard()
    suggest(campaign.config, heard)
    said, assumed = heard.lines[-2:]
    wanted = forecaster_of(campaign).forecast(pool_of(run, 30))
    assert said == wanted.in_words()
    assert "; after 50 more labels ." in said
    assert len(pool_of(run, 30).candidates()) < 200
    assert "200 more labels" not in said
    assert assumed.startswith("note: 90 % intervals; no random instances were set aside, so they")


def test_nothing_can_be_set_aside(tmp_path):
    np.savez(tmp_path / "x.npz", X_train=np.zeros((5, 2)))
    for task in ("suggest", "label", "serve"):
        with pytest.raises(InputError) as refused:
            compose_config(
                [f"task={task}", "dataset=npz", f"dataset.path={tmp_path / 'x.npz'}",
                 "backbone=identity", "forecast=expected", "forecast.holdout=5"]
            )  # fmt: skip
        assert str(refused.value) == (
            f"forecast.holdout=5: task={task} sets no instances aside; use forecast.holdout=0"
        )
