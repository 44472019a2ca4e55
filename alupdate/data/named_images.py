"""The binary version of CIFAR-10 and CIFAR-100.

The version for Python is pickled, and unpickling a file can run any code; the binary version holds
the same images as records of label bytes and 32 x 32 bytes for each of red, green and blue.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alupdate.config import ImageDataset, ImageFolderDataset
from alupdate.data.dataset import ArrayImages, Dataset, Images, make_dataset
from alupdate.data.downloads import downloaded
from alupdate.data.image_files import ImageFiles, ListedFiles, image_source, index_of
from alupdate.data.image_folder import folder_digest, has_test_set, read_image_folder
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError, first_line


@dataclass(frozen=True)
class ImagePart:
    """Images with the names of their classes (N,)."""

    images: Images
    labels: NDArray[Any]


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


UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError)
"""What torchvision's readers raise on files that are missing or damaged."""


@dataclass(frozen=True)
class TorchvisionSet:
    """How to use one of torchvision's classes.

    Attributes:
        reader: its name in torchvision.datasets.
        folder: below the root, what is there once the data set is.
        pool: which splits the pool is made of.
        axes: of the arrays it holds, to bring them to (N, H, W, 3); None for lists of files.
    """

    reader: str
    folder: str
    pool: tuple[str, ...] = ("train",)
    axes: tuple[int, ...] | None = None


TORCHVISION = {
    "stl10": TorchvisionSet("STL10", "stl10_binary", axes=(0, 2, 3, 1)),
    "svhn": TorchvisionSet("SVHN", "train_32x32.mat", axes=(0, 2, 3, 1)),
    "dtd": TorchvisionSet("DTD", "dtd/dtd", pool=("train", "val")),
    "food101": TorchvisionSet("Food101", "food-101"),
    "flowers102": TorchvisionSet("Flowers102", "flowers-102", pool=("train", "val")),
}


def download_set(name: str, root: Path) -> None:
    """Let torchvision fetch all files into ``root`` and check them against their MD5."""
    for split in (*TORCHVISION[name].pool, "test"):
        _open(name, root, split, download=True)


def read_set(
    name: str, root: Path, where: str, cache: Path, display: Display
) -> tuple[ImagePart, ImagePart]:
    """Return pool and test set.

    Args:
        name: a key of ``TORCHVISION``.
        root: the folder that torchvision fills.
        where: how to call the source in an error message.
        cache: the cache directory, for the index of image files.
        display: shows progress while the index is made.

    Raises:
        InputError: files are missing or damaged.
    """
    kind = TORCHVISION[name]
    try:
        pool = [_open(name, root, split) for split in kind.pool]
        test = [_open(name, root, "test")]
    except UNREADABLE as error:
        reason = first_line(error).split(". ")[0]
        raise InputError(
            f"{where}: files of {name} are missing or damaged ({reason}); get them again"
        ) from error
    if kind.axes is not None:
        return _from_arrays(pool, kind.axes), _from_arrays(test, kind.axes)
    return _from_files(pool, test, root, where, cache, display)


def _open(name: str, root: Path, split: str, download: bool = False) -> Any:
    from torchvision import datasets

    return getattr(datasets, TORCHVISION[name].reader)(str(root), split=split, download=download)


def _labels(numbers: Iterable[int], opened: Any) -> NDArray[Any]:
    """Return class names where torchvision knows them, and numbers as strings otherwise."""
    names = getattr(opened, "classes", None)
    return np.array([names[number] if names else str(number) for number in numbers])


def _from_arrays(opened: list[Any], axes: tuple[int, ...]) -> ImagePart:
    rows = np.concatenate([part.data.transpose(axes) for part in opened])
    labels = np.concatenate([_labels(part.labels.tolist(), part) for part in opened])
    return ImagePart(ArrayImages(np.ascontiguousarray(rows)), labels)


def _from_files(
    pool: list[Any], test: list[Any], root: Path, where: str, cache: Path, display: Display
) -> tuple[ImagePart, ImagePart]:
    """Return the images that torchvision lists, in its order; they stay where they are."""
    listed = {id(part): _paths(part, root) for part in (*pool, *test)}
    paths = tuple(path for some in listed.values() for path in some)
    source = ListedFiles(root, paths, where)
    index = index_of(source, cache, display)
    if (complaint := index.complaint()) is not None:
        raise InputError(f"{where}: {complaint}; get them again")
    everything = ImageFiles(source, index)
    position = {str(path): i for i, path in enumerate(index.paths)}

    def part(opened: list[Any]) -> ImagePart:
        chosen = [position[path] for some in opened for path in listed[id(some)]]
        labels = np.concatenate([_labels(some._labels, some) for some in opened])
        return ImagePart(everything.take(np.array(chosen, np.int64)), labels)

    return part(pool), part(test)


def _paths(opened: Any, root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in opened._image_files]


@dataclass(frozen=True)
class _Known:
    """What to do about one data set.

    Attributes:
        folder: below the root, what its own layout has and image folders have not.
        download: fetches all files into a root.
        read: (root, where, cache, display) -> pool and test set.
    """

    folder: str
    download: Callable[[Path], None]
    read: Callable[[Path, str, Path, Display], tuple[ImagePart, ImagePart]]


def read_known_images(config: ImageDataset, name: str, cache: Path, display: Display) -> Dataset:
    """Read a data set from ``config.root``, or from the cache, downloading it if need be.

    Args:
        config: which one, and where it lies.
        name: of the data set, for tables and figures.
        cache: the cache directory, for downloads and the index of image files.
        display: shows progress.

    Raises:
        InputError: it is not there, cannot be downloaded, or is incomplete or damaged.
    """
    known = _known(config.name)
    if config.root is None:
        where = f"dataset={config.name}"
        root = downloaded(config.name, cache, config.download, known.download)
    else:
        where = f"dataset.root={config.root}"
        own = _own_layout(config.name, config.root)
        if own is None:
            folder = ImageFolderDataset(name="imagefolder", path=config.root)
            return read_image_folder(folder, name, cache, display, key="dataset.root")
        root = own
    train, test = known.read(root, where, cache, display)
    return make_dataset(name, train.images, train.labels, test.images, test.labels, where)


def own_copy_digest(config: ImageDataset, cache: Path, display: Display) -> str | None:
    """Return a digest of an image folder at ``config.root``, or None where the name says it all.

    Raises:
        InputError: there is nothing at the root.
    """
    if config.root is None or _own_layout(config.name, config.root) is not None:
        return None
    return folder_digest(config.root, f"dataset.root={config.root}", cache, display)


def _known(name: str) -> _Known:
    if name in CIFAR:
        return _Known(
            CIFAR[name].folder,
            partial(download_cifar, name),
            lambda root, where, _cache, _display: read_cifar(name, root, where),
        )
    return _Known(TORCHVISION[name].folder, partial(download_set, name), partial(read_set, name))


def _own_layout(name: str, root: str) -> Path | None:
    """Return the folder with the data set's own layout, or None for an image folder or zip.

    The root may also be a folder further down: its images must not be taken for an image folder
    without splits.

    Raises:
        InputError: the root has neither, or only a pickled version.
    """
    folder = _known(name).folder
    for base in _above(Path(root), PurePosixPath(folder)):
        if (base / folder).exists():
            return base
    where = f"dataset.root={root}"
    if name in CIFAR and _is_pickled(Path(root), CIFAR[name].pickled):
        raise InputError(
            f"{where}: {CIFAR[name].pickled} is pickled and is not read; give the binary version "
            f"({CIFAR[name].archive}, unpacked) or an image folder"
        )
    if not has_test_set(image_source(root, where).stamps()):
        raise InputError(
            f"{where}: holds neither {folder} nor train/<class>/* and test/<class>/*; give the "
            f"folder around {folder}, or an image folder or zip with these parts"
        )
    return None


def _above(root: Path, folder: PurePosixPath) -> list[Path]:
    """Return the places where ``folder`` may be looked for if ``root`` lies in it."""
    found = [root]
    for depth in range(1, len(folder.parts) + 1):
        if root.parts[-depth:] == folder.parts[:depth]:
            found.append(Path(*root.parts[:-depth]))
    return found


def _is_pickled(root: Path, folder: str) -> bool:
    return root.name == folder or (root / folder).exists()
