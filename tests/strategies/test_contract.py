"""What every strategy must do, in every construction."""

from typing import Any

import numpy as np
import pytest
import torch

from alupdate.config import (
    BaitStrategy,
    BaldStrategy,
    BatchBaldStrategy,
    ExpectedLookaheadStrategy,
    GreedyLookaheadStrategy,
    LookaheadStrategy,
    PlainStrategy,
    ProbCoverStrategy,
    SequentialBatch,
    SkactivemlStrategy,
    TopBatch,
    TypiClustStrategy,
)
from alupdate.laplace.updates import update_rule
from alupdate.strategies import PLAIN, make_strategy
from alupdate.strategies.base import build_batch
from tests.support.problems import make_query


def _plain(name: Any) -> PlainStrategy:
    return PlainStrategy(name=name)


CONFIGS: dict[str, Any] = {name: _plain(name) for name in PLAIN} | {
    "lookahead": LookaheadStrategy(name="lookahead", n_batches=12),
    "lookahead-map": LookaheadStrategy(name="lookahead", n_batches=12, update="map"),
    "lookahead-error": LookaheadStrategy(name="lookahead", n_batches=12, loss="error"),
    "lookahead-brier": LookaheadStrategy(name="lookahead", n_batches=12, loss="brier"),
    "bald": BaldStrategy(name="bald"),
    "batch_bald": BatchBaldStrategy(name="batch_bald", n_samples=20, n_configurations=30),
    "bait": BaitStrategy(name="bait"),
    "bait-binary": BaitStrategy(name="bait", fisher="binary", oversample=1),
    "typiclust": TypiClustStrategy(name="typiclust"),
    "probcover": ProbCoverStrategy(name="probcover"),
    "probcover-radius": ProbCoverStrategy(name="probcover", radius=0.5),
    "skactiveml": SkactivemlStrategy(name="skactiveml", query_strategy="Falcun"),
    "greedy": GreedyLookaheadStrategy(name="greedy_lookahead"),
    "greedy-map": GreedyLookaheadStrategy(name="greedy_lookahead", update="map"),
    "greedy-first-order": GreedyLookaheadStrategy(name="greedy_lookahead", update="first_order"),
    "expected": ExpectedLookaheadStrategy(name="expected_lookahead", n_candidates=9, n_points=20),
    "expected-map": ExpectedLookaheadStrategy(
        name="expected_lookahead", n_candidates=9, n_points=20, update="map"
    ),
    "expected-error": ExpectedLookaheadStrategy(
        name="expected_lookahead", loss="error", n_points=20
    ),
    "expected-brier": ExpectedLookaheadStrategy(
        name="expected_lookahead", loss="brier", n_points=20
    ),
}
FROM_THE_DATA_ALONE = {
    "margin",
    "entropy",
    "least_confidence",
    "variance",
    "coreset",
    "bait",
    "bait-binary",
    "probcover-radius",
    "greedy",
    "greedy-map",
    "greedy-first-order",
}
BATCHES = {
    "top_b": TopBatch(name="top_b", size=5),
    "sequential": SequentialBatch(name="sequential", size=5),
    "every-2": SequentialBatch(name="sequential", size=5, every=2),
    "map": SequentialBatch(name="sequential", size=5, update="map"),
}


@pytest.fixture(params=CONFIGS)
def strategy(request):
    return make_strategy(CONFIGS[request.param], update_rule)


@pytest.fixture(params=BATCHES)
def batch(request):
    return BATCHES[request.param]


def choose(strategy, batch, query):
    truth = query.oracle.candidate_labels
    rule = update_rule(getattr(batch, "update", "second_order"), n_hypotheses=50)
    return build_batch(
        strategy, query, batch, rule, buy=lambda picked: truth[torch.from_numpy(picked)]
    )


def check(chosen, query, size):
    assert chosen.dtype.kind == "i"
    assert chosen.shape == (size,)
    assert len(set(chosen.tolist())) == size
    assert chosen.min() >= 0
    assert chosen.max() < len(query.features)
    assert not query.taken[torch.from_numpy(chosen)].any()


def test_distinct_free_positions_of_the_right_number(strategy, batch):
    query = make_query(taken=(0, 3, 7))
    check(choose(strategy, batch, query), query, 5)


def test_same_seed_same_answer(strategy, batch):
    first, second = (choose(strategy, batch, make_query(seed=4)) for _ in range(2))
    assert first.tolist() == second.tolist()


def test_another_seed_reaches_every_random_choice(strategy, batch, request):
    answers = set()
    for seed in range(6):
        query = make_query(seed=1)
        query = type(query)(**{**vars(query), "rng": np.random.default_rng(seed)})
        answers.add(tuple(choose(strategy, batch, query).tolist()))
    name = request.node.callspec.params["strategy"]
    assert (len(answers) == 1) == (name in FROM_THE_DATA_ALONE)


def test_query_is_untouched(strategy, batch):
    query = make_query()
    tensors = ("features", "logits", "chosen", "labelled_features", "labelled_labels")
    before = {name: getattr(query, name).clone() for name in tensors}
    mean, covariance = query.posterior.mean.clone(), query.posterior.covariance.clone()
    choose(strategy, batch, query)
    for name, value in before.items():
        assert torch.equal(getattr(query, name), value), name
    assert torch.equal(query.posterior.mean, mean)
    assert torch.equal(query.posterior.covariance, covariance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("classes", [2, 130])
def test_any_number_of_classes_and_precision(strategy, batch, classes, dtype):
    """More classes than a signed byte counts, labels, candidates and features."""
    query = make_query(candidates=12, classes=classes, dtype=dtype)
    check(choose(strategy, batch, query), query, 5)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_identical_candidates(strategy, batch, value):
    query = make_query(features=torch.full((40, 6), value))
    check(choose(strategy, batch, query), query, 5)


def test_as_many_candidates_as_the_batch_needs(strategy, batch):
    query = make_query(candidates=7, taken=(2, 4))
    assert sorted(choose(strategy, batch, query).tolist()) == [0, 1, 3, 5, 6]


def test_one_candidate(strategy):
    query = make_query(candidates=1)
    assert strategy.select(query, 1).tolist() == [0]
