from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.laplace.updates import update_rule
from alupdate.strategies.base import Query, after_labels, best
from alupdate.strategies.uncertainty import margin_uncertainty, minus_plogp
from tests.support.problems import make_query


@given(
    utilities=st.lists(st.sampled_from([0.0, 1.0, 2.0, 2.5, -1.0]), min_size=12, max_size=12),
    taken=st.sets(st.integers(0, 11), max_size=4),
    size=st.integers(1, 8),
)
def test_the_best_are_those_of_a_full_stable_sort(utilities, taken, size):
    query = make_query(candidates=12, taken=tuple(taken))
    free = [i for i in range(12) if i not in taken]
    expected = sorted(free, key=lambda i: -utilities[i])[:size]
    assert best(torch.tensor(utilities), query, size).tolist() == expected


def test_labelled_features_take_in_what_was_picked():
    query = make_query(taken=(3, 1))
    assert torch.equal(query.labelled_features[-2:], query.features[[3, 1]])
    assert len(query.labelled_features) == len(query.labelled_labels) == 10
    nothing = replace(query, picked=query.picked[:0], picked_labels=query.picked_labels[:0])
    assert nothing.labelled_features is nothing.known_features


def test_a_sure_model_still_has_an_order():
    """In 32 bits, 1 - (p_first - p_second) would be 0 for each of these."""
    logits = torch.tensor([[30.0, 0.0, -5.0], [25.0, 0.0, -5.0], [35.0, 0.0, -5.0]])
    uncertainty = margin_uncertainty(logits)
    assert uncertainty.argsort(descending=True).tolist() == [1, 0, 2]
    np.testing.assert_allclose(uncertainty, 2 * np.exp([-30.0, -25.0, -35.0]), rtol=1e-2)


@pytest.mark.parametrize("tied", [[0.0, 0.0], [7.0, 7.0, 1.0], [2.0, 2.0, 2.0]])
def test_equal_largest_classes_are_as_uncertain_as_can_be(tied):
    assert margin_uncertainty(torch.tensor([tied])).item() == pytest.approx(1.0)


def test_terms_of_an_entropy():
    p = torch.tensor([[0.0, 1.0, 0.5, 1e-30], [1e-45, 0.25, 0.7, 0.0]])
    torch.testing.assert_close(minus_plogp(p), torch.special.entr(p))


@pytest.mark.parametrize("taken", [(), (3, 1)])
@pytest.mark.parametrize("asked", [False, True])
def test_a_subset_is_the_query_of_those_candidates_alone(taken, asked):
    """Before and after an update, whether or not what is kept with the query has been asked for."""
    whole = make_query(dtype=torch.float64, taken=taken)
    positions = np.array([7, 0, 12, 30])
    kept = torch.tensor([7, 0, 12, 30, *taken])
    if asked:
        assert whole.variances.shape == (40, 1)
        assert whole.products.shape == (40, len(taken))
    alone = replace(
        Query.of(whole.posterior, whole.features[kept], whole.known_features, whole.known_labels),
        picked=torch.arange(4, len(kept)),
        picked_labels=whole.picked_labels,
    )
    part = whole.subset(positions)
    assert part.rng is whole.rng
    assert part.oracle.candidate_labels.tolist() == whole.oracle.candidate_labels[kept].tolist()
    labels = torch.tensor([1, 0])
    updated = (after_labels(q, np.array([2, 0]), labels, whole.rule) for q in (part, alone))
    for found, expected in ((part, alone), tuple(updated)):
        for name in (
            "features", "logits", "known_features", "known_labels", "picked", "picked_labels",
            "labelled_features", "labelled_labels", "taken", "variances", "products",
        ):  # fmt: skip
            torch.testing.assert_close(getattr(found, name), getattr(expected, name), msg=name)
        assert found.free().tolist() == expected.free().tolist()
    assert len(whole.features) == 40
    assert whole.picked.tolist() == list(taken)


@pytest.mark.parametrize("taken", [(), (3, 1)])
def test_logits_that_are_not_kept_are_computed_a_few_at_a_time(monkeypatch, taken):
    """The same numbers, before and after an update, for all, for some and for a subset."""
    kept = make_query(dtype=torch.float64, taken=taken)
    monkeypatch.setattr("alupdate.strategies.base.LOGITS_AT_ONCE", 7 * kept.n_classes)
    query, rule, some = replace(kept, kept_logits=None), update_rule("map"), np.array([5, 2])
    assert len(list(kept.chunks())) == 1
    for picked in (np.array([8, 9]), np.array([11, 10])):
        sizes = [len(rows) for rows, logits in query.chunks() if len(rows) == len(logits)]
        assert sizes == [7] * 5 + [5]
        for found, expected in (
            (query.map_logits(margin_uncertainty), margin_uncertainty(kept.logits)),
            (query.logits, kept.logits),
            (query.logits_at(torch.tensor([[4, 0]])), kept.logits[[4, 0]][None]),
            (query.subset(some).logits, kept.subset(some).logits),
        ):
            torch.testing.assert_close(found, expected)
        labels = torch.tensor([0, 1])
        kept = after_labels(kept, picked, labels, rule)
        query = after_labels(query, picked, labels, rule)
        assert query.kept_logits is None


def test_logits_are_kept_where_they_are_few(monkeypatch):
    query = make_query()
    assert query.kept_logits is not None
    monkeypatch.setattr("alupdate.strategies.base.KEPT_LOGITS", query.logits.numel() - 1)
    assert Query.of(query.posterior, query.features).kept_logits is None
    assert Query.of(query.posterior, query.features[1:]).kept_logits is not None
