"""Well-known data sets in miniature, in the layout that their archives have on disk."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from alupdate.data.named_images import CIFAR
from tests.support.images import encoded, pixels

RECORDS = 6
FOODS = ("apple_pie", "waffles")
TEXTURES = ("banded", "zigzagged")


def build(name: str, root: Path) -> None:
    """Write the miniature of a data set."""
    root.mkdir(parents=True, exist_ok=True)
    BUILDERS[name](root)


def accept_miniatures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sizes and checksums of the true data sets pass for the miniatures."""
    for name in CIFAR:
        small = replace(CIFAR[name], records=(RECORDS, RECORDS))
        monkeypatch.setitem(CIFAR, name, small)
    for module in ("stl10", "flowers102", "svhn"):
        monkeypatch.setattr(
            f"torchvision.datasets.{module}.check_integrity", lambda path, md5: Path(path).is_file()
        )


def cifar_record(labels: tuple[int, ...], seed: int) -> bytes:
    """Return label bytes, then all red, all green and all blue bytes."""
    return bytes(labels) + pixels(seed, 32, 32).transpose(2, 0, 1).tobytes()


def _cifar10(root: Path) -> None:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir()
    names = ["airplane", "automobile", "bird", *(f"other{i}" for i in range(7))]
    (folder / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    batches = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for b, batch in enumerate(batches):
        records = [cifar_record((i % 3,), 100 * b + i) for i in range(RECORDS)]
        (folder / f"{batch}.bin").write_bytes(b"".join(records))


def _cifar100(root: Path) -> None:
    folder = root / "cifar-100-binary"
    folder.mkdir()
    (folder / "fine_label_names.txt").write_text("\n".join(f"fine{i:02d}" for i in range(100)))
    (folder / "coarse_label_names.txt").write_text("\n".join(f"coarse{i}" for i in range(20)))
    for b, batch in enumerate(("train", "test")):
        records = [cifar_record((i % 2, 40 + i % 3), 100 * b + i) for i in range(RECORDS)]
        (folder / f"{batch}.bin").write_bytes(b"".join(records))


def _stl10(root: Path) -> None:
    folder = root / "stl10_binary"
    folder.mkdir()
    names = ["airplane", "bird", "car", *(f"other{i}" for i in range(7))]
    (folder / "class_names.txt").write_text("\n".join(names) + "\n")
    (folder / "unlabeled_X.bin").write_bytes(b"")
    for part, seed in (("train", 0), ("test", 100)):
        images = [pixels(seed + i, 96, 96).transpose(2, 1, 0) for i in range(RECORDS)]
        (folder / f"{part}_X.bin").write_bytes(b"".join(image.tobytes() for image in images))
        (folder / f"{part}_y.bin").write_bytes(bytes(i % 3 + 1 for i in range(RECORDS)))


def _svhn(root: Path) -> None:
    for part, seed in (("train", 0), ("test", 100)):
        images = np.stack([pixels(seed + i, 32, 32) for i in range(RECORDS)], axis=-1)
        labels = np.array([[(10, 1, 2)[i % 3]] for i in range(RECORDS)], np.uint8)
        savemat(root / f"{part}_32x32.mat", {"X": images, "y": labels})


def _dtd(root: Path) -> None:
    folder = root / "dtd" / "dtd"
    (folder / "labels").mkdir(parents=True)
    for s, split in enumerate(("train", "val", "test")):
        names = [f"{label}/{label}_{s}{i}.jpg" for label in TEXTURES for i in range(2)]
        (folder / "labels" / f"{split}1.txt").write_text("\n".join(names) + "\n")
        _jpegs(folder / "images", names, 10 * s)


def _food101(root: Path) -> None:
    folder = root / "food-101"
    (folder / "meta").mkdir(parents=True)
    for s, split in enumerate(("train", "test")):
        listed = {label: [f"{label}/{s}{i}" for i in range(3)] for label in FOODS}
        (folder / "meta" / f"{split}.json").write_text(json.dumps(listed))
        _jpegs(folder / "images", [f"{n}.jpg" for some in listed.values() for n in some], 10 * s)


def _flowers102(root: Path) -> None:
    folder = root / "flowers-102"
    folder.mkdir()
    ids = np.arange(1, 9)
    _jpegs(folder / "jpg", [f"image_{i:05d}.jpg" for i in ids], 0)
    savemat(folder / "imagelabels.mat", {"labels": np.array([[1, 102] * 4])})
    savemat(folder / "setid.mat", {"trnid": [ids[4:6]], "valid": [ids[6:]], "tstid": [ids[:4]]})


def _jpegs(folder: Path, names: list[str], seed: int) -> None:
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(pixels(seed + i, 20, 20), "JPEG"))


BUILDERS = {
    "cifar10": _cifar10,
    "cifar100": _cifar100,
    "stl10": _stl10,
    "svhn": _svhn,
    "dtd": _dtd,
    "food101": _food101,
    "flowers102": _flowers102,
}
