"""Instances that nobody could label: who looks at coverage takes them for covered."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import alupdate
from alupdate.config import SequentialBatch
from alupdate.config.options import make_option
from alupdate.config.values import NO_LABEL
from alupdate.laplace.updates import update_rule
from alupdate.strategies.batches import build_batch
from tests.support.problems import make_query

COVERAGE = {
    "coreset": {},
    "typiclust": {"min_cluster_size": 1},
    "probcover": {"radius": 0.5},
    "maxherding": {},
    "uherding": {"temperature": 1.0, "length": 0.7},
}


def strategy_of(name):
    return make_option("strategy", {"name": name, **COVERAGE.get(name, {})})


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("name", COVERAGE)
def test_they_cover_as_labelled_instances_do(name, large, monkeypatch):
    """A model that knows nothing of them chooses as if they were labelled."""
    if large:
        monkeypatch.setattr("alupdate.strategies.diversity._COPIED_NUMBERS", 0)
    query = make_query(labelled=6)
    rows = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    as_labelled = replace(
        query,
        rng=np.random.default_rng(0),
        known_features=torch.cat([query.known_features, rows]),
        known_labels=torch.cat([query.known_labels, torch.zeros(5, dtype=torch.int64)]),
    )
    found = strategy_of(name).select(replace(query, unlabelable=rows), 6)
    assert found.tolist() == strategy_of(name).select(as_labelled, 6).tolist()


@pytest.mark.parametrize("name", COVERAGE)
def test_their_copies_are_left_to_the_end(name):
    """Of two groups, one is known to be of nothing that can be labelled."""
    rng = torch.Generator().manual_seed(0)
    groups = [torch.tensor(centre) for centre in ([9.0, 0, 0, 1], [0, 9.0, 0, 1])]
    features = torch.cat([c + 0.1 * torch.randn(10, 4, generator=rng) for c in groups])
    query = make_query(features=features, candidates=20, labelled=0)
    told = replace(query, unlabelable=features[:10])
    assert strategy_of(name).select(told, 1)[0] >= 10


@pytest.mark.parametrize("name", ["random", "margin", "badge", "bait", "expected_lookahead"])
def test_others_choose_as_without_them(name):
    query = make_query()
    rows = torch.ones(3, 6)
    first = strategy_of(name).select(query, 5)
    again = replace(make_query(), unlabelable=rows)
    assert strategy_of(name).select(again, 5).tolist() == first.tolist()


def test_a_sequential_batch_adds_those_that_it_comes_upon():
    query, seen = make_query(), []

    class Recorder:
        name, needs_oracle, hypothetical_update = "recorder", False, None

        def select(self, query, size):
            seen.append(0 if query.unlabelable is None else len(query.unlabelable))
            if query.unlabelable is not None:
                assert torch.equal(query.unlabelable[0], first)
            return query.free()[:size]

    first = query.features[0]
    answers = iter([NO_LABEL, 1, NO_LABEL, 0, 1])
    batch = SequentialBatch(name="sequential", size=5)
    found = build_batch(
        Recorder(), query, batch, update_rule("second_order"),
        lambda picked: torch.tensor([next(answers)] * len(picked)),
    )  # fmt: skip
    assert found.tolist() == [0, 1, 2, 3, 4]
    assert seen == [0, 1, 1, 2, 2]


def test_from_python_they_are_positions():
    features = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    posterior = alupdate.fit(torch.nn.Linear(4, 3), features[:3])
    given = {"features": features, "posterior": posterior}
    in_vain = [5, 6, 20]
    found = alupdate.select("maxherding", 8, **given, labelled=[0, 1, 2], unlabelable=in_vain)
    same = alupdate.select("maxherding", 8, **given, labelled=[0, 1, 2, *in_vain])
    assert found.tolist() == same.tolist()
    scores = alupdate.utilities("margin", **given, labelled=[0], unlabelable=in_vain)
    assert np.flatnonzero(np.isnan(scores)).tolist() == [0, *in_vain]


@pytest.mark.parametrize(
    ("unlabelable", "complaint"),
    [
        ([1], "unlabelable: 1 is labelled"),
        ([30], "unlabelable: must be positions from 0 to 29"),
        ([7, 7], "unlabelable: names a position twice"),
    ],
)
def test_wrong_positions_are_one_line(unlabelable, complaint):
    features = torch.zeros(30, 4)
    posterior = alupdate.fit(torch.nn.Linear(4, 3), features[:3])
    with pytest.raises(ValueError, match=complaint):
        alupdate.select(
            "random", features=features, posterior=posterior, labelled=[1], unlabelable=unlabelable
        )
