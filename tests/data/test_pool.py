"""The state of the pool."""

import numpy as np
import pytest

from alupdate.data.pool import Annotator, Pool


def test_pool_knows_what_is_labelled_and_holds_no_other_label():
    pool = Pool.unlabelled(6, reserved=np.array([5])).label(np.array([3, 1]), np.array([0, 2]))
    assert pool.candidates().tolist() == [0, 2, 4]
    assert pool.indices.tolist() == [3, 1]
    assert pool.labels.tolist() == [0, 2]
    assert {len(np.atleast_1d(value)) for value in vars(pool).values()} == {0, 1, 2}


@pytest.mark.parametrize("indices", [[3], [0, 0], [5], [6], [-1]])
def test_pool_refuses_what_is_no_candidate(indices):
    pool = Pool.unlabelled(6, reserved=np.array([5])).label(np.array([3]), np.array([0]))
    with pytest.raises(ValueError, match="not distinct unlabelled"):
        pool.label(np.array(indices), np.zeros(len(indices), dtype=np.int64))


def test_annotator_gives_the_labels_that_are_asked_for():
    annotator = Annotator(np.array([4, 5, 6]))
    assert annotator.annotate(np.array([2, 0])).tolist() == [6, 4]
