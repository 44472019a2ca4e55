"""Batches that ask nobody: labels of the model's own, and draws by the scores."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from alupdate.config import PowerBatch, SequentialBatch
from alupdate.laplace.updates import update_rule
from alupdate.strategies.base import Query, ScoringStrategy
from alupdate.strategies.batches import (
    StochasticBatches,
    build_batch,
    drawn_labels,
    require_utilities,
)
from alupdate.strategies.diversity import CoreSet
from alupdate.strategies.lookahead import ExpectedLookahead
from alupdate.strategies.uncertainty import Bald, LeastConfidence, Margin
from alupdate.utils.errors import InputError
from tests.support.problems import make_query
from tests.support.references import sequential_update, softmax

SECOND_ORDER = update_rule("second_order")


def ask_nobody(picked):
    raise AssertionError("nobody is to be asked")


def refitted(query, picked, labels):
    """The mean weights after an update with all labels so far, from the start."""
    start = query.posterior.mean.numpy(), query.posterior.covariance.numpy()
    rows = query.features.numpy()[picked]
    return sequential_update(*start, rows, np.array(labels, dtype=int), query.gamma, "gaussian")[0]


def margin_scores(weights, query):
    ordered = np.sort([softmax(weights @ row) for row in query.features.numpy()], axis=1)
    return 1 - (ordered[:, -1] - ordered[:, -2])


def written_out(query, batch):
    """Sequential margin with the models' own labels; each is fitted anew at every step."""
    histories, picked = [[] for _ in range(batch.n_samples)], []
    while len(picked) < batch.size:
        models = [refitted(query, picked, labels) for labels in histories]
        scores = np.mean([margin_scores(weights, query) for weights in models], axis=0)
        scores[picked] = -np.inf
        picks = np.argsort(-scores, kind="stable")[: min(batch.every, batch.size - len(picked))]
        picked += picks.tolist()
        if len(picked) == batch.size:
            return picked
        sampled = batch.labels == "sampled"
        numbers = query.rng.random((batch.n_samples, len(picks))) if sampled else None
        for model, weights in enumerate(models):
            for place, row in enumerate(query.features.numpy()[picks]):
                p = softmax(weights @ row)
                label = np.argmax(np.cumsum(p) > numbers[model, place]) if sampled else p.argmax()
                histories[model].append(int(label))
    return picked


constructions = st.builds(
    SequentialBatch,
    name=st.just("sequential"),
    size=st.integers(1, 7),
    every=st.integers(1, 3),
    labels=st.just("sampled"),
    n_samples=st.integers(1, 4),
)


@given(st.integers(0, 10**6), st.integers(2, 4), constructions, st.booleans())
def test_equals_models_that_are_fitted_anew_at_every_step(seed, classes, batch, predicted):
    if predicted:
        batch = replace(batch, labels="predicted", n_samples=1)
    query = make_query(seed=seed, candidates=15, classes=classes, dtype=torch.float64)
    chosen = build_batch(Margin(), query, batch, SECOND_ORDER, ask_nobody)
    same = replace(query, rng=np.random.default_rng(seed))
    assert chosen.tolist() == written_out(same, batch)


@given(st.integers(0, 10**6), st.integers(2, 5))
def test_labels_are_drawn_by_their_probabilities(seed, classes):
    """Over a fine grid of uniform numbers, each label comes as often as it should."""
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(1, 1, classes), scale=3))

    class Grid:
        def random(self, shape):
            return (np.arange(shape[1]) / shape[1])[None].repeat(shape[0], axis=0)

    found = drawn_labels(logits.expand(1, 10_000, classes), Grid())
    shares = np.bincount(found[0].numpy(), minlength=classes) / 10_000
    np.testing.assert_allclose(shares, torch.softmax(logits, dim=2)[0, 0].numpy(), atol=2e-4)


def test_a_candidate_that_only_some_models_score_comes_after_the_others():
    """Expected look-ahead scores those of smallest margin, which differ from model to model."""
    batch = SequentialBatch(name="sequential", size=12, labels="sampled", n_samples=4)
    strategy = ExpectedLookahead(n_candidates=2, n_points=5)
    query = make_query(candidates=12, dtype=torch.float64)
    chosen = build_batch(strategy, query, batch, SECOND_ORDER, ask_nobody)
    assert sorted(chosen.tolist()) == list(range(12))


@dataclass(frozen=True)
class Given(ScoringStrategy):
    """Scores that are given; positions of the query's candidates are the same."""

    scores: tuple[float, ...]

    def utilities(self, query: Query) -> Tensor:
        return torch.tensor(self.scores, dtype=torch.float64)


WEIGHTS = {
    "power": lambda scores, beta: scores**beta,
    "softmax": lambda scores, beta: np.exp(beta * scores),
    "softrank": lambda scores, beta: (np.argsort(np.argsort(-scores)) + 1.0) ** -beta,
}


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("variant", WEIGHTS)
def test_pairs_are_drawn_one_after_the_other_by_their_weights(variant, beta):
    scores = np.array([0.2, 1.5, 0.7, 0.9])
    weights = WEIGHTS[variant](scores, beta)
    query = make_query(candidates=4)
    batches, count = StochasticBatches(Given(tuple(scores)), beta, variant), 4000
    drawn = Counter(tuple(batches.select(query, 2).tolist()) for _ in range(count))
    for first in range(4):
        for second in {0, 1, 2, 3} - {first}:
            left = weights.sum() - weights[first]
            chance = weights[first] / weights.sum() * weights[second] / left
            error = np.sqrt(chance * (1 - chance) / count)
            assert abs(drawn[first, second] / count - chance) < 4 * error + 1e-3


@given(st.integers(0, 10**6), st.sampled_from(list(WEIGHTS)), st.floats(0.1, 10))
def test_equals_perturbed_scores_in_order(seed, variant, beta):
    query = make_query(seed=seed, taken=(3, 5))
    scores = np.random.default_rng(seed).random(40)
    chosen = StochasticBatches(Given(tuple(scores)), beta, variant).select(query, 6)
    noise = np.random.default_rng(seed).gumbel(size=40)
    free = [i for i in range(40) if i not in (3, 5)]
    weights = dict(zip(free, WEIGHTS[variant](scores[free], beta), strict=True))
    expected = sorted(free, key=lambda i: -(np.log(weights[i]) + noise[i]))
    assert chosen.tolist() == expected[:6]


def test_a_large_exponent_takes_the_highest_scores():
    query, batch = make_query(), PowerBatch(name="power", size=8, beta=1e9)
    drawn = build_batch(Margin(), query, batch, SECOND_ORDER, ask_nobody)
    assert drawn.tolist() == Margin().select(query, 8).tolist()


def test_scores_of_zero_and_missing_ones_come_last():
    scores = (0.0, float("nan"), 1e-300, 0.0, 0.3, float("nan"))
    query, orders = make_query(candidates=6), set()
    for _ in range(30):
        chosen = StochasticBatches(Given(scores), 0.01).select(query, 6).tolist()
        assert set(chosen[:2]) == {2, 4}
        assert set(chosen[2:4]) == {0, 3}
        orders.add(tuple(chosen[2:]))
    assert len(orders) == 4


def test_equal_scores_have_equal_ranks():
    query = make_query(candidates=3)
    batches = StochasticBatches(Given((1.0, 1.0, 1.0)), 50.0, "softrank")
    firsts = Counter(int(batches.select(query, 1)[0]) for _ in range(300))
    assert min(firsts.values()) > 60


def test_negative_scores_are_refused_where_powers_need_none():
    query = make_query(candidates=3)
    with pytest.raises(InputError, match=r"batch.variant=power: a score is -0.1; powers need"):
        StochasticBatches(Given((0.5, -0.1, 1.0))).select(query, 1)
    StochasticBatches(Given((0.5, -0.1, 1.0)), variant="softmax").select(query, 1)
    StochasticBatches(Given((0.5, -1e-9, 1.0))).select(query, 1)
    flat = make_query(features=torch.zeros(40, 6))
    StochasticBatches(Bald()).select(flat, 3)


@pytest.mark.parametrize(
    ("strategy", "batch", "complaint"),
    [
        (CoreSet, PowerBatch(name="power"), None),
        (LeastConfidence, PowerBatch(name="power", variant="softrank"), None),
        (
            LeastConfidence,
            PowerBatch(name="power"),
            "power: strategy=it has negative scores",
        ),
        (object(), PowerBatch(name="power"), "batch=power: strategy=it does not score"),
        (object(), SequentialBatch("sequential", labels="sampled", n_samples=2), "n_samples=2: st"),
        (object(), SequentialBatch("sequential", labels="sampled"), None),
    ],
)
def test_batches_from_scores_need_them(strategy, batch, complaint):
    if complaint is None:
        require_utilities(strategy, batch, "it")
    else:
        with pytest.raises(InputError, match=complaint):
            require_utilities(strategy, batch, "it")
