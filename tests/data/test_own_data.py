"""Pools of which some instances are labelled, from every kind of source, and their simulation."""

import csv
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alupdate.data.arrays import Npz
from alupdate.data.image_folder import ImageFolder
from alupdate.data.labels_file import Answer, append_answers
from alupdate.data.own_data import PARTLY
from alupdate.data.parquet import Parquet
from alupdate.data.tables import Csv
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from tests.support.images import encoded, pixels, write_folder, write_zip

QUIET = Display(enabled=False)
COUNT, HELD_OUT = 24, 6
LABELS = ["2", "10", "3"] * 8
"""Integers, whose order as strings would be another one."""


def partly(option, tmp_path):
    return option.partly_labelled(tmp_path / "cache", QUIET)


def whole(option, tmp_path):
    return option.load(tmp_path / "cache", QUIET)


def labels_of(found):
    """Return the instances' labels by name, in the order of labelling."""
    names = [found.names[i] for i in found.indices.tolist()]
    return dict(zip(names, [found.classes[c] for c in found.labels.tolist()], strict=True))


def hide(labels, kept=()):
    return [label if i in kept else None for i, label in enumerate(labels)]


class OfCsv:
    """Texts in CSV or JSONL files, or the same made by ``ending``."""

    first_name, ending = 2, "csv"
    option: Any = Csv
    classes = ("2", "3", "10")

    def write(self, folder, name, labels, start=0):
        path = folder / f"{name}.{self.ending}"
        rows = [(f"text {start + i}", label) for i, label in enumerate(labels)]
        if self.ending == "jsonl":
            lines = ({"text": t} | ({"label": x} if x is not None else {}) for t, x in rows)
            path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        else:
            with path.open("w", newline="") as file:
                delimiter = "," if self.ending == "csv" else "\t"
                csv.writer(file, delimiter=delimiter).writerows([("text", "label"), *rows])
        return str(path)

    def make(self, folder, own, test_labels=None, **settings):
        folder.mkdir()
        if test_labels is None:
            return self.option(path=self.write(folder, "d", own), **settings)
        return self.option(
            train=self.write(folder, "x", own),
            test=self.write(folder, "y", test_labels, COUNT),
            **settings,
        )

    def names(self, count):
        return [str(self.first_name + i) for i in range(count)]


class OfTsv(OfCsv):
    ending = "tsv"


class OfJsonl(OfCsv):
    first_name, ending = 1, "jsonl"


class OfParquet(OfCsv):
    first_name, ending = 1, "parquet"
    option = Parquet

    def write(self, folder, name, labels, start=0):
        path = folder / f"{name}.parquet"
        columns = {"a": np.arange(start, start + len(labels)) / 7, "label": labels}
        pq.write_table(pa.table(columns), path)
        return str(path)


class OfIntegers(OfParquet):
    """As pandas writes integers of which some are missing."""

    def write(self, folder, name, labels, start=0):
        values = [int(x) if x is not None else None for x in labels]
        kind = pa.float64() if None in labels else pa.int64()
        return super().write(folder, name, pa.array(values, kind), start)


class OfNpz(OfCsv):
    first_name = 0
    convert: Any = int
    none: Any = -1

    def make(self, folder, own, test_labels=None, **settings):
        folder.mkdir()
        arrays = {"X_train": np.arange(2.0 * len(own)).reshape(-1, 2), "y_train": own}
        if test_labels is not None:
            arrays |= {"X_test": np.ones((len(test_labels), 2)), "y_test": test_labels}
        for name in ("y_train", "y_test"):
            if name in arrays:
                values = [self.none if x is None else self.convert(x) for x in arrays[name]]
                arrays[name] = np.array(values)
        np.savez(folder / "d.npz", **arrays)
        return Npz(path=str(folder / "d.npz"), **settings)


class OfStrings(OfNpz):
    convert, none = str, ""
    classes = ("10", "2", "3")


class OfFolders(OfCsv):
    """Images whose names sort alike whether they lie in a class folder or not."""

    classes = ("10", "2", "3")
    write_to: Any = staticmethod(write_folder)
    suffix = ""

    def file(self, part, i, label):
        return f"{part}{'unlabelled' if label is None else label}/{i:03d}.png"

    def make(self, folder, own, test_labels=None, **settings):
        parts = {"": own}
        if test_labels is not None:
            parts = {"train/": own, "test/": test_labels}
        files = {
            self.file(part, i, label): encoded(pixels(i + COUNT * (part == "test/")))
            for part, some in parts.items()
            for i, label in enumerate(some)
        }
        path = self.write_to(folder.with_name(f"{folder.name}{self.suffix}"), files)
        return ImageFolder(path=path, **settings)


class OfZip(OfFolders):
    write_to = staticmethod(write_zip)
    suffix = ".zip"


TABLES = [OfCsv(), OfTsv(), OfJsonl(), OfParquet(), OfIntegers(), OfNpz(), OfStrings()]
ALL = [*TABLES, OfFolders(), OfZip()]


def called(source):
    return type(source).__name__


@pytest.fixture(params=TABLES, ids=called)
def table(request):
    return request.param


@pytest.fixture(params=ALL, ids=called)
def source(request):
    return request.param


def test_some_instances_are_labelled_and_there_is_no_test_set(table, tmp_path):
    found = partly(table.make(tmp_path / "d", hide(LABELS, kept=(1, 5, 6))), tmp_path)
    assert len(found.pool) == COUNT
    assert found.test is None
    assert found.test_labels is None
    names = table.names(COUNT)
    assert list(found.names) == names
    assert labels_of(found) == {names[1]: "10", names[5]: "3", names[6]: "2"}
    assert list(labels_of(found)) == [names[1], names[5], names[6]]
    assert found.classes == table.classes
    assert not found.declared
    assert found.labels_file is None


@pytest.mark.parametrize("with_test_set", [True, False])
def test_no_instance_is_labelled(source, with_test_set, tmp_path):
    test_labels = [None] * HELD_OUT if with_test_set else None
    found = partly(source.make(tmp_path / "d", [None] * COUNT, test_labels), tmp_path)
    assert (len(found.indices), found.classes, len(found.pool)) == (0, (), COUNT)
    assert (found.test is not None) == with_test_set
    assert found.test_labels is None


def test_a_test_set_is_labelled_fully_and_its_classes_count(source, tmp_path):
    found = partly(source.make(tmp_path / "d", [None] * COUNT, LABELS[:HELD_OUT]), tmp_path)
    assert len(found.test) == HELD_OUT
    assert found.classes == source.classes
    assert sorted(found.test_labels.tolist()) == [0, 0, 1, 1, 2, 2]
    part = source.make(tmp_path / "e", LABELS, hide(LABELS[:HELD_OUT], kept=(0, 1)))
    with pytest.raises(InputError, match="has no label, but others of the test set have one"):
        partly(part, tmp_path)


def simulated(source, tmp_path, **settings):
    """Return the simulation of a data set, and the pool that people see, without labels."""
    full = source.make(tmp_path / "full", LABELS, LABELS[:HELD_OUT], **settings)
    hidden = source.make(tmp_path / "hidden", [None] * COUNT, LABELS[:HELD_OUT], **settings)
    return whole(full, tmp_path), partly(hidden, tmp_path)


@pytest.mark.parametrize(
    "settings", [{}, {"n_train": 7, "n_test": 5}, {"classes": ("2", "3", "10", "x")}]
)
def test_a_pool_without_labels_is_the_one_of_the_simulation(table, settings, tmp_path):
    dataset, found = simulated(table, tmp_path, **settings)
    np.testing.assert_array_equal(dataset.train.digests(), found.pool.digests())
    np.testing.assert_array_equal(dataset.test.digests(), found.test.digests())
    np.testing.assert_array_equal(dataset.test_labels, found.test_labels)
    assert dataset.classes == found.classes
    if "n_train" in settings:
        assert len(found.names) == len(found.pool) == 7
        places = [table.names(COUNT).index(name) for name in found.names]
        assert [LABELS[i] for i in places] == [dataset.classes[c] for c in dataset.train_labels]


@pytest.mark.parametrize("write", [write_folder, write_zip])
@pytest.mark.parametrize("hidden", ["train/unlabelled", "train", "train/photos"])
def test_images_without_labels_are_those_of_the_simulation(hidden, write, tmp_path):
    kinds = [f"{i // 8}{'abc'[i // 8]}" for i in range(COUNT)]  # sorted, as paths are
    full = {f"train/{kind}/{i:02d}.png": encoded(pixels(i)) for i, kind in enumerate(kinds)}
    test = {f"test/{kind}/{i:02d}.png": encoded(pixels(99 + i)) for i, kind in enumerate(kinds)}
    bare = {f"{hidden}/{i:02d}.png": encoded(pixels(i)) for i in range(COUNT)}
    dataset = whole(ImageFolder(path=write(tmp_path / "full", full | test)), tmp_path)
    option = ImageFolder(path=write(tmp_path / "bare", bare | test))
    found = partly(option, tmp_path)
    np.testing.assert_array_equal(dataset.train.digests(), found.pool.digests())
    np.testing.assert_array_equal(dataset.test_labels, found.test_labels)
    assert dataset.classes == found.classes
    assert found.names == tuple(bare)
    file = tmp_path / "l.csv"
    append_answers(file, [Answer(n, k) for n, k in zip(bare, kinds, strict=True)])
    again = whole(ImageFolder(path=option.path, labels=str(file)), tmp_path)
    assert again.fingerprint() == dataset.fingerprint()
    np.testing.assert_array_equal(again.train_labels, dataset.train_labels)


def test_labels_of_a_file_follow_those_of_the_data(table, tmp_path):
    names = table.names(COUNT)
    file = tmp_path / "l.csv"
    rows = [Answer(names[9], "10"), Answer(names[0], "2"), Answer(names[3], "", "skipped")]
    append_answers(file, rows)
    labels = hide(LABELS, kept=(4, 2))
    found = partly(table.make(tmp_path / "d", labels, labels=str(file)), tmp_path)
    assert list(labels_of(found).items()) == [
        (names[2], "3"), (names[4], "10"), (names[9], "10"), (names[0], "2")
    ]  # fmt: skip
    assert found.skipped.tolist() == [3]
    assert found.labels_file == str(file)


def test_what_n_train_leaves_out_is_counted(table, tmp_path):
    names = table.names(COUNT)
    file = tmp_path / "l.csv"
    append_answers(file, [Answer(name, "10") for name in names[:-2]])
    append_answers(file, [Answer(name, "", "unknown") for name in names[-2:]])
    option = table.make(tmp_path / "d", [None] * COUNT, labels=str(file), n_train=COUNT - 4)
    found = partly(option, tmp_path)
    assert len(found.pool) == len(found.names) == COUNT - 4
    assert set(found.names) == {*labels_of(found), *(found.names[i] for i in found.skipped)}
    lost = COUNT - 2 - len(found.indices)
    assert f"dataset.n_train=20: leaves out {lost} labelled instances" in found.notes


@pytest.mark.parametrize("source", [OfCsv(), OfParquet(), OfFolders()], ids=called)
def test_a_simulation_with_a_labels_file_is_the_one_with_the_labels(source, tmp_path):
    full = source.make(tmp_path / "full", LABELS)
    bare = source.make(tmp_path / "bare", [None] * COUNT)
    names, file = partly(bare, tmp_path).names, tmp_path / "l.csv"
    found = partly(full, tmp_path)
    contents = [digest.tobytes() for digest in found.pool.digests()]
    known = dict(zip(contents, labels_of(found).values(), strict=True))
    own = [known[digest.tobytes()] for digest in partly(bare, tmp_path).pool.digests()]
    append_answers(file, [Answer(*pair) for pair in zip(names, own, strict=True)])
    option = type(bare)(path=bare.path, labels=str(file))
    again, expected = whole(option, tmp_path), whole(full, tmp_path)
    assert again.classes == expected.classes
    assert len(again.train) == len(expected.train)
    if not isinstance(source, OfFolders):  # whose order is that of the folders
        assert again.fingerprint() == expected.fingerprint()
        np.testing.assert_array_equal(again.train_labels, expected.train_labels)
    append_answers(file, [Answer(name, "", "removed") for name in names[:3]])
    fewer = whole(option, tmp_path)
    assert len(fewer.train) + len(fewer.test) == COUNT - 3
    assert "3 of 24 instances have no label: left out" in fewer.notes


def test_a_labels_file_is_part_of_the_digest(source, tmp_path):
    bare = source.make(tmp_path / "d", [None] * COUNT)
    file, cache = tmp_path / "l.csv", tmp_path / "cache"
    append_answers(file, [])
    option = type(bare)(path=bare.path, labels=str(file))
    assert option.digest(cache, QUIET) != bare.digest(cache, QUIET)
    moved = file.rename(tmp_path / "m.csv")
    again = type(bare)(path=bare.path, labels=str(moved))
    before = again.digest(cache, QUIET)
    append_answers(moved, [Answer("2", "x")])
    assert again.digest(cache, QUIET) != before


def test_a_simulation_needs_labels(source, tmp_path):
    message = f"(no|lacks|empty|missing).*{PARTLY}$"
    for kept, name in (((0, 1, 2, 3, 4, 5), "some"), ((), "none")):
        option = source.make(tmp_path / name, hide(LABELS, kept), LABELS[:HELD_OUT])
        if isinstance(source, OfNpz) and source.none == -1:
            note = "y_train: -1 is taken for a class; task=suggest takes it for no label"
            if kept:
                option = Npz(path=option.path, classes=("2", "3", "10"))
                with pytest.raises(InputError, match="18 instances have no label; task=suggest"):
                    whole(option, tmp_path)
                assert note in whole(Npz(path=option.path), tmp_path).notes
            continue
        with pytest.raises(InputError, match=message) as caught:
            whole(option, tmp_path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("2",), r"dataset\.classes=\[2\]: need two or more"),
        (("2", "3", "2"), r"dataset\.classes: 2 is there twice; remove one"),
        (("2", "10"), r"the label 3 is none of dataset\.classes; correct it, or add it"),
    ],
)
def test_declared_classes_are_held(classes, message, source, tmp_path):
    option = source.make(tmp_path / "d", hide(LABELS, (0, 2)), LABELS[:3], classes=classes)
    with pytest.raises(InputError, match=message):
        partly(option, tmp_path)
    if len(classes) == 2:
        full = source.make(tmp_path / "e", LABELS, LABELS[:3], classes=classes)
        with pytest.raises(InputError, match=message):
            whole(full, tmp_path)


def test_a_wrong_row_may_be_removed_later(tmp_path):
    file = tmp_path / "l.csv"
    append_answers(file, [Answer("3", "brid"), Answer("4", "cat")])
    option = OfCsv().make(tmp_path / "d", [None] * 4, labels=str(file), classes=("cat", "bird"))
    with pytest.raises(InputError, match=r"l\.csv: row 2: the label brid is none of .*mean bird\?"):
        partly(option, tmp_path)
    append_answers(file, [Answer("3", "", "removed"), Answer("3", "bird")])
    found = partly(option, tmp_path)
    assert labels_of(found) == {"4": "cat", "3": "bird"}
    assert (found.classes, found.declared) == (("bird", "cat"), True)


def test_class_names_may_be_given_as_integers():
    from pydantic import TypeAdapter

    settings = {"name": "npz", "path": "d.npz", "classes": [1, "2"]}
    assert TypeAdapter(Npz).validate_python(settings).classes == ("1", "2")


ROWS = ["id,text,label", "b7,x,cat", "a 1,y,", '"c,3",z,dog']


def test_instances_of_texts_may_be_named_by_a_column(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("\n".join(ROWS) + "\n")
    found = partly(Csv(path=str(path), instance_column="id"), tmp_path)
    assert found.names == ("b7", "a 1", "c,3")
    path.write_text("\n".join([*ROWS, "b7,w,"]) + "\n")
    with pytest.raises(InputError, match=r"d\.csv: row 5: the instance b7 is in 2, too; names in"):
        partly(Csv(path=str(path), instance_column="id"), tmp_path)
    with pytest.raises(InputError, match=r"dataset\.instance_column=ids: no such column .*mean id"):
        whole(Csv(path=str(path), instance_column="ids"), tmp_path)


def test_a_column_of_names_is_no_feature(tmp_path):
    path = tmp_path / "d.parquet"
    columns = {"id": [7, 3, 5], "a": [0.5, 1.5, 2.5], "note": ["x"] * 3}
    pq.write_table(pa.table(columns), path)
    found = partly(Parquet(path=str(path), instance_column="id"), tmp_path)
    assert found.names == ("7", "3", "5")
    assert found.pool.columns == ("a",)
    assert found.notes == (
        f"dataset.path={path}: no column is called label, so it holds no labels (of id, a, note)",
        "note: not numeric, left out",
    )
    pq.write_table(pa.table(columns | {"id": [7, 3, 7]}), path)
    with pytest.raises(InputError, match=r"row 3: the instance 7 is in 1, too"):
        partly(Parquet(path=str(path), instance_column="id"), tmp_path)


def test_a_column_of_labels_that_is_named_must_be_there(tmp_path):
    option = OfCsv().make(tmp_path / "d", LABELS, label_column="intent")
    with pytest.raises(InputError, match=r"dataset\.label_column=intent: no such column"):
        partly(option, tmp_path)


def test_fractions_are_no_labels(tmp_path):
    path = tmp_path / "d.parquet"
    pq.write_table(pa.table({"a": [1, 2], "label": [0.5, None]}), path)
    with pytest.raises(InputError, match="column label holds double; labels must be integers or"):
        partly(Parquet(path=str(path)), tmp_path)


def test_minus_one_may_be_a_class(tmp_path):
    np.savez(tmp_path / "d.npz", X_train=np.eye(4), y_train=[-1, 1, -1, 1])
    path = str(tmp_path / "d.npz")
    found = partly(Npz(path=path), tmp_path)
    assert (labels_of(found), found.classes) == ({"1": "1", "3": "1"}, ("1",))
    assert found.notes[0].startswith("y_train: 2 labels are -1, taken for none; if it is a class")
    declared = partly(Npz(path=path, classes=("1", "-1")), tmp_path)
    assert declared.classes == ("-1", "1")
    assert declared.labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("lost", ["X_train", "X_test"])
def test_arrays_without_instances_are_named(lost, tmp_path):
    arrays = {"X_train": np.eye(3), "X_test": np.eye(3), "y_test": [0, 1, 0]}
    np.savez(tmp_path / "d.npz", **{k: v for k, v in arrays.items() if k != lost})
    with pytest.raises(InputError, match=f"lacks {lost}"):
        partly(Npz(path=str(tmp_path / "d.npz")), tmp_path)


def images(*names):
    return {name: encoded(pixels(i)) for i, name in enumerate(names)}


def folder_of(tmp_path, *names, **settings):
    return ImageFolder(path=write_folder(tmp_path / "images", images(*names)), **settings)


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (("a.png", "b.png"), [None, None]),
        (("photos/a.png", "photos/b.png"), [None, None]),
        (("my/photos/a.png", "my/photos/b.png"), [None, None]),
        (("train/a.png", "train/b.png"), [None, None]),
        (("unlabelled/a.png", "unlabelled/b.png"), [None, None]),
        (("unlabelled/x/a.png", "unlabelled/y/b.png"), [None, None]),
        (("cat/a.png", "dog/b.png"), ["cat", "dog"]),
        (("Unlabeled/x/a.png", "cat/x/b.png"), [None, "cat"]),
        (("p/cat/a.png", "p/unlabelled/b.png"), ["cat", None]),
        (("train/cat/a.png", "train/unlabelled/b.png"), ["cat", None]),
        (("test/x.png", "train/a.png", "train/b.png"), [None, None]),
    ],
)
def test_folders_tell_which_images_are_labelled(names, labels, tmp_path):
    found = partly(folder_of(tmp_path, *names), tmp_path)
    assert found.names == tuple(name for name in names if not name.startswith("test/"))
    given = labels_of(found)
    assert [given.get(name) for name in found.names] == labels


@pytest.mark.parametrize(
    ("pool", "labels"), [(("train/a.png",), None), (("train/cat/a.png", "train/dog/b.png"), [0])]
)
def test_a_test_set_in_one_folder_has_its_class_if_the_pool_has(pool, labels, tmp_path):
    found = partly(folder_of(tmp_path, *pool, "test/cat/c.png"), tmp_path)
    assert (None if found.test_labels is None else found.test_labels.tolist()) == labels
    note = "all images lie in test/cat: taken for images without labels"
    assert (note in found.notes) == (labels is None)


@pytest.mark.parametrize("names", [("a.png", "cat/b.png"), ("unlabelled/a.png", "b.png")])
def test_images_beside_class_folders_are_refused(names, tmp_path):
    with pytest.raises(InputError, match=r"[ab]\.png lies in no class folder; .*or unlabelled/\*"):
        partly(folder_of(tmp_path, *names), tmp_path)


def test_labels_beside_flat_images_are_read(tmp_path):
    option = folder_of(tmp_path, "a.png", "b.png")
    beside = tmp_path / "images" / "labels.csv"
    beside.write_text("file,label\nb.png,cat\n")
    found = partly(option, tmp_path)
    assert labels_of(found) == {"b.png": "cat"}
    assert found.labels_file == str(beside)
    assert f"labels are read from {beside}" in found.notes
    other = tmp_path / "other.csv"
    append_answers(other, [])
    assert labels_of(partly(ImageFolder(path=option.path, labels=str(other)), tmp_path)) == {}
    with pytest.raises(InputError, match=r"a\.png lies in no class folder; .*task=suggest"):
        whole(option, tmp_path)


def test_labels_of_a_broken_image_are_passed_over_if_asked(tmp_path):
    path = write_folder(tmp_path / "images", images("a.png", "b.png") | {"c.png": b"no image"})
    (tmp_path / "images" / "labels.csv").write_text("file,label\nc.png,cat\na.png,dog\n")
    found = partly(ImageFolder(path=path, unreadable="skip"), tmp_path)
    assert found.names == ("a.png", "b.png")
    assert labels_of(found) == {"a.png": "dog"}
    assert any("1 answers are about instances that cannot be read" in n for n in found.notes)


def test_images_that_no_file_can_name_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"the name of a\\nb\.png is not UTF-8 or cannot be"):
        partly(folder_of(tmp_path, "a\nb.png", "c.png"), tmp_path)


def test_names_of_images_survive_a_labels_file(tmp_path):
    names = ('a, "b".png', "käse 'x'.png", "plain.png")
    option = folder_of(tmp_path, *names)
    append_answers(tmp_path / "images" / "labels.csv", [Answer(n, f"{n};\n") for n in names])
    assert labels_of(partly(option, tmp_path)) == {n: f"{n};\n" for n in names}
