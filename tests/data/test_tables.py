import csv
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alupdate.data.labels import integers_if_all
from alupdate.data.parquet import Parquet
from alupdate.data.tables import Csv
from alupdate.data.text_tables import read_text_table
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError

ROWS = [(f"text {i}, with a comma", "ab"[i % 2]) for i in range(20)]


def write_separated(path, rows, delimiter=",", header=("text", "label")):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return str(path)


def write_lines(path, rows):
    lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def write(path, rows):
    if path.suffix in (".jsonl", ".ndjson", ".json"):
        return write_lines(path, rows)
    return write_separated(path, rows, "," if path.suffix == ".csv" else "\t")


def read(**settings):
    return Csv(**settings).load(Path("unused"), Display(enabled=False))


def one_file(path, **settings):
    return read(path=str(path), **settings)


@pytest.mark.parametrize("ending", ["csv", "tsv", "tab", "jsonl", "ndjson", "json", "CSV"])
def test_one_file_is_split_into_pool_and_test_set(ending, tmp_path):
    path = tmp_path / f"data.{ending}"
    write(path.with_suffix(path.suffix.lower()), ROWS)
    path.with_suffix(path.suffix.lower()).rename(path)
    dataset = one_file(path, test_share=0.25)
    assert dataset.kind == "texts"
    assert dataset.classes == ("a", "b")
    assert (len(dataset.train), len(dataset.test)) == (15, 5)
    kept = (*dataset.train.strings, *dataset.test.strings)
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    assert sorted(zip(kept, labels, strict=True)) == sorted((t, "ab".index(x)) for t, x in ROWS)


@pytest.mark.parametrize("endings", [("csv", "csv"), ("csv", "jsonl")])
def test_two_files_keep_their_order(endings, tmp_path):
    train, test = (tmp_path / f"{n}.{e}" for n, e in zip(("x", "y"), endings, strict=True))
    write(train, ROWS)
    write(test, ROWS[:4])
    dataset = read(train=str(train), test=str(test))
    assert dataset.train.strings == tuple(text for text, _ in ROWS)
    assert dataset.test_labels.tolist() == [0, 1, 0, 1]
    assert "4 of 4 test instances are in the pool" in dataset.notes[0]


def test_nothing_is_taken_for_a_missing_value(tmp_path):
    rows = [("NA", "null"), ("nan", "None"), ("None", "null"), ("null", "None")] * 3
    dataset = one_file(write(tmp_path / "d.csv", rows))
    assert set(dataset.train.strings) <= {"NA", "nan", "None", "null"}
    assert dataset.classes == ("None", "null")


def test_columns_can_be_named(tmp_path):
    path = write_separated(tmp_path / "d.csv", [(i, *r) for i, r in enumerate(ROWS)], header="xyz")
    assert one_file(path, text_column="y", label_column="z").classes == ("a", "b")


def test_labels_that_are_all_integers_are_sorted_as_integers(tmp_path):
    numbers = [(text, str(i % 2 * 8 + 2)) for i, (text, _) in enumerate(ROWS)]
    assert one_file(write(tmp_path / "d.csv", numbers)).classes == ("2", "10")
    padded = [(text, f"{i % 2 * 8 + 2:02d}") for i, (text, _) in enumerate(ROWS)]
    assert one_file(write(tmp_path / "e.csv", padded)).classes == ("02", "10")
    (tmp_path / "f.jsonl").write_text(
        "\n".join(json.dumps({"text": t, "label": i % 2 * 8 + 2}) for i, (t, _) in enumerate(ROWS))
    )
    assert one_file(tmp_path / "f.jsonl").classes == ("2", "10")


def test_labels_of_both_files_decide_whether_they_are_integers():
    both = integers_if_all(np.array(["1", "2"]), np.array(["x"]))
    assert [part.tolist() for part in both] == [["1", "2"], ["x"]]


@given(st.lists(st.integers(-(10**17), 10**17), min_size=1, max_size=5))
def test_integers_survive_their_spelling(numbers):
    assert integers_if_all(np.array([str(n) for n in numbers]))[0].tolist() == numbers


CELLS = st.text(
    st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from('\n\t,"'), min_size=1
).filter(str.strip)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6), st.sampled_from(["csv", "tsv"]))
def test_what_was_written_is_read(tmp_path_factory, rows, ending):
    path = tmp_path_factory.mktemp("written") / f"d.{ending}"
    write(path, rows)
    table = read_text_table(str(path), "here")
    assert table.texts("text", "key") == [text for text, _ in rows]
    assert table.texts("label", "key") == [label for _, label in rows]


def test_byte_order_mark_and_blank_lines_are_ignored(tmp_path):
    path = tmp_path / "d.csv"
    content = "text,label\n\n" + "".join(f"t{i},{'ab'[i % 2]}\n\n" for i in range(10))
    path.write_bytes(b"\xef\xbb\xbf" + content.encode())
    assert len(one_file(path).train) == 8


def test_cells_may_be_longer_than_the_csv_module_allows(tmp_path):
    limit = csv.field_size_limit()
    rows = [("long " * 60_000, "a"), ("short", "b")] * 5
    assert len(one_file(write(tmp_path / "d.csv", rows)).train) == 8
    assert csv.field_size_limit() == limit


GOOD = "good,a\nbad,b\n" * 5
BROKEN = {
    "empty.csv": (b"", "is empty"),
    "header.csv": (b"text,label\n", "has no rows"),
    "more.csv": (b"text,label\na,b\na,b,c\n", "row 3 has 3 cells, but the header has 2"),
    "fewer.csv": (b"text,label\na\na,b\n", "row 2 has 1 cells, but the header has 2"),
    "quotes.csv": (b'text,label\na,b\n"c,d\n', "row 3 cannot be read (unexpected end of data)"),
    "latin.csv": ("text,label\na,b\nné,b\n".encode("latin-1"), "line 3 is not UTF-8 (byte 0xe9)"),
    "utf16.csv": ("text,label\na,b\n".encode("utf-16"), "line 1 is not UTF-8 (byte 0xff)"),
    "blank.csv": (b"text,label\na,b\n  ,b\n", "row 3: text is empty"),
    "nolabel.csv": (b"text,label\na,b\na,\n", "row 3: label is empty"),
    "multiline.csv": (b'text,label\n"a\nb",x\n,x\n', "row 3: text is empty"),
    "column.csv": (
        b"texts,label\na,b\n",
        "dataset.text_column=text: no such column in dataset.path=column.csv; did you mean texts? "
        "available: texts, label",
    ),
    "twice.csv": (b"text,text,label\na,b,c\n", "there are two of this name"),
    "one.csv": (b"text,label\n" + b"x,a\n" * 10, "one class only (a)"),
    "single.csv": (b"text,label\n" + GOOD.encode() + b"x,c\n", "cannot be split"),
    "json.jsonl": (b'{"text": "a", "label": "b"}\n{"text": \n', "line 2 is not valid JSON"),
    "list.json": (b'["a", "b"]\n', "line 1 must be a JSON object"),
    "key.jsonl": (b'{"text": "a", "label": "b"}\n\n{"text": "a"}\n', "line 3 has no label"),
    "float.jsonl": (b'{"text": "a", "label": 1.5}\n', "line 1: label must be a string or an integ"),
    "flag.jsonl": (b'{"text": "a", "label": true}\n', "must be a string or an integer, not bool"),
    "half.jsonl": (b'{"text": "\\ud800", "label": "a"}\n', "line 1: text holds half of a surrog"),
    "data.xlsx": (b"PK", "must end in one of .csv, .tsv"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_fault_is_one_line_that_names_file_and_row(name, tmp_path, monkeypatch):
    content, message = BROKEN[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        one_file(name)
    assert message in str(caught.value)
    assert f"dataset.path={name}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"dataset.path=.*no.csv: No such file"):
        one_file(tmp_path / "no.csv")
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(InputError, match=r"dataset.path=.*d.csv: cannot be read \(Is a directory"):
        one_file(tmp_path / "d.csv")


def test_a_class_that_only_the_test_file_has_is_named(tmp_path):
    train = write(tmp_path / "train.csv", ROWS)
    test = write(tmp_path / "test.csv", [("x", "c")])
    with pytest.raises(InputError, match="classes that y_train lacks, such as c"):
        read(train=train, test=test)


def rows_with(changed, delimiter="\t"):
    lines = [f"text{delimiter}label"]
    for i in range(40):
        text = changed.get(i, f"number {i}")
        lines.append(f"{text}{delimiter}{'pos' if i % 2 else 'neg'}")
    return "\n".join(lines) + "\n"


def load(path, content):
    path.write_text(content)
    return Csv(path=str(path)).load(path.parent, Display(enabled=False))


def all_texts(dataset):
    return set(dataset.train.strings) | set(dataset.test.strings)


@pytest.mark.parametrize(
    "changed",
    [
        {10: '"We liked it at once', 30: 'and we left early ."'},
        {10: '"Superb, said the papers', 30: 'they called it "a mess"'},
        {10: '"Superb" said the papers'},
        {10: '"never closed'},
    ],
)
def test_an_open_quotation_swallows_no_rows_of_a_tsv(changed, tmp_path):
    dataset = load(tmp_path / "d.tsv", rows_with(changed))
    assert len(dataset.train) + len(dataset.test) == 40
    assert set(changed.values()) <= all_texts(dataset)
    assert dataset.notes[0].startswith("quotation marks are taken as characters")


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('"a ""quoted"" word"', 'a "quoted" word'),
        ('"two\nlines"', "two\nlines"),
        ('"a\ttab"', "a\ttab"),
        ('a 5" screen', 'a 5" screen'),
    ],
)
def test_quoted_cells_of_a_tsv_are_read_as_ever(cell, text, tmp_path):
    dataset = load(tmp_path / "d.tsv", rows_with({10: cell}))
    assert text in all_texts(dataset)
    assert dataset.notes == ()


def test_an_open_quotation_of_a_csv_is_named(tmp_path):
    changed = {10: '"We liked it at once', 30: 'and we left early ."'}
    dataset = load(tmp_path / "d.csv", rows_with(changed, ","))
    assert len(dataset.train) + len(dataset.test) == 20
    assert dataset.notes[0].startswith("row 12 opens a quotation that goes over several lines")
    assert load(tmp_path / "e.csv", rows_with({10: '"two\nlines"'}, ",")).notes == ()


def test_what_has_no_end_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    for name in ("pipe.csv", "zero.csv"):
        option = Csv(path=str(tmp_path / name))
        for step in (option.digest, option.load):
            with pytest.raises(InputError, match=f"{name}: cannot be read .is no regular file"):
                step(tmp_path, Display(enabled=False))


def test_a_name_that_is_twice_in_an_object_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a", "label": "x", "label": "y"}\n')
    with pytest.raises(InputError, match=r"line 1 is not valid JSON \(a name is there twice\)"):
        one_file(tmp_path / "a.jsonl")


@pytest.mark.parametrize("separator", [";", "|", "\t"])
def test_another_separator_is_named(separator, tmp_path):
    path = write_separated(tmp_path / "a.csv", ROWS, separator)
    with pytest.raises(InputError, match="cells are separated by " + re.escape(repr(separator))):
        one_file(path)


def test_labels_are_no_texts():
    with pytest.raises(InputError, match="text_column=label: is the column of labels"):
        Csv(path="a.csv", text_column="label").check()
    with pytest.raises(InputError, match="feature_column=y: is the column of labels"):
        Parquet(path="a.parquet", feature_column="y", label_column="y").check()
