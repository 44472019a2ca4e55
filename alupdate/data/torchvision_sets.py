"""Data sets whose files torchvision downloads, checks and reads; its readers unpickle nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alupdate.data.downloads import one_line
from alupdate.data.image_files import ImageFiles, index_of
from alupdate.data.image_part import ImagePart
from alupdate.data.image_source import ListedFiles
from alupdate.data.instances import ArrayImages
from alupdate.display import Display
from alupdate.errors import InputError

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
        reason = one_line(error).split(". ")[0]
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
