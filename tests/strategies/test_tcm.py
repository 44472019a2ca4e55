from dataclasses import replace

import pytest
import torch

from alupdate.strategies.diversity import Tcm, TypiClust
from alupdate.strategies.uncertainty import Margin
from tests.support.problems import make_query


def query_with(labels, classes=3, **keywords):
    query = make_query(classes=classes, **keywords)
    rows = query.known_features.repeat(10, 1)[:labels]
    return replace(query, known_features=rows, known_labels=torch.zeros(labels, dtype=torch.int64))


@pytest.mark.parametrize(
    ("switch_after", "classes", "labels", "expected"),
    [
        ("auto", 3, 11, TypiClust()),
        ("auto", 3, 12, Margin()),
        ("auto", 10, 39, TypiClust()),
        ("auto", 10, 40, Margin()),
        (5, 3, 0, TypiClust()),
        (5, 3, 4, TypiClust()),
        (5, 3, 5, Margin()),
    ],
)
def test_typiclust_until_there_are_so_many_labels(switch_after, classes, labels, expected):
    strategy = Tcm(switch_after=switch_after)
    asked, again = (query_with(labels, classes) for _ in "ab")
    assert strategy.select(asked, 6).tolist() == expected.select(again, 6).tolist()


def test_a_batch_is_all_of_one_kind():
    """Its own picks do not count."""
    asked, again = (query_with(11, taken=(0, 3, 5)) for _ in "ab")
    assert Tcm().select(asked, 2).tolist() == TypiClust().select(again, 2).tolist()
