"""Labels files: their rows, their faults, growing ones, cut ones, and writing them."""

import fcntl
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alupdate.data import labels_file
from alupdate.data.labels_file import Answer, append_answers, read_labels_file
from alupdate.utils.errors import InputError

CELLS = st.text(
    st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from('\r\n\t,";\u2028é'),
    min_size=1,
    max_size=6,
).filter(str.strip)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(labels_file, "SECONDS_FOR_LINE_END", 0.0)
    monkeypatch.setattr(labels_file, "SECONDS_BETWEEN_READS", 0.0)


def read(path):
    return read_labels_file(str(path), f"dataset.labels={path.name}")


def answers_of(path):
    return [answer for _, answer in read(path).rows]


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_rows_are_read_with_their_numbers(tmp_path):
    content = (
        "instance,label,status\n1,cat,\n\n2,,skipped\n3,,\n4, ,unknown\n5,dog,labelled\n"
        "1,x,removed\n"
    )
    assert read(written(tmp_path / "l.csv", content)).rows == (
        (2, Answer("1", "cat")),
        (4, Answer("2", "", "skipped")),
        (6, Answer("4", "", "unknown")),
        (7, Answer("5", "dog")),
        (8, Answer("1", "x", "removed")),
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", "\ufeffrank,file,label,score\n1,a b.png,cat,0.5\n2,c.png,,0.1\n"),
        ("l.tsv", "label\tinstance\ncat\ta b.png\n"),
        ("l.CSV", '"instance","label"\r\n"a b.png","cat"\r\n'),
    ],
)
def test_other_columns_and_layouts(name, content, tmp_path):
    assert answers_of(written(tmp_path / name, content)) == [Answer("a b.png", "cat")]


@pytest.mark.parametrize("content", ["", "instance,label\n", "\ufeff"])
def test_a_file_may_hold_no_answers_yet(content, tmp_path):
    assert read(written(tmp_path / "l.csv", content)).rows == ()


FAULTS = {
    "x,label\n1,a\n": "has no column instance; it has x, label",
    "instances,label\n1,a\n": "has no column instance; did you mean instances? it has instances, l",
    "instance,lable\n1,a\n": "has no column label; did you mean lable? it has instance, lable",
    "instance,file,label\n1,2,a\n": "has the columns instance and file; remove one of them",
    "instance,label,label\n1,a,b\n": "has two columns called label; remove one of them",
    "instance,label,status\n1,,skiped\n": "row 2: no such status skiped; did you mean skipped? av",
    "instance,label,status\n1,,labelled\n": "row 2: has the status labelled, but no label",
    "instance,label,status\n1,a,unknown\n": "row 2: has the status unknown and the label a",
    "instance,label\n1,b\n ,a\n": "row 3: instance is empty; fill it or remove the row",
    "file,label\n,a\n": "row 2: file is empty",
    "instance,label\n1,a,b\n": "row 2 has 3 cells, but the header has 2",
    'instance,label\n1,"a\n2,b\n3,c\n': "row 2 cannot be read (unexpected end of data)",
    b"instance,label\n1,caf\xe9\n": "line 2 is not UTF-8 (byte 0xe9)",
}


@pytest.mark.parametrize("content", FAULTS)
def test_a_fault_is_one_line_that_names_file_and_row(content, tmp_path):
    with pytest.raises(InputError) as caught:
        read(written(tmp_path / "l.csv", content))
    assert str(caught.value).startswith("dataset.labels=l.csv: ")
    assert FAULTS[content] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for name, message in {
        "no.csv": "No such file",
        "l.xlsx": "must end in one of .csv, .tsv, .tab",
        "pipe.csv": "is no regular file",
    }.items():
        with pytest.raises(InputError, match=message):
            read(tmp_path / name)


@pytest.mark.parametrize("last", [b"2", b'2,"d', b"2,", b"2,caf\xc3", b"2,d,skip", b'2,"a\nb'])
def test_a_cut_last_row_is_passed_over_with_a_note(last, tmp_path):
    file = read(written(tmp_path / "l.csv", b"instance,label,status\n1,cat,\n" + last))
    assert file.rows == ((2, Answer("1", "cat")),)
    assert file.is_cut
    assert "the last row is cut off" in file.notes[0]
    with pytest.raises(InputError, match=r"l\.csv: the last row is cut off; complete or remove it"):
        append_answers(tmp_path / "l.csv", [Answer("3", "x")])


def test_a_last_row_without_line_end_is_read_and_named_where_it_might_be_cut(tmp_path):
    file = read(written(tmp_path / "l.csv", "instance,label\n1,cat"))
    assert file.rows == ((2, Answer("1", "cat")),)
    assert file.notes == ("row 2, the last, has no line end: its label is 'cat'",)
    assert read(written(tmp_path / "m.csv", "label,instance,status\ncat,1,")).notes == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "instance,label,status\n1,cat,\n2,,skipped\n"),
        ("", "instance,label,status\n1,cat,\n2,,skipped\n"),
        ("file,label,status\n0,x,", "file,label,status\n0,x,\n1,cat,\n2,,skipped\n"),
        (
            "rank,status,label,instance,note\r\n1,,x,0,y\r\n",
            "rank,status,label,instance,note\r\n1,,x,0,y\r\n,,cat,1,\r\n,skipped,,2,\r\n",
        ),
        (
            "\ufeffinstance,status,label\n",
            '\ufeffinstance,status,label\n"1","","cat"\n"2","skipped",""\n',
        ),
    ],
)
def test_answers_go_below_the_columns_that_are_there(before, after, tmp_path):
    path = tmp_path / "l.csv"
    if before is not None:
        written(path, before)
    append_answers(path, [Answer("1", "cat"), Answer("2", "", "skipped")])
    assert path.read_bytes().decode() == after
    assert [answer.instance for answer in answers_of(path)][-2:] == ["1", "2"]


def test_a_new_file_may_be_made_without_answers(tmp_path):
    append_answers(tmp_path / "l.csv", [])
    append_answers(tmp_path / "l.csv", [])
    assert (tmp_path / "l.csv").read_text() == "instance,label,status\n"


UNWRITABLE = {
    "status": (
        "l.csv",
        "instance,label\n",
        Answer("1", "", "skipped"),
        "has no column status, which",
    ),
    "nothing": ("l.csv", "", Answer("1"), "has neither label nor status"),
    "blank": ("l.csv", "", Answer("1", " "), "has neither label nor status"),
    "no instance": ("l.csv", "", Answer(" ", "a"), "instance is empty"),
    "surrogate": ("l.csv", "", Answer("\ud800", "a"), "half of a surrogate pair"),
    "tab": ("l.tsv", "", Answer("1", "a\tb"), "use a .csv file"),
    "columns": ("l.csv", "text,label\n", Answer("1", "a"), "has no column instance"),
    "ending": ("l.txt", "", Answer("1", "a"), "must end in one of"),
    "folder": ("none/l.csv", None, Answer("1", "a"), "cannot be written .No such file"),
}


@pytest.mark.parametrize("name", UNWRITABLE)
def test_answers_that_cannot_be_written_leave_the_file_as_it_is(name, tmp_path):
    file, content, answer, message = UNWRITABLE[name]
    path = tmp_path / file
    if content is not None:
        written(path, content)
    with pytest.raises(InputError, match=message) as caught:
        append_answers(path, [answer])
    assert "\n" not in str(caught.value)
    assert content is None or path.read_bytes() == content.encode()


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = written(tmp_path / "l.csv", "instance,label,status\n1,cat,\n")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"l\.csv: cannot be written .No space left"):
        append_answers(path, [Answer("2", "dog")])
    assert path.read_text() == "instance,label,status\n1,cat,\n"


ANSWERS = st.lists(
    st.builds(Answer, CELLS, CELLS)
    | st.builds(Answer, CELLS, st.just(""), st.sampled_from(["skipped", "unknown", "removed"])),
    max_size=6,
)


@given(ANSWERS, st.sampled_from([None, "file,label,status\n", "label,status,x,instance\n"]))
def test_what_was_written_is_read(tmp_path_factory, answers, header):
    path = tmp_path_factory.mktemp("written") / "l.csv"
    if header is not None:
        path.write_text(header)
    for answer in answers:
        append_answers(path, [answer])
    assert answers == (answers_of(path) if path.exists() else [])


@pytest.mark.parametrize("header", [None, "instance,label\n", "label,x,instance,y\n"])
def test_a_kill_at_any_byte_loses_no_whole_row(header, tmp_path):
    whole = tmp_path / "whole.csv"
    if header is not None:
        whole.write_text(header)
    answers = [Answer("1", "Käse, alt"), Answer('2 "x"\nü', "dog"), Answer("3", "catfish")]
    sizes = []
    for answer in answers:
        append_answers(whole, [answer])
        sizes.append(whole.stat().st_size)
    content = whole.read_bytes()
    for size in range(len(content) + 1):
        path = written(tmp_path / "l.csv", content[:size])
        if size < len(content.splitlines()[0]):
            continue
        found = answers_of(path)
        kept = sum(size >= end for end in sizes)
        # of the row after those, all but its line end may be there
        assert found in (answers[:kept], answers[: kept + (size + 1 in sizes)])


def test_a_header_that_was_cut_holds_no_answers_or_is_one_line(tmp_path):
    header = "instance,label,status"
    for size in range(len(header) + 1):
        path = written(tmp_path / "l.csv", header[:size])
        if not size or size >= len("instance,label"):
            assert answers_of(path) == []
        else:
            with pytest.raises(InputError, match=r"^dataset\.labels=l\.csv: has no column [^\n]*$"):
                read(path)


def half_rows(path, count, stop):
    """Append rows, each in two halves, as a program without a buffer of lines does."""
    with path.open("a", buffering=1, newline="") as file:
        for i in range(count):
            file.write(f"{i},cl")
            file.flush()
            file.write(f"ass {i}\n")
            file.flush()
    stop.set()


def test_a_file_that_grows_while_it_is_read_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(labels_file, "SECONDS_FOR_LINE_END", 5.0)
    path, stop = written(tmp_path / "l.csv", "instance,label\n"), threading.Event()
    writer = threading.Thread(target=half_rows, args=(path, 3000, stop))
    writer.start()
    counts = [0]
    while not stop.is_set():
        found = answers_of(path)
        assert found == [Answer(str(i), f"class {i}") for i in range(len(found))]
        assert len(found) >= counts[-1]
        counts.append(len(found))
    writer.join()
    assert len(answers_of(path)) == 3000


def test_a_file_that_never_stops_growing_is_read_up_to_its_last_line(tmp_path, monkeypatch):
    path = written(tmp_path / "l.csv", "instance,label\n1,cat\n2,d")
    monkeypatch.setattr(labels_file, "SECONDS_FOR_LINE_END", 60.0)
    monkeypatch.setattr(labels_file, "SECONDS_FOR_GROWTH", 0.0)
    assert answers_of(path) == [Answer("1", "cat")]


def test_two_programs_that_append_take_turns(tmp_path):
    path = tmp_path / "l.csv"
    with path.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        thread = threading.Thread(target=append_answers, args=(path, [Answer("2", "b")]))
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        other.write(b"instance,label\n1,a\n")
    thread.join()
    assert path.read_text() == 'instance,label\n1,a\n"2","b"\n'


@pytest.mark.parametrize(
    "text",
    ['"instance";"label"\n"1";"a"\n"2";"b"\n', 'instance,label\n1,"a"x\n2,"b\nb"\n'],
    ids=["quoted and separated by semicolons", "text behind a quotation"],
)
def test_a_row_in_the_middle_that_cannot_be_read_is_not_one_that_was_cut(text, tmp_path):
    """What was cut is at the end of a file; other rows must not be passed over with it."""
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"row \d cannot be read"):
        read_labels_file(str(path), "labels.csv")
