"""What every strategy must do, in every construction."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from alupdate.config import PowerBatch, SequentialBatch, TopBatch
from alupdate.config.options import make_option, options
from alupdate.config.values import NO_LABEL
from alupdate.laplace.updates import update_rule
from alupdate.strategies.batches import build_batch
from tests.support.problems import make_query

FEW: dict[str, dict[str, Any]] = {
    "lookahead": {"n_batches": 12},
    "batch_bald": {"n_samples": 20, "n_configurations": 30},
    "epig": {"n_samples": 20, "n_points": 10},
    "parbals": {"n_samples": 20, "n_points": 10, "n_models": 2},
    "expected_lookahead": {"n_candidates": 9, "n_points": 20},
    "skactiveml": {"query_strategy": "Falcun"},
    "plugin": {"module": "tests.support.own_strategy"},
    "refine": {"n_rounds": 2, "n_batches": 6},
    "boss": {"n_batches": 4},
    "ensemble_lookahead": {"n_candidates": 12, "n_tried": 3, "n_exchanges": 6},
}
"""Settings that are required, or smaller than the defaults."""
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "lookahead-map": ("lookahead", {"update": "map"}),
    "lookahead-error": ("lookahead", {"loss": "error"}),
    "lookahead-brier": ("lookahead", {"loss": "brier"}),
    "bait-binary": ("bait", {"fisher": "binary", "oversample": 1}),
    "probcover-radius": ("probcover", {"radius": 0.5}),
    "maxherding-points": ("maxherding", {"n_points": 8}),
    "uherding-number": ("uherding", {"temperature": 2.0, "length": 0.7}),
    "uherding-original": ("uherding", {"temperature": "original", "length": "min"}),
    "uherding-points": ("uherding", {"n_points": 8}),
    "tcm-margin": ("tcm", {"switch_after": 1}),
    "greedy-map": ("greedy_lookahead", {"update": "map"}),
    "greedy-first-order": ("greedy_lookahead", {"update": "first_order"}),
    "dropquery-rare": ("dropquery", {"dropout": 0.05, "n_passes": 1}),
    "dropquery-majority": ("dropquery", {"dropout": 0.5, "n_passes": 5, "oversample": 1}),
    "alfamix-short": ("alfamix", {"epsilon": 0.01}),
    "alfamix-long": ("alfamix", {"epsilon": 5.0}),
    "refine-updates": (
        "refine",
        {"members": ["margin", "coreset"], "final": "expected_lookahead", "largest_subset": 6},
    ),
    "boss-map": ("boss", {"update": "map", "loss": "brier"}),
    "ensemble-second-order": ("ensemble_lookahead", {"update": "second_order", "loss": "error"}),
    "expected-map": ("expected_lookahead", {"update": "map"}),
    "expected-error": ("expected_lookahead", {"loss": "error", "n_candidates": 200}),
    "expected-brier": ("expected_lookahead", {"loss": "brier", "n_candidates": 200}),
}
"""More settings worth a look: an option's name and what differs."""
ALL = {name: (name, FEW.get(name, {})) for name in options("strategy")} | {
    key: (name, FEW.get(name, {}) | settings) for key, (name, settings) in VARIANTS.items()
}
UNMOVED = {"ensemble_lookahead"}
"""They draw random numbers, and may find the same best batch whatever these are."""
BATCHES = {
    "top_b": TopBatch(name="top_b", size=5),
    "sequential": SequentialBatch(name="sequential", size=5),
    "every-2": SequentialBatch(name="sequential", size=5, every=2),
    "map": SequentialBatch(name="sequential", size=5, update="map"),
    "predicted": SequentialBatch(name="sequential", size=5, every=2, labels="predicted"),
    "sampled": SequentialBatch(name="sequential", size=5, labels="sampled", n_samples=2),
    "power": PowerBatch(name="power", size=5, variant="softmax"),
}
SEEDS, FEW_SEEDS = 6, 2
"""In which a random choice shows; fewer where the generator is not used, or shows nothing."""
OF_VARIANTS = ("top_b", "map")
"""The constructions that variants are tried with; strategies with their defaults, with all."""
CASES = [(s, b) for s in ALL for b in BATCHES if s not in VARIANTS or b in OF_VARIANTS]


def pytest_generate_tests(metafunc):
    """Give a test the cases of strategy and construction, or the strategies alone."""
    if "batch" in metafunc.fixturenames:
        metafunc.parametrize(("strategy", "batch"), CASES, indirect=True)
    elif "strategy" in metafunc.fixturenames:
        metafunc.parametrize("strategy", ALL, indirect=True)


@pytest.fixture
def strategy(request):
    name, settings = ALL[request.param]
    return make_option("strategy", {"name": name, **settings})


@pytest.fixture
def batch(request, strategy):
    """A construction; without scores to average or to draw by, one that needs none."""
    chosen = BATCHES[request.param]
    if getattr(strategy, "utilities", None) is not None:
        return chosen
    if request.param == "power":
        pytest.skip("the strategy does not score candidates")
    return replace(chosen, n_samples=1) if request.param == "sampled" else chosen


def choose(strategy, batch, query):
    truth = query.oracle.candidate_labels
    rule = update_rule(getattr(batch, "update", "second_order"), n_hypotheses=50)
    if strategy.hypothetical_update is not None:
        query = replace(query, rule=update_rule(strategy.hypothetical_update))
    return build_batch(
        strategy, query, batch, rule, annotate=lambda picked: truth[torch.from_numpy(picked)]
    )


def check(chosen, query, size):
    assert chosen.dtype.kind == "i"
    assert chosen.shape == (size,)
    assert len(set(chosen.tolist())) == size
    assert chosen.min() >= 0
    assert chosen.max() < len(query.features)
    assert not query.taken[torch.from_numpy(chosen)].any()


def test_distinct_free_positions_of_the_right_number_and_an_untouched_query(strategy, batch):
    query = make_query(taken=(0, 3, 7))
    tensors = ("features", "logits", "picked", "labelled_features", "labelled_labels")
    before = {name: getattr(query, name).clone() for name in tensors}
    mean, covariance = query.posterior.mean.clone(), query.posterior.covariance.clone()
    check(choose(strategy, batch, query), query, 5)
    for name, value in before.items():
        assert torch.equal(getattr(query, name), value), name
    assert torch.equal(query.posterior.mean, mean)
    assert torch.equal(query.posterior.covariance, covariance)


def test_same_seed_same_answer(strategy, batch):
    first, second = (choose(strategy, batch, make_query(seed=4)) for _ in range(2))
    assert first.tolist() == second.tolist()


def test_another_seed_reaches_every_random_choice(strategy, batch):
    """Answers differ by seed where the query's generator is used, and nowhere else.

    Sampled labels use it even where the choice does not depend on labels.
    """
    unmoved = strategy.name in UNMOVED or getattr(batch, "labels", None) == "sampled"
    answers, used = set(), set()
    for seed in range(SEEDS):
        query = replace(make_query(seed=1), rng=np.random.default_rng(seed))
        before = query.rng.bit_generator.state
        answers.add(tuple(choose(strategy, batch, query).tolist()))
        used.add(query.rng.bit_generator.state != before)
        if len(answers) > 1 or (seed + 1 >= FEW_SEEDS and (unmoved or used == {False})):
            break
    assert used == {len(answers) > 1 or unmoved}


@pytest.mark.parametrize(("classes", "dtype"), [(2, torch.float64), (130, torch.float32)])
def test_any_number_of_classes_and_precision(strategy, batch, classes, dtype):
    """More classes than a signed byte counts, labels, candidates and features."""
    multiclass = strategy.name == "bait" and strategy.fisher == "multiclass"
    if classes > 2 and multiclass and batch != BATCHES["top_b"]:
        pytest.skip("each pick takes seconds; with fisher=binary all constructions are tried")
    query = make_query(candidates=12, classes=classes, dtype=dtype)
    check(choose(strategy, batch, query), query, 5)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_identical_candidates(strategy, batch, value):
    query = make_query(features=torch.full((40, 6), value))
    check(choose(strategy, batch, query), query, 5)


def test_nothing_is_labelled_and_the_model_is_the_prior(strategy, batch):
    """Uniform predictions, weights of zero, the prior's covariance: ``n_initial=0``."""
    query = make_query(labelled=0)
    assert not query.posterior.mean.any()
    check(choose(strategy, batch, query), query, 5)


def test_as_many_candidates_as_the_batch_needs(strategy, batch):
    query = make_query(candidates=7, taken=(2, 4))
    assert sorted(choose(strategy, batch, query).tolist()) == [0, 1, 3, 5, 6]


def test_one_candidate(strategy):
    query = make_query(candidates=1)
    assert strategy.select(query, 1).tolist() == [0]


@pytest.mark.parametrize("construction", ["sequential", "every-2"])
def test_candidates_that_nobody_can_label_take_their_place_in_the_batch(strategy, construction):
    """The picks until the first of them are those of a pool in which every label is known."""
    query, first = make_query(taken=(0, 3, 7)), 2
    truth = query.oracle.candidate_labels
    if strategy.hypothetical_update is not None:
        query = replace(query, rule=update_rule(strategy.hypothetical_update))
    asked = []

    def annotate(picked):
        asked.extend(picked.tolist())
        labels = truth[torch.from_numpy(picked)].clone()
        labels[len(asked) - len(picked) >= first] = NO_LABEL
        return labels

    rule = update_rule("second_order")
    found = build_batch(strategy, query, BATCHES[construction], rule, annotate)
    check(found, query, 5)
    assert asked == found[: len(asked)].tolist()
