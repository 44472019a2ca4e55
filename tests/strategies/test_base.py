from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

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
