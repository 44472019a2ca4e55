import io
import json
import sys

import huggingface_hub
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from PIL import Image

from alupdate.data.dataset import Images
from alupdate.data.hub import SOURCES, HubDataset, HubImages, local_files
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError

TEXTS = [f"question {i}" for i in range(12)]
TRAIN = {"text": TEXTS, "category": ["a", "b", "c"] * 4}
TEST = {"text": TEXTS[:3], "category": ["a", "b", "c"]}


def read(root, name="banking77", cache=None, **settings):
    where = None if root is None else str(root)
    option = HubDataset(name=name, root=where, **settings)
    return option.load(cache, Display(enabled=False))


def write(path, columns, names=None, label="label"):
    """Write a table by its ending; ``names`` become the class names in a Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        pd.DataFrame(columns).to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        pd.DataFrame(columns).to_json(path, orient="records", lines=True)
    else:
        table = pa.table(columns)
        if names is not None:
            features = {"info": {"features": {label: {"names": names, "_type": "ClassLabel"}}}}
            table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
        pq.write_table(table, path)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train.csv", "test.csv"),
        ("train.jsonl", "test.jsonl"),
        ("data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"),
        ("banking77-train.parquet", "banking77-test.parquet"),
        ("train_test_split/training.csv", "train_test_split/testing.csv"),
    ],
)
def test_layouts_of_publishers(train, test, tmp_path):
    write(tmp_path / train, TRAIN)
    write(tmp_path / test, TEST)
    validation = "validation" + (tmp_path / train).suffix
    write((tmp_path / train).with_name(validation), {"something": ["else"]})
    dataset = read(tmp_path)
    assert dataset.train.strings == tuple(TEXTS)
    assert dataset.classes == ("a", "b", "c")
    assert dataset.test_labels.tolist() == [0, 1, 2]


def test_folders_may_name_splits(tmp_path):
    for split, table in (("train", TRAIN), ("validation", {"something": ["else"]}), ("test", TEST)):
        write(tmp_path / "default" / split / "0000.parquet", table)
    assert read(tmp_path).train.strings == tuple(TEXTS)


def test_parts_of_a_split_are_put_together_in_order(tmp_path):
    for i in range(3):
        part = {key: values[4 * i : 4 * i + 4] for key, values in TRAIN.items()}
        write(tmp_path / f"train-{i:05d}-of-00003.parquet", part)
    write(tmp_path / "test-00000-of-00001.parquet", TEST)
    assert read(tmp_path).train.strings == tuple(TEXTS)


def test_of_several_kinds_of_files_one_is_read(tmp_path):
    for ending in ("csv", "parquet"):
        write(tmp_path / f"train.{ending}", TRAIN)
        write(tmp_path / f"test.{ending}", TEST)
    assert len(read(tmp_path).train) == 12


def test_of_a_whole_repository_the_right_version_is_read(tmp_path):
    for version, count in (("small", 3), ("plus", 12)):
        write(tmp_path / version / "train.csv", {"text": TEXTS[:count], "intent": TEXTS[:count]})
        write(tmp_path / version / "test.csv", {"text": TEXTS[:2], "intent": TEXTS[:2]})
    assert len(read(tmp_path, "clinc150").train) == 12


@pytest.mark.parametrize("name", sorted(set(SOURCES) - {"snacks"}))
def test_integers_are_named_where_the_file_says_how(name, tmp_path):
    source = SOURCES[name]
    label = source.labels[-1]
    for split in ("train", "test"):
        columns = {source.content: TEXTS, label: np.arange(12) % 2}
        write(tmp_path / f"{split}.parquet", columns, ["zebra", "ant"], label)
    dataset = read(tmp_path, name)
    assert dataset.classes == ("ant", "zebra")
    assert dataset.train_labels[:2].tolist() == [1, 0]


def test_integers_without_names_stay_integers(tmp_path):
    for split in ("train", "test"):
        write(tmp_path / f"{split}.csv", {"text": TEXTS, "label": np.arange(12) % 2 * 8 + 2})
    assert read(tmp_path, "agnews").classes == ("2", "10")


def test_text_files_need_neither_network_nor_pyarrow(tmp_path, monkeypatch):
    write(tmp_path / "train.csv", TRAIN)
    write(tmp_path / "test.csv", TEST)
    for module in ("datasets", "pyarrow", "pyarrow.parquet", "huggingface_hub"):
        monkeypatch.setitem(sys.modules, module, None)
    assert len(read(tmp_path).train) == 12


def encoded(side, colour):
    content = io.BytesIO()
    Image.new("RGB", (side, side + 2), colour).save(content, "PNG")
    return content.getvalue()


def write_images(folder, sides):
    cells = [{"bytes": encoded(s, (s, i, 0)), "path": None} for i, s in enumerate(sides)]
    labels = np.arange(len(sides)) % 2
    for split in ("train", "test"):
        columns = {"image": cells, "label": labels}
        write(folder / "default" / split / "0000.parquet", columns, ["apple", "cookie"])


def test_images_stay_encoded_until_they_are_asked_for(tmp_path):
    write_images(tmp_path, [8, 9, 8, 8])
    dataset = read(tmp_path, "snacks")
    assert isinstance(dataset.train, HubImages)
    assert isinstance(dataset.train, Images)
    assert dataset.kind == "images"
    assert dataset.classes == ("apple", "cookie")
    assert dataset.train.shape is None
    part = dataset.train.take(np.array([2, 3]))
    assert part.shape == (10, 8, 3)
    assert part[0].dtype == np.uint8
    assert part[1][0, 0].tolist() == [8, 3, 0]
    assert (part.digests() == dataset.train.digests()[2:]).all()
    assert len(np.unique(dataset.train.digests())) == 4


BROKEN = {
    "column": ({"texts": TEXTS, "category": TEXTS}, "needs the columns text and label_text or cat"),
    "empty": (TRAIN | {"text": ["", *TEXTS[1:]]}, "row 1: text is empty"),
    "null": (TRAIN | {"category": [None, *TEXTS[1:]]}, "column category has 1 missing values"),
    "range": ({"text": TEXTS, "label": [7] * 12}, "label is 7 in row 1; it must be 0 to 1"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_fault_names_file_and_row(name, tmp_path):
    columns, message = BROKEN[name]
    write(tmp_path / "train.parquet", columns, ["x", "y"])
    write(tmp_path / "test.parquet", TEST)
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path)
    assert f"dataset.root={tmp_path}: train.parquet" in str(caught.value)


def test_cells_that_are_no_images_are_refused(tmp_path):
    for split in ("train", "test"):
        columns = {"image": [{"bytes": encoded(8, 0)}, {"bytes": b"x"}], "label": [0, 1]}
        write(tmp_path / f"{split}.parquet", columns)
    with pytest.raises(InputError, match=r"train.parquet: row 2 holds no image"):
        read(tmp_path, "snacks")
    write(tmp_path / "csv" / "train.csv", TRAIN)
    write(tmp_path / "csv" / "test.csv", TEST)
    with pytest.raises(InputError, match="from Parquet files only"):
        read(tmp_path / "csv", "snacks")


def test_folder_without_files_or_splits(tmp_path):
    with pytest.raises(InputError, match=r"dataset.root=.*nowhere: no such folder"):
        local_files(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"holds no files \.parquet"):
        local_files(str(tmp_path))
    write(tmp_path / "train.csv", TRAIN)
    assert local_files(str(tmp_path)) == [tmp_path / "train.csv"]
    with pytest.raises(InputError, match=r"needs files named train\* and test\*"):
        read(tmp_path)


def test_without_a_network_a_line_comes_at_once(tmp_path, monkeypatch):
    def fails(*arguments, **settings):
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    message = (
        r"dataset=agnews: fancyzhx/ag_news is not on this machine.*or give dataset.root=FOLDER"
    )
    with pytest.raises(InputError, match=message):
        read(None, "agnews", tmp_path)


def test_download_can_be_forbidden(tmp_path):
    message = "dataset=trec, dataset.download=false: CogComp/trec is not on this machine"
    with pytest.raises(InputError, match=message):
        read(None, "trec", tmp_path, download=False)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_only_the_files_that_are_needed_are_downloaded(name, tmp_path, monkeypatch):
    asked = []

    def download(repository, **settings):
        asked.append((repository, settings))
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(InputError):
        read(None, name, tmp_path)
    repository, settings = asked[0]
    source = SOURCES[name]
    assert repository == source.repository
    assert settings["repo_type"] == "dataset"
    assert settings["revision"] == source.revision
    assert settings["allow_patterns"] == [f"{source.folder}/*.parquet"]
    assert settings["cache_dir"] == tmp_path / "hub"


def test_downloaded_files_are_read_like_local_ones(tmp_path, monkeypatch):
    write(tmp_path / "data" / "train-0.parquet", TRAIN)
    write(tmp_path / "data" / "test-0.parquet", TEST)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **s: str(tmp_path))
    assert len(read(None, "banking77", tmp_path).train) == 12


def test_a_truncated_image_is_named(tmp_path):
    content = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(content, "JPEG")
    whole = content.getvalue()
    cells = [{"bytes": whole}, {"bytes": whole[: len(whole) * 4 // 5]}]
    images = HubImages.of_cells(cells, "dataset.root=r: data/train.parquet")
    assert images[0].shape == (40, 40, 3)
    reason = (
        r"^dataset\.root=r: data/train\.parquet: row 2: image cannot be decoded \(image file is"
    )
    with pytest.raises(InputError, match=reason):
        images[1]
