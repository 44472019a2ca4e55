from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from alupdate.config.compose import compose_config
from alupdate.config.options import make_option
from alupdate.strategies.base import Query
from alupdate.strategies.refine import Refine
from alupdate.strategies.select import select
from alupdate.utils.errors import InputError
from tests.strategies.test_select import pool_of, query_for
from tests.support.problems import make_query


def alone(query, positions):
    """A query made anew of the candidates at positions, with those in the batch at the end."""
    kept = [*positions, *query.picked.tolist()]
    made = Query.of(
        query.posterior,
        query.features[kept],
        query.known_features,
        query.known_labels,
        seed=query.rng,
        gamma=query.gamma,
        rule=query.rule,
        oracle=replace(query.oracle, candidate_labels=query.oracle.candidate_labels[kept]),
    )
    batch = torch.arange(len(positions), len(kept))
    return replace(made, picked=batch, picked_labels=query.picked_labels)


def naive(query, size, refine):
    """The rounds written out, with queries made anew."""
    pool = query.free().tolist()
    for _ in range(refine.n_rounds):
        count = max(size, min(refine.largest_subset, int(refine.share * len(pool))))
        union = set()
        for name in refine.members:
            for _ in range(max(1, refine.n_batches // len(refine.members))):
                subset = query.rng.choice(pool, size=count, replace=False).tolist()
                chosen = make_option("strategy", {"name": name}).select(alone(query, subset), size)
                union |= {subset[i] for i in chosen}
        pool = sorted(union)
    final = make_option("strategy", {"name": refine.final})
    return [pool[i] for i in final.select(alone(query, pool), size)]


@examples(max_examples=25)
@given(
    seed=st.integers(0, 10**4),
    size=st.integers(1, 5),
    members=st.lists(
        st.sampled_from(["random", "margin", "badge", "coreset", "alfamix", "dropquery"]),
        min_size=1,
        max_size=3,
    ),
    largest=st.sampled_from([3, 12, 5000]),
)
def test_equals_the_rounds_written_out(seed, size, members, largest):
    refine = Refine(
        members=tuple(members), final="margin", n_rounds=2, n_batches=6, largest_subset=largest
    )
    first, second = (make_query(seed=seed, dtype=torch.float64, taken=(5, 31)) for _ in "ab")
    assert refine.select(first, size).tolist() == naive(second, size, refine)


def test_a_member_only_filters():
    """With margin alone, whatever is dropped has a smaller margin than what is kept of its subset:
    the most uncertain candidate is always among the last ones."""
    for seed in range(5):
        query = make_query(seed=seed, candidates=60)
        best = make_option("strategy", {"name": "margin"}).select(query, 1)
        refine = Refine(members=("margin",), final="margin", n_batches=40)
        assert refine.select(query, 1).tolist() == best.tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["strategy.members=[margin,lookahead]"], "strategy.members=lookahead: is an oracle; "),
        (
            ["strategy.final=greedy_lookahead"],
            "strategy.final=greedy_lookahead: is an oracle; ",
        ),
        (["strategy.members=[plugin]"], "strategy.members=plugin: needs settings of its own; avai"),
        (["strategy.members=[skactiveml]"], "strategy.members=skactiveml: needs settings of its"),
        (["strategy.final=refine"], "strategy.final=refine: cannot be part of itself; available"),
        (
            ["strategy.members=[margn]"],
            "strategy.members=margn: no such strategy; did you mean",
        ),
        (["strategy.members=[]"], "strategy.members="),
        (["strategy.members=margin"], "strategy.members=margin: must be"),
        (["strategy.share=1"], "strategy.share=1: must be less than 1"),
    ],
)
def test_what_cannot_be_part_is_refused_in_one_line(arguments, message):
    with pytest.raises(InputError) as refusal:
        compose_config(["strategy=refine", *arguments])
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)


def test_python_is_told_the_same():
    with pytest.raises(ValueError, match=r"strategy\.members=lookahead: is an oracle; available: "):
        select("refine", 3, **pool_of(make_query()), members=["lookahead"])


def test_members_that_make_updates_are_given_their_rule():
    refine = Refine(members=("margin", "expected_lookahead"), n_rounds=1, n_batches=2)
    assert refine.hypothetical_update == "second_order"
    assert Refine(final="expected_lookahead").hypothetical_update == "second_order"
    assert Refine().hypothetical_update is None
    assert len(refine.select(query_for(refine, 0), 3)) == 3


def test_members_that_expect_different_updates_are_refused(monkeypatch):
    refine = Refine(members=("margin", "expected_lookahead"), final="badge")
    badge = refine._chooser
    other = "alupdate.strategies.badge.Badge.hypothetical_update"
    monkeypatch.setattr(other, property(lambda self: "map"))
    assert badge.hypothetical_update == "map"
    with pytest.raises(InputError, match="expected_lookahead, badge expect different updates"):
        refine.check()


def test_a_subset_is_as_large_as_the_batch():
    query = make_query(candidates=9)
    refine = Refine(share=0.01, n_rounds=2, n_batches=1)
    assert sorted(refine.select(query, 9).tolist()) == list(range(9))
    assert len(np.unique(refine.select(query, 4))) == 4
