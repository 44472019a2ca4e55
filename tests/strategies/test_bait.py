from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.laplace import binary_fisher as binary_maths
from alupdate.laplace import fisher as fisher_maths
from alupdate.laplace.binary_fisher import Unseen
from alupdate.laplace.fisher import inverse, multiclass
from alupdate.strategies import bait as bait_file
from alupdate.strategies.bait import Bait
from alupdate.utils.errors import InputError
from tests.support.problems import make_query
from tests.support.references_bait import bait


@pytest.mark.parametrize("form", ["low-rank", "dense"])
@pytest.mark.parametrize("fisher", ["multiclass", "binary"])
@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(1, 3), st.integers(1, 3))
def test_equals_explicit_inverses(form, fisher, seed, classes, size, oversample):
    costs = (0.0, 1.0) if form == "low-rank" else (1.0, 0.0)
    query = make_query(
        seed=seed, candidates=12, dimension=4, classes=classes, dtype=torch.float64, taken=(3,)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fisher_maths, "inverse_costs", lambda *_: costs)
        chosen = Bait(fisher=fisher, oversample=oversample, regularisation=0.7).select(query, size)
    assert chosen.tolist() == bait(query, size, fisher, oversample, 0.7)


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 12), st.integers(0, 1))
def test_blocks_of_picks_that_other_candidates_exceed(seed, leaders, longest, wide):
    """Few leaders miss the best candidate often: what is picked must not depend on them."""
    query = make_query(
        seed=seed, candidates=12, dimension=(4, 30)[wide], classes=3, dtype=torch.float64
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(binary_maths, "LEADERS", leaders)
        patch.setattr(binary_maths, "LONGEST_BLOCK", longest)
        patch.setattr(binary_maths, "_CHUNK_NUMBERS", 20)
        chosen = Bait(fisher="binary", regularisation=0.7).select(query, 5)
    assert chosen.tolist() == bait(query, 5, "binary", 2, 0.7)


@pytest.mark.parametrize("known", [8, 60])
def test_what_200_picks_leave_of_the_binary_information(known):
    """Changed by rank one 200 times, against matrices inverted anew."""
    rng = np.random.default_rng(known)
    rows = torch.from_numpy(3 * rng.normal(size=(400 + known, 40)) + 2)
    weights = torch.from_numpy(rng.uniform(0.01, 0.25, size=len(rows)))
    start = (rows[:400], weights[:400], rows[400:], weights[400:], 1.0)
    picked, state = Unseen.of(*start).greedy(torch.ones(400, dtype=torch.bool), 200)
    joined = torch.cat([rows[picked], rows[400:]]), torch.cat([weights[picked], weights[400:]])
    anew = Unseen.of(*start[:2], *joined, 1.0)
    for name in ("inverse", "product", "own", "missing"):
        found, expected = getattr(state, name), getattr(anew, name)
        assert (found - expected).abs().max() <= 1e-9 * expected.abs().max(), name


def test_binary_picks_among_candidates_that_are_all_alike():
    query = make_query(candidates=30, dimension=4)
    alike = replace(query, features=query.features[:1].expand(30, -1), kept_logits=None)
    sure = replace(query, kept_logits=1e4 * query.logits)
    for asked in (alike, sure):
        assert len(set(Bait(fisher="binary").select(asked, 10).tolist())) == 10


def test_both_forms_of_the_inverse_agree(monkeypatch):
    query = make_query(candidates=30, dimension=9, classes=5, dtype=torch.float64)
    pool = multiclass(query.features, query.logits)
    known = query.labelled_features
    labelled = multiclass(known, query.posterior.logits(known))
    forms = []
    for costs in ((0.0, 1.0), (1.0, 0.0)):
        monkeypatch.setattr(fisher_maths, "inverse_costs", lambda *_, c=costs: c)
        forms.append(inverse(labelled, pool, 0.3))
    torch.testing.assert_close(forms[0].own, forms[1].own)
    torch.testing.assert_close(forms[0].missing, forms[1].missing)
    columns = torch.randn(5, 9, 3, dtype=torch.float64)
    torch.testing.assert_close(forms[0].apply(columns), forms[1].apply(columns))


def test_chunks_change_nothing(monkeypatch):
    query = make_query(candidates=30, dtype=torch.float64)
    whole = Bait().select(query, 4).tolist()
    monkeypatch.setattr(fisher_maths, "_CHUNK_NUMBERS", 50)
    monkeypatch.setattr(bait_file, "_CHUNK_NUMBERS", 50)
    assert Bait().select(query, 4).tolist() == whole


def test_single_precision_picks_what_double_precision_picks():
    """After 40 picks and 20 removals, on features of the length that networks give."""
    for seed in range(3):
        query = make_query(seed=seed, candidates=200, dimension=50, classes=4, dtype=torch.float64)
        query = replace(query, kept_logits=query.logits / 5)
        single = replace(
            query,
            features=query.features.float(),
            kept_logits=query.logits.float(),
            known_features=query.labelled_features.float(),
            posterior=replace(
                query.posterior,
                mean=query.posterior.mean.float(),
                base=query.posterior.covariance.float(),
            ),
        )
        chosen = [set(Bait().select(q, 20).tolist()) for q in (query, single)]
        assert len(chosen[0] & chosen[1]) >= 18


def test_says_when_the_matrices_do_not_fit(monkeypatch):
    monkeypatch.setattr(bait_file, "LARGEST_BYTES", 10)
    with pytest.raises(InputError, match="fisher=binary"):
        Bait().select(make_query(), 2)
    with pytest.raises(InputError, match="binary Fisher information of 6 features"):
        Bait(fisher="binary").select(make_query(), 2)
    monkeypatch.setattr(bait_file, "LARGEST_BYTES", 2**20)
    monkeypatch.delattr(bait_file, "multiclass")  # nothing of the pool's size is made before
    with pytest.raises(InputError, match=r"0 GiB; use strategy\.fisher=binary"):
        Bait().select(make_query(candidates=4000), 2)


@pytest.mark.parametrize("fisher", ["multiclass", "binary"])
def test_instances_far_from_all_others_in_single_precision(fisher):
    """Their share of the information that is left is nearly one: it must not round to one."""
    query = make_query(seed=1, candidates=30, dimension=40, classes=3, dtype=torch.float64)
    query = replace(query, features=query.features * 60, kept_logits=query.logits / 3)
    single = replace(
        query,
        features=query.features.float(),
        kept_logits=query.logits.float(),
        known_features=query.labelled_features.float(),
        posterior=replace(query.posterior, mean=query.posterior.mean.float()),
    )
    expected = bait(query, 6, fisher, 2, 0.01)
    assert Bait(fisher=fisher, regularisation=0.01).select(single, 6).tolist() == expected
