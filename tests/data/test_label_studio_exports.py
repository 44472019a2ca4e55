"""Exports of Label Studio: each format gives the same answers, and what is wrong has one line."""

import json

import pytest

from alupdate.data.labels_file import Answer, append_answers, read_labels_file, refuse_export
from alupdate.utils.errors import InputError
from tests.support.label_studio_exports import (
    FORMATS,
    Given,
    Task,
    answered,
    exported,
    write_export,
)

TEXTS = ("plain", "two\nlines", 'with "quotes", commas', "t\tab", "é あ")
LABELS = ("dog", 'c,"a"\nt', "{x}", "1", "é ")


def tasks():
    """Tasks that were answered in the opposite order, and one that nobody has answered."""
    found = [
        answered(10 + i, {"text": text, "instance": str(i)}, LABELS[i], created=60 - i)
        for i, text in enumerate(TEXTS)
    ]
    return [*found, Task(20, {"text": "six", "instance": "5"})]


def read(path):
    return read_labels_file(str(path), "dataset.labels=F")


def answers(path):
    return [answer for _, answer in read(path).rows]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_labels_in_the_order_of_answers(kind, tmp_path):
    file = read(write_export(tmp_path / "export", kind, tasks()))
    expected = [(10 + i, Answer(str(i), LABELS[i])) for i in reversed(range(5))]
    assert list(file.rows) == expected
    assert file.is_export
    assert not file.notes


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_a_table_may_have_a_byte_order_mark_and_either_ending(kind, tmp_path):
    for ending in (".csv", ".tsv"):
        path = tmp_path / f"export{ending}"
        path.write_bytes(b"\xef\xbb\xbf" + exported(kind, tasks()))
        assert len(answers(path)) == 5


@pytest.mark.parametrize("kind", FORMATS)
def test_a_table_without_answers_has_none(kind, tmp_path):
    assert answers(write_export(tmp_path / "export", kind, [])) == []


@pytest.mark.parametrize("kind", FORMATS)
def test_a_control_of_another_name_is_found(kind, tmp_path):
    path = write_export(tmp_path / "export", kind, tasks(), control="sentiment")
    assert len(answers(path)) == 5


@pytest.mark.parametrize("kind", ["json_min", "csv"])
def test_columns_that_may_all_be_the_labels_are_refused(kind, tmp_path):
    data = {"text": "a", "topic": "b", "instance": "0"}
    path = write_export(tmp_path / "export", kind, [answered(1, data, "dog")], control="mood")
    with pytest.raises(InputError, match="cannot tell which of mood, topic holds the labels"):
        read(path)


def test_a_skipped_task_is_skipped_unless_somebody_labels_it(tmp_path):
    skip, label = Given((), 5, skips=True), Given(("dog",), 1)
    made = [Task(1, {"instance": "a"}, [skip]), Task(2, {"instance": "b"}, [label, skip])]
    path = write_export(tmp_path / "export", "json", made)
    assert answers(path) == [
        Answer("b", "", "skipped"),
        Answer("b", "dog"),
        Answer("a", "", "skipped"),
    ]


@pytest.mark.parametrize("kind", FORMATS)
def test_the_annotation_that_was_changed_last_comes_last_in_the_place_of_the_first(kind, tmp_path):
    twice = Task(1, {"instance": "a"}, [Given(("dog",), 1, updated=9), Given(("cat",), 2)])
    path = write_export(
        tmp_path / "export", kind, [answered(2, {"instance": "b"}, "cat", 5), twice]
    )
    assert answers(path) == [Answer("a", "cat"), Answer("a", "dog"), Answer("b", "cat")]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("choices", "line"), [(("a", "b"), "choice"), ((), "an annotation has no choice")]
)
def test_an_annotation_is_a_choice_of_one_class(kind, choices, line, tmp_path):
    path = write_export(tmp_path / "export", kind, [Task(7, {"instance": "a"}, [Given(choices)])])
    with pytest.raises(InputError, match=f"dataset.labels=F: task 7: .*{line}"):
        read(path)


def changed(**members):
    (task,) = json.loads(exported("json", [answered(7, {"instance": "a"}, "dog")]))
    for path, value in members.items():
        place, *keys = [int(key) if key.isdecimal() else key for key in path.split("__")]
        at, key = task, place
        for following in keys:
            at, key = at[key], following
        if value is ...:
            del at[key]
        else:
            at[key] = value
    return json.dumps([task])


REGION = {"type": "rectangle", "value": {"x": 1}}
WRONG = [
    (b"\xff[]", "not UTF-8"),
    (b"{", "is not valid JSON"),
    (b"", "is not valid JSON"),
    (b"{}", "must be a list of tasks"),
    (b"[1]", "the task at position 1 is no JSON object"),
    (b"[" * 100_000, "is not valid JSON (nested too deeply)"),
    (b'[{"id": NaN}]', "NaN is no number of JSON"),
    (b'[{"id": ' + b"9" * 5000 + b"}]", "is not valid JSON"),
    (b'[{"id": 1, "id": 2}]', "a name is there twice"),
    (b'[{"id": 1}]', "task 1: has no annotations"),
    (b'[{"data": {"text": "a"}, "predictions": []}]', "the task at position 1: id must be"),
    (b'[{"id": 3, "data": {}, "predictions": []}]', "task 3: has no annotations; give an export"),
    (changed(id="x"), "the task at position 1: id must be"),
    (changed(id=True), "the task at position 1: id must be"),
    (changed(annotations=[1]), "task 7: an annotation is no JSON object"),
    (changed(annotations__0__result=...), "task 7: an annotation has no list called result"),
    (changed(annotations__0__result=[1]), "task 7: an annotation holds None"),
    (changed(annotations__0__result=[REGION]), "task 7: an annotation holds rectangle"),
    (changed(annotations__0__result__0__value=1), "task 7: an annotation has no list called"),
    (changed(annotations__0__result__0__value__choices=[1]), "task 7: the choice must be a text"),
    (changed(annotations__0__result__0__value__choices=["\ud800"]), "half of a surrogate pair"),
    (changed(annotations__0__was_cancelled="no"), "task 7: was_cancelled must be true or false"),
    (changed(annotations__0__created_at=...), "task 7: created_at must be a time"),
    (changed(annotations__0__updated_at=12), "task 7: updated_at must be a time"),
    (changed(annotations__0__created_at="now"), "task 7: created_at must be a time"),
    (changed(annotations__0__id=...), "task 7: an annotation: id must be"),
    (changed(data__instance=[1]), "task 7: instance must be a text"),
    (changed(data__instance=" "), "task 7: instance must be a text"),
]


@pytest.mark.parametrize(("content", "line"), WRONG, ids=[line for _, line in WRONG])
def test_a_malformed_export_has_one_line(content, line, tmp_path):
    path = tmp_path / "export.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as raised:
        read(path)
    message = str(raised.value)
    assert message.startswith("dataset.labels=F: ")
    assert line in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("11,", "x,", "row 2: id must be"),
        ('"2026', '"now', "task 11: created_at must be a time"),
        ('"dog"', '"[{""rating"":3}]"', "task 11: choice is no choice of one class"),
        ('"dog"', '" "', "task 11: the choice must be a text"),
        ('"lead_time"', '"choice"', "has two columns called choice"),
    ],
)
def test_a_malformed_table_has_one_line(old, new, line, tmp_path):
    path = tmp_path / "export.csv"
    text = exported("csv", [answered(11, {"instance": "a"}, "dog")]).decode()
    path.write_text(text.replace("1100,", "1,").replace(old, new), newline="")
    if "two columns" in line:
        text = text.replace('"id"', '"choice"')
        path.write_text(text, newline="")
    with pytest.raises(InputError) as raised:
        read(path)
    assert line in str(raised.value)


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_is_added_to_an_export(kind, tmp_path):
    path = write_export(tmp_path / "export", kind, tasks())
    before = path.read_bytes()
    for refused in (
        lambda: append_answers(path, [Answer("0", "dog")]),
        lambda: refuse_export(path, str(path)),
    ):
        with pytest.raises(InputError, match=r"is an export of Label Studio.*task\.answers"):
            refused()
    assert path.read_bytes() == before


def test_a_new_json_file_is_not_begun(tmp_path):
    with pytest.raises(InputError, match="is an export of Label Studio"):
        append_answers(tmp_path / "new.json", [Answer("0", "dog")])
    assert not (tmp_path / "new.json").exists()


def test_a_labels_file_with_some_of_the_columns_is_none_of_its_exports(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("instance,label,annotator,created_at\na,dog,1,now\n")
    assert answers(path) == [Answer("a", "dog")]
    append_answers(path, [Answer("b", "cat")])
    assert len(answers(path)) == 2
