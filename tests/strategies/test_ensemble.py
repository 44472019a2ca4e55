from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alupdate.strategies import ensemble
from alupdate.strategies.diversity import unit_length
from alupdate.strategies.ensemble import ENSEMBLE, ClassBalanced, class_balanced, proposed
from alupdate.strategies.label_flips import DropQuery
from alupdate.strategies.uncertainty import RandomSampling
from tests.support.problems import make_query


def naive(points, labels, counts, size):
    """Picks one after the other, by all distances between the members of a class."""
    counts, chosen = dict(enumerate(counts.tolist())), []
    for _ in range(size):
        left = [i for i in range(len(points)) if i not in chosen]
        present = {int(labels[i]) for i in left}
        label = min(present, key=lambda c: (counts[c], c))
        members = [i for i in left if labels[i] == label]
        sums = [
            sum(float((points[i] - points[j]).square().sum()) for j in members) for i in members
        ]
        chosen.append(members[int(np.argmax(np.array(sums) <= min(sums) * (1 + 1e-13)))])
        counts[label] += 1
    return chosen


@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 14),
    classes=st.integers(1, 5),
    data=st.data(),
)
def test_class_balance_equals_picks_by_all_distances(seed, count, classes, data):
    """Whatever labels there are before: classes may be full, empty, or run out of members."""
    rng = np.random.default_rng(seed)
    size = data.draw(st.integers(1, count))
    points = torch.from_numpy(rng.normal(size=(count, 3)))
    labels = torch.from_numpy(rng.integers(classes, size=count))
    counts = torch.from_numpy(rng.integers(4, size=classes))
    chosen = class_balanced(points, labels, counts, size)
    assert chosen.tolist() == naive(points, labels, counts, size)


@pytest.mark.parametrize("source", [None, DropQuery(oversample=1), DropQuery(dropout=0.01)])
def test_balanced_batches_are_of_the_sources_candidates(source):
    for seed in range(4):
        query, again = (make_query(seed=seed, taken=(3, 5), dtype=torch.float64) for _ in "ab")
        chosen = ClassBalanced(source).select(query, 6)
        from_all = again.free() if source is None else source.flipping(again, 6)
        if len(from_all) <= 6:
            assert set(from_all) <= set(chosen)
            continue
        points = unit_length(again.features[from_all][:, :-1])
        counts = torch.bincount(again.labelled_labels, minlength=3)
        labels = again.oracle.candidate_labels[from_all]
        assert chosen.tolist() == from_all[naive(points, labels, counts, 6)].tolist()


def test_balanced_batches_even_out_the_classes():
    query = make_query(candidates=300)
    query = replace(query, known_labels=torch.tensor([0, 0, 0, 0, 0, 0, 1, 1]))
    labels = query.oracle.candidate_labels[ClassBalanced().select(query, 10)]
    assert torch.bincount(labels).tolist() == [0, 4, 6]


def test_ten_strategies_of_which_two_are_oracles():
    assert len(ENSEMBLE) == 10
    assert sum(member.needs_oracle for member in ENSEMBLE) == 2


@pytest.mark.parametrize(
    ("candidates", "largest", "sizes"),
    [(60, 30, (20, 30)), (60, 5000, (20, 57)), (10, 5000, (7, 7)), (60, 3, (5, 5))],
)
def test_strategies_take_turns_on_subsets_of_many_sizes(candidates, largest, sizes, monkeypatch):
    """Three candidates are in the batch already."""
    seen = []

    class Spy(RandomSampling):
        def select(self, query, size):
            seen.append((self.label, len(query.free())))
            return super().select(query, size)

    monkeypatch.setattr(ensemble, "ENSEMBLE", [Spy(label="a"), Spy(label="b")])
    query = make_query(candidates=candidates, taken=(0, 4, 8))
    batches = proposed(query, 5, 201, largest)
    assert batches.shape == (201, 5)
    assert [label for label, _ in seen] == ["a", "b"] * 100 + ["a"]
    assert {min(n for _, n in seen), max(n for _, n in seen)} == set(sizes)
    for batch in batches:
        assert len(set(batch.tolist())) == 5
        assert set(batch.tolist()) <= set(query.free().tolist())
