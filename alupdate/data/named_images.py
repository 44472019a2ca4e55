"""The binary version of CIFAR-10 and CIFAR-100.

The version for Python is pickled, and unpickling a file can run any code; the binary version holds
the same images as records of label bytes and 32 x 32 bytes for each of red, green and blue.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alupdate.data.image_part import ImagePart
from alupdate.data.instances import ArrayImages
from alupdate.errors import InputError

SITE = "https://www.cs.toronto.edu/~kriz/"
SIDE = 32
PIXELS = 3 * SIDE * SIDE


@dataclass(frozen=True)
class Cifar:
    """One of the two data sets.

    Attributes:
        archive: its name on the authors' site.
        md5: of the archive, as published there.
        folder: what the archive unpacks to.
        pickled: the folder of the version for Python.
        train, test: files of records.
        records: how many one file of each holds.
        label_bytes: before each image; the last one is the class.
        names: the file of class names.
    """

    archive: str
    md5: str
    folder: str
    pickled: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    records: tuple[int, int]
    label_bytes: int
    names: str


CIFAR = {
    "cifar10": Cifar(
        archive="cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
        folder="cifar-10-batches-bin",
        pickled="cifar-10-batches-py",
        train=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        test=("test_batch.bin",),
        records=(10_000, 10_000),
        label_bytes=1,
        names="batches.meta.txt",
    ),
    "cifar100": Cifar(
        archive="cifar-100-binary.tar.gz",
        md5="03b5dce01913d631647c71ecec9e9cb8",
        folder="cifar-100-binary",
        pickled="cifar-100-python",
        train=("train.bin",),
        test=("test.bin",),
        records=(50_000, 10_000),
        label_bytes=2,
        names="fine_label_names.txt",
    ),
}


def download_cifar(name: str, root: Path) -> None:
    """Fetch the archive into ``root``, check it against its MD5 and unpack it."""
    from torchvision.datasets.utils import download_and_extract_archive

    kind = CIFAR[name]
    download_and_extract_archive(SITE + kind.archive, str(root), md5=kind.md5, remove_finished=True)


def read_cifar(name: str, root: Path, where: str) -> tuple[ImagePart, ImagePart]:
    """Return pool and test set.

    Args:
        name: cifar10 or cifar100.
        root: holds the folder of the binary version.
        where: how to call the source in an error message.

    Raises:
        InputError: a file is missing or has another size than it must have.
    """
    kind = CIFAR[name]
    folder = root / kind.folder
    try:
        names = np.array((folder / kind.names).read_text().split())
        train = [_records(folder / file, kind, kind.records[0], where) for file in kind.train]
        test = [_records(folder / file, kind, kind.records[1], where) for file in kind.test]
    except OSError as error:
        raise InputError(f"{where}: {error.filename}: {error.strerror}") from error
    return _part(train, kind, names, where), _part(test, kind, names, where)


def _records(path: Path, kind: Cifar, count: int, where: str) -> NDArray[np.uint8]:
    content = np.fromfile(path, np.uint8)
    size = kind.label_bytes + PIXELS
    if len(content) != count * size:
        raise InputError(
            f"{where}: {path.name} has {len(content)} bytes instead of {count * size}; get the "
            f"binary version again ({kind.archive})"
        )
    return content.reshape(count, size)


def _part(
    batches: list[NDArray[np.uint8]], kind: Cifar, names: NDArray[np.str_], where: str
) -> ImagePart:
    records = np.concatenate(batches)
    labels = records[:, kind.label_bytes - 1]
    if labels.max() >= len(names):
        raise InputError(
            f"{where}: a record has class {labels.max()}, but {kind.names} names {len(names)}"
        )
    planes = records[:, kind.label_bytes :].reshape(-1, 3, SIDE, SIDE)
    return ImagePart(ArrayImages(np.ascontiguousarray(planes.transpose(0, 2, 3, 1))), names[labels])
