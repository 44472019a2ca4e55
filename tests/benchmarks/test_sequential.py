"""The batch in which nothing is carried over is the one that updates give."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from alupdate.laplace.second_order import second_order
from alupdate.strategies.badge import Badge
from alupdate.strategies.bait import Bait
from alupdate.strategies.uncertainty import Margin
from benchmarks import sequential as section
from benchmarks.plain_sequential import plain_bait, plain_sequential
from benchmarks.sequential import Setting, Sizes, same_batch, sequential
from tests.support import references_bait

SMALL = Sizes(pool=40, dimension=6, classes=3, labelled=9, batch=5)


@pytest.fixture(scope="module")
def setting():
    return Setting.of(SMALL)


def pair(name):
    if name in ("binary", "multiclass"):
        ours = Bait(fisher=name)
        return ours, plain_bait(name, ours.oversample, ours.regularisation)
    strategy = {"margin": Margin, "badge": Badge}[name]()
    return strategy, strategy.select


@pytest.mark.parametrize("name", ["margin", "badge", "binary", "multiclass"])
def test_both_ways_choose_the_same_batch_in_order(setting, name):
    strategy, plain = pair(name)
    labels = setting.pool.labels
    ours = sequential(strategy, setting.query(), labels, SMALL)
    other = plain_sequential(plain, setting.query(), labels, SMALL.batch)
    assert len(set(ours)) == SMALL.batch
    np.testing.assert_array_equal(ours, other)


def test_the_updates_matter_to_the_batch(setting):
    """Otherwise equal batches would say nothing about the update between the picks."""
    labels = setting.pool.labels
    ours = sequential(Margin(), setting.query(), labels, SMALL)
    assert same_batch(ours, Margin().select(setting.query(), SMALL.batch)) != "same batch"


def test_the_full_update_is_ours(setting):
    states = []

    def select(query, size):
        states.append(query)
        return Margin().select(query, size)

    batch = plain_sequential(select, setting.query(), setting.pool.labels, 4)
    before, last = torch.from_numpy(batch[:3]), states[-1]
    rows, labels = setting.pool.features[before], setting.pool.labels[before]
    expected = second_order(setting.posterior, rows, labels, 1.0)
    torch.testing.assert_close(last.posterior.mean, expected.posterior.mean)
    torch.testing.assert_close(last.posterior.covariance, expected.posterior.covariance)
    moved = expected.new_logits(setting.query().logits, setting.pool.features)
    torch.testing.assert_close(last.logits, moved, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(last.labelled_labels[-3:], labels)
    assert last.picked.tolist() == batch[:3].tolist()


@pytest.mark.parametrize("fisher", ["binary", "multiclass"])
def test_plain_bait_is_that_of_explicit_inverses(setting, fisher):
    query = setting.query()
    picked = plain_bait(fisher, 2, 1.0)(query, 4)
    assert picked.tolist() == references_bait.bait(query, 4, fisher, 2, 1.0)


def test_the_rows_say_that_batches_agree(without_memory):
    quick, full = (list(section.rows(quick, sizes=SMALL)) for quick in (True, False))
    assert [row.what.split()[1] for row in quick] == ["margin", "BADGE", "BAIT,"]
    assert len(full) == len(quick) + 1
    assert "multiclass" in full[-1].what
    assert full[-1].ours.repeats == full[-1].other.repeats == 1
    for row in (*quick, *full):
        assert row.agreement == "same batch", row.what
        assert "5 from 40, D=6 C=3, 9 labelled" in row.what


def test_a_row_shows_when_batches_differ(setting, without_memory):
    def last(query, size):
        return query.free()[-size:]

    row = section._row("margin", setting, Margin(), last, lambda steps: section.in_turn(steps, 1))
    assert row.agreement.endswith("of 5 same")


def test_agreement_in_words():
    batch = np.array([3, 1, 2])
    assert same_batch(batch, batch) == "same batch"
    assert same_batch(batch, batch[::-1]) == "same batch in another order"
    assert same_batch(batch, np.array([3, 1, 7])) == "2 of 3 same"


def test_plain_update_refuses_another_likelihood(setting):
    query = setting.query()
    other = replace(query, posterior=replace(setting.posterior, likelihood="categorical"))
    with pytest.raises(TypeError, match="gaussian"):
        plain_sequential(Margin().select, other, setting.pool.labels, 2)
