"""Malformed inputs, each with the command that meets it and what the complaint must say."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from safetensors.torch import save_file

Build = Callable[[Path], tuple[str, ...]]
"""Writes files into a folder and returns the arguments of a command that reads them."""


def jpeg(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(256, size=(12, 12, 3)).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG")
    return content.getvalue()


def good_members() -> dict[str, bytes]:
    return {
        f"{split}/{kind}/{i}.jpg": jpeg(100 * i + len(kind) + len(split))
        for split in ("train", "test")
        for kind in ("cat", "bird")
        for i in range(6)
    }


def photos(**changes: bytes | None) -> Build:
    """A zip of images; ``changes`` replace, add or (None) remove members, with / written as __."""

    def build(folder: Path) -> tuple[str, ...]:
        members = good_members()
        for name, content in changes.items():
            path = name.replace("__", "/").replace("DOT", ".")
            members.pop(path, None)
            if content is not None:
                members[path] = content
        with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
            for path, content in members.items():
                archive.writestr(path, content)
        return ("dataset=imagefolder", "dataset.path=photos.zip", "backbone=pixels")

    return build


def photos_without(part: str) -> Build:
    def build(folder: Path) -> tuple[str, ...]:
        with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
            for path, content in good_members().items():
                if part not in path:
                    archive.writestr(path, content)
        return ("dataset=imagefolder", "dataset.path=photos.zip", "backbone=pixels")

    return build


def damaged_photos(change: Callable[[bytes], bytes]) -> Build:
    def build(folder: Path) -> tuple[str, ...]:
        arguments = photos()(folder)
        path = folder / "photos.zip"
        path.write_bytes(change(path.read_bytes()))
        return arguments

    return build


def file(name: str, content: bytes | str, *arguments: str) -> Build:
    def build(folder: Path) -> tuple[str, ...]:
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)
        return arguments

    return build


def csv(content: bytes | str, *more: str) -> Build:
    return file("t.csv", content, "dataset=csv", "dataset.path=t.csv", "backbone=pixels", *more)


def jsonl(*lines: str) -> Build:
    return file(
        "t.jsonl", "\n".join(lines), "dataset=csv", "dataset.path=t.jsonl", "backbone=pixels"
    )


def parquet(table: pd.DataFrame, *more: str) -> Build:
    def build(folder: Path) -> tuple[str, ...]:
        table.to_parquet(folder / "t.parquet")
        return ("dataset=parquet", "dataset.path=t.parquet", "backbone=identity", *more)

    return build


def rows(**columns: object) -> pd.DataFrame:
    count = 40
    base = {"a": np.arange(count) / 7, "b": np.arange(count) % 5, "label": np.arange(count) % 2}
    return pd.DataFrame({key: value for key, value in (base | columns).items() if value is not ...})


def weights(content: dict[str, torch.Tensor] | bytes, name: str = "w.safetensors") -> Build:
    def build(folder: Path) -> tuple[str, ...]:
        path = folder / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            save_file(content, path)
        return ("backbone=resnet18", f"backbone.weights={name}", "backbone.image_size=32")

    return build


def nothing(*arguments: str) -> Build:
    return lambda _: arguments


TEXTS = "text,label\n" + "".join(f"question {i},{'ab'[i % 2]}\n" for i in range(40))
LINES = [json.dumps({"text": f"question {i}", "label": "ab"[i % 2]}) for i in range(40)]
IMAGES = ("dataset=imagefolder", "backbone=pixels")
NAN = np.where(np.arange(40) == 7, np.nan, 1.0)

MALFORMED: dict[str, tuple[Build, str]] = {
    # images
    "zip missing": (nothing(*IMAGES, "dataset.path=none.zip"), "no such folder or zip archive"),
    "zip truncated": (damaged_photos(lambda data: data[: len(data) // 2]), "zip archive"),
    "zip is text": (file("photos.zip", "hello", *IMAGES, "dataset.path=photos.zip"), "zip archive"),
    "zip is empty": (file("photos.zip", "", *IMAGES, "dataset.path=photos.zip"), "zip archive"),
    "zip leads out": (photos(DOTDOT__evilDOTjpg=jpeg()), "leads out of the archive"),
    "zip has no images": (photos_without("jpg"), "holds no images"),
    "image truncated": (photos(train__cat__0DOTjpg=jpeg()[:200]), "train/cat/0.jpg"),
    "image is text": (photos(test__bird__3DOTjpg=b"hello"), "test/bird/3.jpg"),
    "image is empty": (photos(train__cat__1DOTjpg=b""), "train/cat/1.jpg"),
    "image without class": (photos(train__looseDOTjpg=jpeg()), "train/loose.jpg lies in no class"),
    "one class of images": (photos_without("bird"), "one class only"),
    "class in the test set only": (photos(test__dog__0DOTjpg=jpeg()), "such as dog"),
    # texts
    "csv missing": (nothing("dataset=csv", "dataset.path=none.csv"), "none.csv"),
    "csv empty": (csv(""), "empty"),
    "csv has a heading only": (csv("text,label\n"), "t.csv"),
    "csv ragged": (csv(TEXTS + "one,two,three\n"), "42"),
    "csv lacks the text": (csv(TEXTS, "dataset.text_column=body"), "body"),
    "csv lacks the label": (csv(TEXTS, "dataset.label_column=intent"), "intent"),
    "csv is Latin-1": (csv(TEXTS.encode() + "caf\xe9,a\n".encode("latin-1")), "UTF-8"),
    "csv without a label": (csv(TEXTS + "one more,\n"), "42"),
    "csv without a text": (csv(TEXTS + ",a\n"), "42"),
    "csv of one class": (csv("text,label\na,x\nb,x\nc,x\n"), "t.csv"),
    "csv given twice": (csv(TEXTS, "dataset.train=t.csv", "dataset.test=t.csv"), "dataset.path"),
    "csv without a file": (nothing("dataset=csv"), "dataset.path"),
    "json broken": (jsonl(*LINES, '{"text": "cut'), "41"),
    "json lacks the text": (jsonl(*LINES, '{"label": "a"}'), "41"),
    # tables
    "parquet missing": (nothing("dataset=parquet", "dataset.path=none.parquet"), "none.parquet"),
    "parquet is text": (
        file("t.parquet", "hello", "dataset=parquet", "dataset.path=t.parquet"), "t.parquet"
    ),
    "parquet has NaN": (parquet(rows(a=NAN)), "row 8"),
    "parquet lacks the label": (parquet(rows(label=...)), "label"),
    "parquet has ragged lists": (
        parquet(rows(v=[[1.0] * (1 + i % 2) for i in range(40)]), "dataset.feature_column=v"), "v"
    ),
    "parquet of text": (parquet(rows(a=..., b=["x"] * 40)), "t.parquet"),
    # weights
    "weights missing": (nothing("backbone=resnet18", "backbone.weights=none.safetensors"), "none"),
    "weights of another network": (weights({"a": torch.zeros(2)}), "w.safetensors"),
    "weights truncated": (weights(b"\x10\x00\x00\x00\x00\x00\x00\x00{"), "w.safetensors"),
    "weights pickled": (weights(b"\x80\x02}q\x00.", "w.pth"), "w.pth"),
    "no such model": (nothing("backbone=timm", "backbone.model=resnet1"), "resnet1"),
    # named data sets
    "root missing": (nothing("dataset=cifar10", "dataset.root=none"), "none"),
    "root without the data": (nothing("dataset=cifar10", "dataset.root=."), "dataset.root"),
    "never downloaded": (nothing("dataset=stl10", "dataset.download=false"), "stl10"),
    "hub root without files": (
        nothing("dataset=agnews", "dataset.root=.", "backbone=minilm"), "dataset.root"
    ),
    "text folder without a model": (
        csv(TEXTS, "backbone=transformers", "backbone.model=./"), "backbone.model"
    ),
}  # fmt: skip
