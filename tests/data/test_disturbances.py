"""Rare classes, outliers, duplicates and wrong labels: exact numbers, by the data set's seed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alupdate.config.values import NO_LABEL
from alupdate.data.arrays import Digits
from alupdate.data.dataset import Dataset, Vectors
from alupdate.data.disturbances import Disturbances, disturbed_parts, tail_counts, wrong_labels
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError

CLASSES = ("a", "b", "c", "d", "e")


def labels_of(*counts, seed=0):
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(labels)


POOL, TEST = labels_of(80, 80, 80, 80, 80), labels_of(10, 10, 10, 10, 10)


def parts(pool=POOL, test=TEST, classes=CLASSES, **settings):
    return disturbed_parts(Disturbances(**settings), pool, test, classes)


def test_the_long_tail_has_the_counts_of_its_formula():
    found = parts(imbalance=16.0)
    counts = np.bincount(found.labels)
    assert sorted(counts, reverse=True) == [80, 40, 20, 10, 5]
    np.testing.assert_array_equal(POOL[found.pool], found.labels)
    assert (np.diff(found.pool) > 0).all()
    assert found.test.tolist() == list(range(50))
    assert f"{CLASSES[counts.argmax()]}: 80" in found.notes[0]


def test_the_test_set_is_thinned_where_that_is_asked_for():
    found = parts(imbalance=16.0, imbalance_test=True)
    counts, there = np.bincount(found.labels), np.bincount(found.test_labels)
    assert sorted(there, reverse=True) == [10, 5, 2, 1, 1]
    assert (np.argsort(-counts, kind="stable")[:3] == np.argsort(-there, kind="stable")[:3]).all()


@given(
    counts=st.lists(st.integers(0, 500), min_size=2, max_size=30).filter(any),
    ratio=st.floats(1, 1e6),
)
def test_a_tail_never_has_more_than_there_are_and_leaves_no_class_out(counts, ratio):
    kept = tail_counts(np.array(counts), ratio)
    assert (kept <= counts).all()
    assert ((kept > 0) == (np.array(counts) > 0)).all()
    assert tail_counts(np.array(counts), 1.0).tolist() == counts


def test_a_larger_ratio_keeps_a_part_of_what_a_smaller_one_keeps():
    mild, strong = parts(imbalance=4.0).pool, parts(imbalance=40.0).pool
    assert set(strong) < set(mild)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5])
def test_outliers_make_exactly_their_share(share):
    found = parts(outliers=share)
    outside = found.labels == NO_LABEL
    others = (~outside).sum()
    assert outside.sum() == round(share * others / (1 - share))
    names = np.array(CLASSES)
    kept = np.isin(names, found.classes)
    assert not kept[POOL[found.pool[outside]]].any()
    named = np.array(found.classes)[found.labels[~outside]]
    np.testing.assert_array_equal(names[POOL[found.pool[~outside]]], named)
    assert kept[TEST[found.test]].all()
    assert len(found.test) == 10 * len(found.classes)
    assert f"{outside.sum()} of {len(found.labels)} instances" in found.notes[0]


def test_outliers_are_of_as_few_classes_as_have_enough_or_of_those_that_are_named():
    assert len(parts(outliers=0.15).classes) == 4
    assert len(parts(outliers=0.3).classes) == 3
    assert len(parts(outliers=0.15, outlier_classes=3).classes) == 2
    found = parts(outliers=0.15, outlier_classes=["b"])
    assert found.classes == ("a", "c", "d", "e")
    assert set(POOL[found.pool[found.labels == NO_LABEL]]) == {1}


def test_duplicates_make_exactly_their_share_and_come_last():
    found = parts(duplicates=0.2)
    assert len(found.pool) == 500
    assert found.pool[:400].tolist() == list(range(400))
    assert set(found.pool[400:]) <= set(range(400))
    np.testing.assert_array_equal(found.labels, POOL[found.pool])
    assert found.notes == ("100 of 500 instances of the pool repeat others of it",)


@pytest.mark.parametrize("share", [0.001, 0.2, 0.999])
def test_exactly_the_share_of_labels_is_wrong(share):
    found = parts(label_noise=share)
    assert (found.labels != POOL).sum() == round(share * 400)
    assert found.pool.tolist() == list(range(400))
    np.testing.assert_array_equal(found.test_labels, TEST)
    assert set(found.labels) <= set(range(5))


def test_wrong_labels_are_uniform_or_follow_a_confusion():
    truth = np.repeat(np.arange(3), 4000)
    settings = Disturbances(label_noise=0.5)
    uniform, _ = wrong_labels(settings, truth, np.ones((3, 3)))
    wrong = uniform[uniform != truth]
    assert np.abs(np.bincount(wrong) / len(wrong) - 1 / 3).max() < 0.03
    confusion = np.array([[9.0, 3.0, 1.0], [0.0, 0.0, 5.0], [1.0, 0.0, 0.0]])
    confused, note = wrong_labels(settings, truth, confusion)
    assert (confused != truth).sum() == 6000
    np.testing.assert_array_equal(confused != truth, uniform != truth)
    of_first = confused[(truth == 0) & (confused != truth)]
    assert abs((of_first == 1).mean() - 0.75) < 0.05
    assert set(confused[(truth == 1) & (confused != truth)]) == {2}
    assert set(confused[(truth == 2) & (confused != truth)]) == {0}
    assert note == "6000 of 12000 labels of the pool are wrong (symmetric)"


def test_all_together_have_the_numbers_that_follow_from_the_order():
    found = parts(imbalance=4.0, outliers=0.2, duplicates=0.25, label_noise=0.1)
    known = tail_counts(np.full(len(found.classes), 80), 4.0).sum()
    strange = round(0.2 * known / 0.8)
    once = known + strange
    assert len(found.pool) == once + round(once / 3)
    assert len(set(found.pool)) == once
    outside = found.labels == NO_LABEL
    assert outside[:once].sum() == strange
    truth = np.array(CLASSES)[POOL[found.pool]][~outside]
    wrong = np.array(found.classes)[found.labels[~outside]] != truth
    assert wrong.sum() == round(0.1 * (~outside).sum())


def test_the_seed_of_the_disturbances_decides():
    settings = {"imbalance": 4.0, "outliers": 0.2, "duplicates": 0.25, "label_noise": 0.1}
    first, again = parts(**settings), parts(**settings)
    other = parts(**settings, disturbance_seed=1)
    for name in ("pool", "labels", "test"):
        assert getattr(first, name).tolist() == getattr(again, name).tolist()
    assert first.pool.tolist() != other.pool.tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"outliers": 0.9}, "dataset.outliers=0.9: too few .* the share can be 0.6 at most"),
        ({"outliers": 0.1, "outlier_classes": 4}, "fewer than two classes"),
        ({"outliers": 0.1, "outlier_classes": 9}, "fewer than two classes"),
        ({"outliers": 0.1, "outlier_classes": ["z"]}, "there is no class z"),
        ({"outlier_classes": 1}, "outlier_classes: has no effect without dataset.outliers"),
        ({"imbalance_test": True}, "imbalance_test: has no effect without dataset.imbalance"),
        ({"label_noise_kind": "confusion"}, "no effect without dataset.label_noise"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        parts(**settings)


def test_a_test_set_of_outliers_alone_is_refused():
    with pytest.raises(InputError, match="no test instance is of another class"):
        parts(test=np.zeros(4, np.int64), outliers=0.1, outlier_classes=["a"])


def test_a_data_set_is_as_it_was_without_disturbances():
    data = Digits().load(Path("cache"), Display(enabled=False))
    assert data.disturbed(Disturbances(disturbance_seed=3)) is data


def test_a_disturbed_data_set_counts_what_is_left_and_knows_its_source():
    rows = np.arange(800, dtype=np.float32).reshape(400, 2)
    copies = np.concatenate([rows[:10], rows[:40] + 0.5])
    data = Dataset("d", Vectors(rows), POOL, Vectors(copies), TEST, CLASSES)
    data = replace(data, notes=("10 of 50 test instances are in the pool, too (exact copies)",))
    other = data.disturbed(Disturbances(outliers=0.3, outlier_classes=2, label_noise=0.1))
    np.testing.assert_array_equal(other.train.rows, rows[other.source.train_positions])
    np.testing.assert_array_equal(other.test.rows, copies[other.source.test_positions])
    assert data.notes[0] not in other.notes
    assert data.disturbed(Disturbances(label_noise=0.1)).source is None


def test_names_say_what_was_done():
    plain = Digits(n_train=100)
    assert plain.display_name == "digits"
    assert replace(plain, label="mine", imbalance=20.0).display_name == "mine_imbalance20"
    both = replace(plain, label_noise=0.2, label_noise_kind="confusion", outliers=0.25)
    assert both.display_name == "digits_noise0.2confusion_outliers0.25"


def test_two_classes_leave_none_for_outliers():
    labels = np.array([0, 1] * 10)
    with pytest.raises(InputError, match=r"outliers=0\.3: leaves a class out and needs two"):
        disturbed_parts(Disturbances(outliers=0.3), labels, labels, ["a", "b"])


def test_a_pool_grows_to_a_hundred_times_by_duplicates_at_most():
    assert len(parts(duplicates=0.99).pool) == 100 * len(parts().pool)
    with pytest.raises(ValueError, match=r"less than or equal to 0\.99"):
        Disturbances(duplicates=0.9999)
