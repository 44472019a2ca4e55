"""Tasks for Label Studio: its configuration, its addresses, and the order of its queue."""

import json
import zipfile
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from alupdate.data.dataset import ArrayImages, Texts, kind_of
from alupdate.data.image_folder import ImageFolder
from alupdate.data.own_data import PartlyLabelled
from alupdate.labelling.label_studio_tasks import (
    asked_score,
    labelling_config,
    queue_score,
    task_data,
    task_list,
)
from alupdate.labelling.suggester import Suggestions
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError

NONE = np.zeros(0, dtype=np.int64)
ODD = ("a\nb", "a\tb", "a b", " a ", "<&\"'>", "é あ", "1", "true", "5$", "$ 5")


def pool_of(instances, names):
    return PartlyLabelled(
        name="pool", pool=instances, names=names, indices=NONE, labels=NONE, skipped=NONE,
        classes=("a", "b"), declared=True,
    )  # fmt: skip


def test_the_configuration_has_every_class_as_it_is():
    root = ET.fromstring(labelling_config(ODD, "texts", "K"))
    assert tuple(choice.get("value") for choice in root.iter("Choice")) == ODD
    (shown,), (control,) = root.iter("Text"), root.iter("Choices")
    assert (shown.get("name"), shown.get("value")) == ("text", "$text")
    assert (control.get("name"), control.get("toName")) == ("choice", "text")
    assert (control.get("choice"), control.get("required")) == ("single", "true")


@pytest.mark.parametrize(
    ("classes", "kind", "line"),
    [
        (("a",), "texts", "give dataset.classes"),
        ((), "images", "give dataset.classes"),
        (("a", "b"), "vectors", "shows images and texts, but the pool has vectors"),
        (("a", "US$5"), "texts", "takes a part of the class US$5 for a variable"),
        (("a", "$[x"), "texts", "takes a part of the class"),
        (("a", "b\x01"), "texts", r"the class 'b\x01' has a character that XML cannot hold"),
    ],
)
def test_what_label_studio_cannot_show_is_refused(classes, kind, line):
    with pytest.raises(InputError) as raised:
        labelling_config(classes, kind, "KEY")
    assert str(raised.value).startswith("KEY: ")
    assert line in str(raised.value)


def test_scores_grow_with_the_place_and_stay_below_those_that_were_asked_for():
    scores = [queue_score(place) for place in (0, 1, 899, 900, 901, 10_000, 10_001)]
    assert scores == sorted(set(scores))
    assert scores[-1] < asked_score(0.0) < asked_score(1.0) <= 1


@pytest.mark.parametrize("has_model", [False, True])
def test_the_lowest_score_has_the_first_rank(has_model):
    data = pool_of(Texts(("t0", "t1", "t2")), ("n0", "n1", "n2"))
    probabilities = np.array([[0.25, 0.75], [0.9, 0.1]]) if has_model else None
    chosen = Suggestions(np.array([2, 0]), probabilities, np.array([0.5, np.nan]), "margin")
    tasks = json.loads(task_list(data, chosen))
    assert [task["data"] for task in tasks] == [
        {"text": "t2", "instance": "n2"},
        {"text": "t0", "instance": "n0"},
    ]
    (first,), (second,) = (task["predictions"] for task in tasks)
    assert (first["score"], second["score"]) == (0, 0.001)
    assert first["model_version"] == second["model_version"]
    if not has_model:
        assert first["result"] == second["result"] == []
        return
    choice, note = first["result"]
    assert choice == {
        "from_name": "choice", "to_name": "text", "type": "choices",
        "value": {"choices": ["b"]}, "score": 0.75,
    }  # fmt: skip
    assert note == {
        "from_name": "model", "to_name": "text", "type": "textarea",
        "value": {"text": ["b, probability 0.75, after 0 labels"]},
    }  # fmt: skip


NAMES = ("cat/a #1&é%.png", "cat/b.JPG", "cat/c.tif")


@pytest.fixture
def photos(tmp_path):
    for name in NAMES:
        path = tmp_path / "photos" / "unlabelled" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), 99, np.uint8)).save(path)
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for name in NAMES:
            archive.write(tmp_path / "photos" / "unlabelled" / name, f"unlabelled/{name}")
    return tmp_path


def read(path, cache):
    return ImageFolder(path=str(path)).partly_labelled(cache, Display(enabled=False))


def test_image_files_are_local_files_where_a_browser_shows_them(photos, monkeypatch):
    monkeypatch.chdir(photos)
    data = read("photos", photos / "cache")
    assert data.names == tuple(f"unlabelled/{name}" for name in NAMES)
    found = [task_data(data, i) for i in range(3)]
    assert [task["instance"] for task in found] == list(data.names)
    address = "/data/local-files/?d=photos/unlabelled/cat/a%20%231%26%C3%A9%25.png"
    assert found[0]["image"] == address
    assert found[1]["image"].endswith("?d=photos/unlabelled/cat/b.JPG")
    assert found[2]["image"].startswith("data:image/jpeg;base64,")


def test_the_document_root_may_be_another_one(photos):
    data = read(photos / "photos", photos / "cache")
    longer = f"?d={photos.name}/photos/unlabelled/cat/b.JPG"
    assert task_data(data, 1, photos.parent)["image"].endswith(longer)
    assert task_data(data, 1, photos / "elsewhere")["image"].startswith("data:image/jpeg")


def test_images_that_are_no_files_are_data_addresses(photos):
    arrays = pool_of(ArrayImages(np.zeros((1, 4, 4, 1), np.uint8)), ("0",))
    for data in (read(photos / "photos.zip", photos / "cache"), arrays):
        assert kind_of(data.pool) == "images"
        assert task_data(data, 0)["image"].startswith("data:image/jpeg;base64,")
