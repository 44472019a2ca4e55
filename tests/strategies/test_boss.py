from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from alupdate.config import PosteriorConfig, TrainingConfig
from alupdate.laplace.updates import update_rule
from alupdate.models import learner
from alupdate.models.learner import LearnerSettings, Retraining
from alupdate.strategies.boss import Boss
from alupdate.strategies.ensemble import proposed
from tests.support.problems import make_query
from tests.support.references import mean_loss
from tests.support.runs import only_run, run_small


@pytest.mark.parametrize("loss", ["error", "nll", "brier"])
@pytest.mark.parametrize("update", ["retrain", "map", "second_order"])
def test_chooses_the_batch_that_is_best_when_learnt(loss, update):
    """Every batch is really learnt, with its true labels, and evaluated."""
    for seed in range(3):
        query, again = (make_query(seed=seed, dtype=torch.float64, taken=(2,)) for _ in "ab")
        query = replace(query, rule=update_rule("map" if update == "retrain" else update))
        losses, batches = [], proposed(again, 3, 12, 5000)
        for batch in batches:
            rows, labels = query.features[batch], query.oracle.candidate_labels[batch]
            if update == "retrain":
                rows = torch.cat([query.labelled_features, rows])
                weights = query.retrain(rows, torch.cat([query.labelled_labels, labels]))
            else:
                weights = query.rule.apply(query.posterior, rows, labels, 1.0).posterior.mean
            oracle = query.oracle
            losses.append(
                mean_loss(weights.numpy(), oracle.features.numpy(), oracle.labels.numpy(), loss)
            )
        chosen = Boss(n_batches=12, loss=loss, update=update).select(query, 3)
        assert chosen.tolist() == batches[int(np.argmin(losses))].tolist()


def test_refuses_to_retrain_without_a_trainer():
    with pytest.raises(ValueError, match="update=retrain needs retrain, a function"):
        Boss(n_batches=1).select(replace(make_query(), retrain=None), 3)


@pytest.mark.parametrize("solver", ["recipe", "lbfgs"])
def test_knows_the_errors_of_the_model_that_follows(monkeypatch, tmp_path, solver):
    """In a run, the smallest loss of a query is what the curve shows after it."""
    smallest = []

    def spied(self, query, batches):
        losses = real(self, query, batches)
        smallest.append(float(losses.min()))
        return losses

    real = Boss.losses
    monkeypatch.setattr(Boss, "losses", spied)
    arguments = ("strategy=boss", "strategy.n_batches=4", f"training.solver={solver}")
    assert run_small(monkeypatch, tmp_path, *arguments) == 0
    curve = pd.read_csv(only_run(tmp_path) / "curve.csv")
    assert curve["oracle"].all()
    assert (1 - curve["accuracy"][1:]).to_list() == pytest.approx(smallest)


@pytest.mark.parametrize("loss", ["brier", "nll"])
def test_layers_trained_at_once_have_the_losses_of_those_trained_one_by_one(loss, monkeypatch):
    settings = LearnerSettings(TrainingConfig(epochs=5), PosteriorConfig(), seed=0)
    retrain = Retraining(3, settings, cycle=1)
    query = replace(make_query(dtype=torch.float64, taken=(2,)), retrain=retrain)
    batches = proposed(query, 3, 12, 5000)
    boss = Boss(n_batches=12, loss=loss)
    one_by_one = boss.losses(replace(query, retrain=retrain.__call__), batches)
    monkeypatch.setattr(learner, "train_last_layer", None)  # nothing trains one of them alone
    torch.testing.assert_close(boss.losses(query, batches), one_by_one)
    assert len(one_by_one.unique()) > 2
