"""Labels and numbers whose types lose something."""

import numpy as np
import pytest

from alupdate.data.dataset import from_arrays
from alupdate.data.labels import (
    LONGEST_CLASS_NAME,
    as_strings,
    integers_if_all,
    known_labels,
    label_notes,
)
from alupdate.data.numbers import as_features
from alupdate.utils.errors import InputError

ROWS = np.arange(8.0).reshape(4, 2)
LARGE = 2**53


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (np.array([LARGE, LARGE + 1] * 2), np.array([LARGE + 1, LARGE] * 2, np.uint64)),
        (np.array([-1, LARGE + 1] * 2), np.array([LARGE + 1] * 4, np.uint64)),
        (np.array([2**63, 2**63 + 1] * 2, np.uint64), np.array([2**63 + 1] * 4, np.uint64)),
        (np.array([7, 2**63 + 1] * 2, np.uint64), np.array([7] * 4, np.int8)),
    ],
)
def test_large_integers_of_two_types_stay_apart(train, test):
    dataset = from_arrays("d", ROWS, train, ROWS + 1, test, "here")
    expected = sorted(set(train.tolist()))
    assert dataset.classes == tuple(map(str, expected))
    assert [expected[i] for i in dataset.test_labels] == test.tolist()


def test_negative_and_unsigned_labels_need_neither_type():
    train, test = np.array([-1, 0]), np.array([2**64 - 1, 0], np.uint64)
    assert [part.tolist() for part in known_labels(train, test)] == [[-1, 0], [2**64 - 1, 0]]
    with pytest.raises(InputError, match=f"classes that y_train lacks, such as {2**64 - 1}"):
        from_arrays("d", ROWS[:2], train, ROWS[:2] + 1, test, "here")


def test_bytes_are_text():
    labels = np.array([b"yes", b"k\xc3\xa4se"] * 2)
    assert from_arrays("d", ROWS, labels, ROWS + 9, labels, "here").classes == ("käse", "yes")


def test_a_long_label_takes_no_room_in_others():
    labels = as_strings(["a", "b" * 4_000_000, *["a"] * 9_000])
    assert labels.nbytes < 100_000
    assert integers_if_all(labels)[0] is labels
    rows = np.arange(2.0 * len(labels)).reshape(-1, 2)
    dataset = from_arrays("d", rows, labels, rows[:1] + 0.5, labels[:1], "here")
    assert [len(name) for name in dataset.classes] == [1, 4_000_000]
    assert all(len(note) < 3 * LONGEST_CLASS_NAME for note in dataset.notes)


@pytest.mark.parametrize("other", ["pos ", " pos", "p\u200bos", "pos\u00a0"])
def test_classes_that_look_alike_are_named(other):
    (note,) = label_notes(np.unique(np.array(["neg", "pos", other])))
    assert note.startswith("the classes ")
    assert repr(other) in note
    assert "'pos'" in note


def test_two_spellings_of_an_umlaut_look_alike():
    assert "look" not in str(label_notes(np.array(["Pos", "pos"])))
    assert len(label_notes(np.array(["ka\u0308se", "k\u00e4se"]))) == 1


@pytest.mark.parametrize("value", [1e39, -1.797e308])
@pytest.mark.parametrize("part", ["train", "test"])
def test_numbers_beyond_32_bits_are_refused(value, part):
    rows = {"train": ROWS.copy(), "test": ROWS.copy()}
    rows[part][2, 1] = value
    labels = np.array([0, 1, 0, 1])
    complaint = f"here: X_{part}: column number 1 has {value:.4g} in row 2".replace("+", r"\+")
    with pytest.raises(InputError, match=complaint):
        from_arrays("d", rows["train"], labels, rows["test"], labels, "here")


@pytest.mark.parametrize("kind", [np.int64, np.float64])
def test_columns_that_32_bits_make_constant_are_named(kind):
    rows = np.stack([np.arange(4), 1_700_000_000 + np.arange(4), np.full(4, 7)], axis=1)
    labels = np.array([0, 1, 0, 1])
    names = ("a", "time", "c")
    dataset = from_arrays("d", rows.astype(kind), labels, rows.astype(kind), labels, "here", names)
    assert dataset.notes[0].startswith("features time: differ by less than 32-bit numbers can tell")


def test_features_of_32_bits_are_not_copied():
    rows = ROWS.astype(np.float32)
    assert np.shares_memory(as_features(rows, "here")[0], rows)
