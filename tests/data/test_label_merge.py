"""Labels of the data and of a labels file, merged as a slow walk of lists merges them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alupdate.data.label_merge import merge_labels
from alupdate.data.labels_file import Answer, LabelsFile
from alupdate.utils.errors import InputError

NAMES = ("p", "q", "r", "s")


def file_of(*answers):
    return LabelsFile("dataset.labels=l.csv", tuple(enumerate(answers, start=2)))


def merge(*answers, labels=(None,) * 4, **settings):
    return merge_labels(NAMES, labels, file_of(*answers), **settings)


def state(merged):
    return list(zip(merged.indices.tolist(), merged.labels, strict=True)), merged.skipped.tolist()


def reference(names, labels, answers, on_conflict):
    """Walk all rows for each instance by itself; None for a conflict."""
    order = []
    skipped = []
    for i, name in enumerate(names):
        said, since, is_skipped = labels[i], (-1, i), False
        for row, answer in enumerate(answers):
            if answer.instance != name:
                continue
            if answer.status == "removed":
                said, is_skipped = None, False
                continue
            new = answer.label or None
            if said is not None and said != new and on_conflict == "error":
                return None
            if said is None and new is not None:
                since = (row, 0)
            said, is_skipped = new, new is None
        if said is not None:
            order.append((since, i, said))
        if is_skipped:
            skipped.append(i)
    return [(i, label) for _, i, label in sorted(order)], skipped


ANSWERS = st.lists(
    st.builds(Answer, st.sampled_from(NAMES), st.sampled_from("ab"))
    | st.builds(
        Answer, st.sampled_from(NAMES), st.just(""), st.sampled_from(["skipped", "unknown"])
    )
    | st.builds(Answer, st.sampled_from(NAMES), st.just(""), st.just("removed")),
    max_size=12,
)
OWN = st.tuples(*[st.sampled_from([None, "a", "b"])] * 4)


@given(ANSWERS, OWN, st.sampled_from(["error", "last"]))
def test_rows_come_to_what_a_slow_walk_says(answers, labels, on_conflict):
    expected = reference(NAMES, labels, answers, on_conflict)
    try:
        merged = merge(*answers, labels=labels, on_conflict=on_conflict)
    except InputError:
        assert expected is None
    else:
        assert state(merged) == expected


def test_a_correction_keeps_its_place_and_a_removed_label_loses_it():
    rows = (Answer("q", "a"), Answer("p", "a"), Answer("r", "a"))
    corrected = merge(*rows, Answer("p", "b"), on_conflict="last")
    assert state(corrected)[0] == [(1, "a"), (0, "b"), (2, "a")]
    assert corrected.rows == (2, 5, 4)
    assert corrected.notes == (
        "dataset.labels=l.csv: 1 answers replace earlier ones (the last one counts)",
    )
    removed = merge(*rows, Answer("p", "", "removed"), Answer("p", "b"))
    assert state(removed)[0] == [(1, "a"), (2, "a"), (0, "b")]


@pytest.mark.parametrize(
    ("answers", "labels", "message"),
    [
        (
            [Answer("p", "a"), Answer("p", "b")],
            {},
            "row 3: p is labelled b, but row 2 says a;",
        ),
        ([Answer("p", "b")], {"labels": ("a",) * 4}, "row 2: p is labelled b, but the data say a;"),
        ([Answer("p", "a"), Answer("p", "", "unknown")], {}, "row 3: p is unknown, but row 2 says"),
        ([Answer("x/p", "a")], {}, "row 2: the pool has no instance x/p; did you mean p? insta"),
        ([Answer("z", "a")], {}, "row 2: the pool has no instance z; instances are called like p"),
    ],
)
def test_a_fault_is_one_line_that_names_file_and_rows(answers, labels, message):
    with pytest.raises(InputError) as caught:
        merge(*answers, **labels)
    assert str(caught.value).startswith(f"dataset.labels=l.csv: {message}")
    assert "\n" not in str(caught.value)


def test_rows_about_instances_that_cannot_be_read_are_counted():
    merged = merge(Answer("broken.png", "a"), Answer("p", "a"), unread={"broken.png"})
    assert state(merged) == ([(0, "a")], [])
    assert merged.notes == (
        "dataset.labels=l.csv: 1 answers are about instances that cannot be read",
    )


def test_there_may_be_no_file_and_no_label():
    assert state(merge_labels(NAMES, (None,) * 4, None)) == ([], [])
    assert state(merge_labels(NAMES, (None, "a", None, "b"), None)) == ([(1, "a"), (3, "b")], [])
