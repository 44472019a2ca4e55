"""Suggestions by the labels alone are the choices of the simulated run."""

from itertools import product

import numpy as np
import pytest
import torch

import alupdate
from alupdate.config.compose import compose_config
from alupdate.data.pool import Pool
from alupdate.experiment.learning import score_model
from alupdate.experiment.selection import NONE, Selector
from alupdate.experiment.setup import prepare
from alupdate.labelling.suggester import Suggester
from alupdate.results.records import CURVE_COLUMNS
from alupdate.utils.display import Display
from alupdate.utils.metrics import METRIC_NAMES

QUIET = Display(enabled=False)
SMALL = [
    "dataset=digits", "backbone=pixels", "n_cycles=3", "batch.size=4", "subset=200",
    "training.epochs=20",
]  # fmt: skip
CASES = [
    *product(("margin", "badge", "bald"), ("top_b", "sequential"), ("retrain", "second_order")),
    ("typiclust", "top_b", "map"),
    ("bald", "predicted", "retrain"),
    ("badge", "sampled", "retrain"),
    ("bald", "sampled-3", "second_order"),
    ("margin", "power", "retrain"),
    ("epig", "top_b", "retrain"),
    ("parbals", "top_b", "retrain"),
]
CONSTRUCTIONS = {
    "top_b": ["batch=top_b"],
    "sequential": ["batch=sequential"],
    "predicted": ["batch=sequential", "batch.labels=predicted", "batch.every=2"],
    "sampled": ["batch=sequential", "batch.labels=sampled"],
    "sampled-3": ["batch=sequential", "batch.labels=sampled", "batch.n_samples=3"],
    "power": ["batch=power"],
}
FEW = {"epig": ["strategy.n_samples=20"], "parbals": ["strategy.n_samples=20"]}


def suggester_of(config):
    setup = prepare(config, QUIET)
    size, classes = len(setup.dataset.train), len(setup.dataset.classes)
    return setup, Suggester(config, Selector(config), setup.learner, size, classes)


def labelled(size, queries):
    indices, labels = (queries[c].to_numpy() for c in ("pool_index", "label"))
    return Pool.unlabelled(size).label(indices, labels)


@pytest.mark.parametrize(("strategy", "batch", "update"), CASES)
def test_labels_of_a_run_give_its_queries_and_curve(strategy, batch, update, tmp_path):
    names = [f"strategy={strategy}", *CONSTRUCTIONS[batch], f"update={update}"]
    names += FEW.get(strategy, [])
    run = alupdate.run([*SMALL, *names, f"results_dir={tmp_path}", "progress=false"])
    queries, size = run.queries, 1297
    setup, warm = suggester_of(run.config)
    truth = torch.from_numpy(setup.dataset.test_labels)
    step = 1 if batch == "sequential" else 4
    for count in [0, *range(10, 22, step)]:
        pool = labelled(size, queries[:count])
        expected = queries["pool_index"][count : count + (step if count else 10)].tolist()
        assert warm.suggest(pool, NONE).indices.tolist() == expected
        cold = Suggester(run.config, Selector(run.config), setup.learner, size, 10)
        assert cold.suggest(pool, NONE).indices.tolist() == expected
        offered = warm.offering(pool, NONE).suggestions.indices.tolist()
        assert offered == expected
    for cycle in range(4):
        pool = labelled(size, queries[: 10 + 4 * cycle])
        scores = score_model(run.config, warm.model(pool), truth, pool)
        for metric in METRIC_NAMES:
            assert float(f"{scores[metric]:.10g}") == run.curve[metric][cycle]
    assert set(METRIC_NAMES) < set(CURVE_COLUMNS)


@pytest.mark.parametrize("labels", ["acquired", "sampled"])
def test_a_batch_whose_labels_come_one_by_one_ends_as_the_run(labels, tmp_path):
    """The next pick of a sequential batch knows the labels before it, or those that were drawn."""
    arguments = ["strategy=bald", "batch=sequential", "batch.every=2", f"batch.labels={labels}"]
    run = alupdate.run([*SMALL, *arguments, f"results_dir={tmp_path}", "progress=false"])
    _, suggester = suggester_of(run.config)
    queries = run.queries
    for start in (10, 14, 18):
        offering = suggester.offering(labelled(1297, queries[:start]), NONE)
        picked = []
        for _, row in queries[start : start + 4].iterrows():
            index = int(offering.suggestions.indices[0])
            picked.append(index)
            offering.take(index, int(row["label"]))
        assert picked == queries["pool_index"][start : start + 4].tolist()
        assert not len(offering.suggestions.indices)


@pytest.mark.parametrize(
    ("batch", "initial"),
    [
        *product(("top_b", "sequential"), ("random", "typiclust", "coverage", "maxherding")),
        ("sampled-3", "random"),
        ("power", "random"),
    ],
)
def test_skipped_instances_are_never_offered_again(batch, initial):
    arguments = [
        *CONSTRUCTIONS[batch],
        "strategy=margin",
        f"initial={initial}",
        "update=first_order",
    ]
    config = compose_config([*SMALL, *arguments])
    setup, suggester = suggester_of(config)
    truth, rng = setup.dataset.train_labels, np.random.default_rng(0)
    pool, skipped = Pool.unlabelled(len(truth)), NONE
    seen = set[int]()
    while len(pool.indices) < 20:
        offered = suggester.offering(pool, skipped).suggestions.indices
        assert len(offered)
        index = int(offered[0])
        assert index not in seen
        seen.add(index)
        if rng.random() < 0.3:
            skipped = np.append(skipped, index)
        else:
            pool = pool.label(np.array([index]), truth[[index]])
    assert not np.isin(suggester.suggest(pool, skipped).indices, [*seen]).any()


def test_what_was_skipped_counts_as_covered():
    """Its neighbours do not take its place: what else was chosen stays."""
    setup, suggester = suggester_of(compose_config([*SMALL, "strategy=maxherding"]))
    truth = setup.dataset.train_labels
    pool = Pool.unlabelled(len(truth)).label(np.arange(10), truth[:10])
    offered = suggester.suggest(pool, NONE).indices
    again = suggester.suggest(pool, offered[:1]).indices
    assert again[:-1].tolist() == offered[1:].tolist()


def test_labels_that_nobody_asked_for_are_learned_from():
    config = compose_config([*SMALL, "batch=sequential", "strategy=margin", "subset=20"])
    setup, suggester = suggester_of(config)
    truth = setup.dataset.train_labels
    pool = Pool.unlabelled(len(truth)).label(np.arange(12), truth[:12])
    offered = suggester.suggest(pool, NONE)
    assert len(offered.indices) == 1
    assert not np.isin(offered.indices, pool.indices).any()
    assert offered.probabilities is not None
    assert offered.probabilities.shape == (1, 10)


def test_an_exhausted_pool_offers_what_is_left():
    cases = [
        *product(("margin", "badge", "typiclust"), ("top_b", "sequential", "sampled")),
        ("margin", "power"),
    ]
    for strategy, batch in cases:
        config = compose_config(
            [*SMALL, "dataset.n_train=16", *CONSTRUCTIONS[batch], f"strategy={strategy}"]
        )
        setup, suggester = suggester_of(config)
        truth = setup.dataset.train_labels
        pool = Pool.unlabelled(16).label(np.arange(14), truth[:14])
        assert set(suggester.suggest(pool, np.array([14])).indices.tolist()) == {15}
        assert not len(suggester.suggest(pool, np.array([14, 15])).indices)


@pytest.mark.parametrize("initial", ["typiclust", "coverage", "maxherding"])
def test_first_labels_may_be_chosen_without_a_model(initial, tmp_path):
    """Those of the run are those that are suggested."""
    arguments = [f"initial={initial}", "n_cycles=0", f"results_dir={tmp_path}", "progress=false"]
    run = alupdate.run([*SMALL[:2], *arguments])
    setup, suggester = suggester_of(run.config)
    first = suggester.suggest(Pool.unlabelled(1297), NONE)
    assert first.indices.tolist() == run.queries["pool_index"].tolist()
    assert first.chosen_by == f"initial={initial}"
    assert len(set(first.indices.tolist())) == 10
    at_random = alupdate.run([*SMALL[:2], *arguments[1:]])
    assert first.indices.tolist() != at_random.queries["pool_index"].tolist()
    assert setup.learner.rows is not None


def test_a_batch_that_others_filled_offers_nothing_more():
    """The next question then follows from the labels alone, as after a new start."""
    config = compose_config([*SMALL, "strategy=margin", "subset=20"])
    setup, suggester = suggester_of(config)
    truth = setup.dataset.train_labels
    pool = Pool.unlabelled(len(truth)).label(np.arange(12), truth[:12])
    offering = suggester.offering(pool, NONE)
    asked = offering.suggestions.indices
    assert len(asked) == 4
    for index in asked[:2].tolist():
        offering.take(index, int(truth[index]))
    assert not len(offering.suggestions.indices)
