from dataclasses import replace

import numpy as np
import pytest
import torch

from alupdate.laplace.losses import true_loss
from alupdate.laplace.updates import fit, update_rule
from alupdate.strategies.lookahead import HypotheticalUpdates, Lookahead
from alupdate.strategies.sampled_batches import BatchMix, sample_batches
from alupdate.strategies.uncertainty import margin_uncertainty
from tests.support.problems import make_query
from tests.support.references import mean_loss, sequential_update

RANDOM = BatchMix(random=1, diverse=0, informative=0)
DIVERSE = BatchMix(random=0, diverse=1, informative=0)
INFORMATIVE = BatchMix(random=0, diverse=0, informative=1)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("loss", ["nll", "brier", "error"])
def test_chooses_the_batch_that_a_naive_search_chooses(seed, loss):
    """A copy of the model per candidate batch, updated and evaluated with plain loops."""
    strategy = Lookahead(n_batches=15, loss=loss)
    query = make_query(seed=seed, dtype=torch.float64)
    batches = sample_batches(make_query(seed=seed, dtype=torch.float64), 4, 15, strategy.mix)
    losses = []
    for batch in batches:
        mean, _ = sequential_update(
            query.posterior.mean.numpy(),
            query.posterior.covariance.numpy(),
            query.features[batch].numpy(),
            query.oracle.candidate_labels[batch].numpy(),
            query.gamma,
            "gaussian",
        )
        losses.append(
            mean_loss(mean, query.oracle.features.numpy(), query.oracle.labels.numpy(), loss)
        )
    chosen = strategy.select(query, 4)
    assert chosen.tolist() == batches[int(np.argmin(losses))].tolist()


@pytest.mark.parametrize(
    ("update", "likelihood"),
    [
        ("first_order", "gaussian"),
        ("first_order", "per_class"),
        ("second_order", "categorical"),
        ("map", "gaussian"),
        ("map", "per_class"),
        ("monte_carlo", "gaussian"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 2**24])
def test_equals_applying_every_update(update, likelihood, chunk, monkeypatch):
    """Each candidate batch is really applied to the model, which is then evaluated."""
    monkeypatch.setattr("alupdate.strategies.lookahead._CHUNK_NUMBERS", chunk)
    query = make_query(dtype=torch.float64)
    posterior = fit(query.posterior.mean, query.labelled_features, likelihood, 0.5)
    rule = update_rule(update, n_hypotheses=20_000)
    query = replace(query, posterior=posterior, gamma=0.7, rule=rule)
    batches = torch.from_numpy(sample_batches(query, 3, 8, BatchMix()))
    losses = []
    for batch in batches:
        labels = query.oracle.candidate_labels[batch]
        updated = rule.apply(posterior, query.features[batch], labels, 0.7).posterior
        logits = updated.logits(query.oracle.features)
        losses.append(torch.nn.functional.cross_entropy(logits, query.oracle.labels))
    members = torch.arange(len(query.features))
    expected = HypotheticalUpdates.of(query, members, query.oracle.features).losses(
        query,
        batches,
        query.oracle.candidate_labels[batches],
        true_loss(query.oracle.labels, "nll"),
    )
    tolerance = 0.05 if update == "monte_carlo" else 1e-8
    torch.testing.assert_close(expected, torch.stack(losses), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("lacking", "message"), [("oracle", "an oracle"), ("rule", "an update")])
def test_refuses_to_work_without_an_oracle_or_a_rule(lacking, message):
    with pytest.raises(ValueError, match=message):
        Lookahead().select(replace(make_query(), **{lacking: None}), 3)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 300])
def test_number_of_batches_is_exact_for_any_mix(count):
    mix = BatchMix(random=1, diverse=2, informative=0.5)
    assert sample_batches(make_query(), 4, count, mix).shape == (count, 4)


@pytest.mark.parametrize("mix", [RANDOM, DIVERSE, INFORMATIVE])
def test_members_are_distinct_and_free(mix):
    query = make_query(taken=(1, 2))
    for batch in sample_batches(query, 5, 30, mix):
        assert len(set(batch.tolist())) == 5
        assert not {1, 2} & set(batch.tolist())


def test_diverse_batches_have_one_member_of_each_cluster():
    centres = torch.tensor([[0.0, 0], [9, 0], [0, 9], [9, 9]])
    query = make_query(features=centres.repeat(10, 1) + 0.01 * torch.rand(40, 2))
    for batch in sample_batches(query, 4, 20, DIVERSE):
        assert sorted(position % 4 for position in batch.tolist()) == [0, 1, 2, 3]


def test_informative_batches_stay_above_the_mean_uncertainty():
    query = make_query()
    uncertainty = margin_uncertainty(query.logits).numpy()
    batches = sample_batches(query, 5, 20, INFORMATIVE)
    assert (uncertainty[batches] > uncertainty.mean()).all()
    assert len(np.unique(batches)) > 5
