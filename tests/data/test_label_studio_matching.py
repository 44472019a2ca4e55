"""Tasks that do not name their instance: found by path or text, or passed over with one line."""

import numpy as np
import pytest

from alupdate.data.dataset import ArrayImages, Texts, Vectors
from alupdate.data.label_studio_matching import with_instances
from alupdate.data.labels_file import Answer, LabelsFile
from alupdate.utils.errors import InputError

NAMES = ("cat/00.png", "dog/00.png", "a b.png", "cat/deep/01.png", "01.png", "é.png")
IMAGES = ArrayImages(np.zeros((len(NAMES), 1, 1, 3), np.uint8))


def export(*contents):
    rows = tuple((task, Answer("", "x")) for task in range(1, len(contents) + 1))
    return LabelsFile("F", rows, is_export=True, contents=dict(enumerate(contents, start=1)))


def found(contents, names=NAMES, pool=IMAGES, unread=()):
    """Return the instance of each task by the task's number."""
    file = with_instances(export(*contents), names, pool, unread)
    return {task: answer.instance for task, answer in file.rows}


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/local-files/?d=photos/cat/00.png", "cat/00.png"),
        ("/data/local-files/?d=photos/a%20b.png", "a b.png"),
        ("http://localhost:8080/data/local-files/?d=x%2Fdog%2F00.png", "dog/00.png"),
        ("/data/upload/3/0a1b2c3d-%C3%A9.png", "é.png"),
        ("/data/upload/3/0a1b2c3d-01.png", None),
        ("s3://bucket/pool/dog/00.png", "dog/00.png"),
        ("https://example.org/pool/a%20b.png?token=1", "a b.png"),
        ("deep/01.png", None),
        ("cat/deep/01.png", None),
        ("00.png", None),
        ("http://[broken/00.png", None),
        ("data:image/png;base64,00.png", None),
        ("other.png", None),
    ],
)
def test_an_image_is_found_by_the_end_of_its_path(address, name):
    sure = "/data/local-files/?d=x/a%20b.png" if name != "a b.png" else "dog/00.png"
    assert found([(address,), (sure,)]).get(1) == name


def test_a_short_address_fits_the_only_path_that_ends_with_it():
    assert found([("b.png",)], ("pool/b.png", "pool/ab.png")) == {1: "pool/b.png"}


def test_addresses_that_share_an_instance_are_passed_over():
    contents = [("x/é.png",), ("y/é.png",), ("a b.png",)]
    file = with_instances(export(*contents), NAMES, IMAGES)
    assert [answer.instance for _, answer in file.rows] == ["a b.png"]
    assert file.notes == (
        "F: 2 of 3 annotated tasks do not name their instance and fit none, or several; the first "
        "is task 1: passed over",
    )


def test_annotations_of_one_address_belong_to_one_instance():
    assert found([("x/é.png",), ("x/é.png",)]) == {1: "é.png", 2: "é.png"}


def test_an_image_that_cannot_be_read_is_known():
    assert found([("x/damaged.png",)], unread=("damaged.png",)) == {1: "damaged.png"}


def test_a_text_is_found_if_it_is_there_once():
    texts = Texts(("one", "twice", "twice", "three"))
    names = ("1", "2", "3", "4")
    assert found([("more", "three"), ("twice",), ("thre",)], names, texts) == {1: "4"}


def test_nothing_found_is_an_error():
    for pool in (IMAGES, Vectors(np.zeros((len(NAMES), 1), np.float32))):
        with pytest.raises(InputError, match=r"F: 1 of 1 .* the first is task 1; import tasks"):
            found([("nothing.png",)], pool=pool)


def test_a_named_instance_stays():
    rows = ((4, Answer("anything", "x")), (5, Answer("", "y")))
    file = LabelsFile("F", rows, is_export=True, contents={5: ("dog/00.png",)})
    named = with_instances(file, NAMES, IMAGES)
    assert [answer.instance for _, answer in named.rows] == ["anything", "dog/00.png"]
    assert not named.notes
    plain = LabelsFile("F", rows)
    assert with_instances(plain, NAMES, IMAGES) is plain
