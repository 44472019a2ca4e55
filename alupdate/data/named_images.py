"""Well-known image data sets: CIFAR from its publishers, and others by torchvision's readers.

Each is read from your own copy, from an image folder or zip, or from a download in the cache.
"""

import errno
import hashlib
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic.dataclasses import dataclass as checked_dataclass
from typing_extensions import override

from alupdate.config.values import SETTINGS, Flag, PathText
from alupdate.data.dataset import ArrayImages, Dataset, DatasetOption, Images, make_dataset
from alupdate.data.downloads import downloaded
from alupdate.data.image_files import ImageFiles, index_of
from alupdate.data.image_folder import (
    ImageFolder,
    folder_digest,
    has_test_set,
    read_image_folder,
)
from alupdate.data.image_sources import ListedFiles, image_source
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError, cannot_read, first_line
from alupdate.utils.files import sha256_of

TORCHVISION_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError)
"""What torchvision's readers raise on files that are missing or damaged."""


@dataclass(frozen=True)
class LabelledImages:
    """Images with the names of their classes (N,)."""

    images: Images
    labels: NDArray[Any]


@checked_dataclass(frozen=True, config=SETTINGS, kw_only=True)
class NamedImages(DatasetOption):
    """A well-known image data set.

    Attributes:
        root: your copy, in the data set's own layout or as an image folder or zip; None for the
            cache.
        download: False forbids use of the network.
    """

    places: ClassVar[frozenset[str]] = frozenset({"root", "download"})
    root: PathText | None = None
    download: Flag = True

    @property
    @abstractmethod
    def own_folder(self) -> str:
        """A file or folder below the root by which the data set's own layout is known."""

    @abstractmethod
    def fetch(self, root: Path) -> None:
        """Download all files into ``root``, in the data set's own layout."""

    @abstractmethod
    def read_own(
        self, root: Path, where: str, cache: Path, display: Display
    ) -> tuple[LabelledImages, LabelledImages]:
        """Return pool and test set from the data set's own layout.

        Args:
            root: holds ``own_folder``.
            where: how to call the source in an error message.
            cache: the cache directory, for the index of image files.
            display: shows progress while the index is made.

        Raises:
            InputError: files are missing or damaged.
        """

    def own_files(self, root: Path) -> list[Path]:
        """Return the files of the data set's own layout; none where they are a folder of images."""
        return []

    def refuse_other_layouts(self, root: Path, where: str) -> None:
        """Refuse a layout that must not be taken for an image folder; there is none by default.

        Raises:
            InputError: it lies at ``root``.
        """

    @override
    def read(self, cache: Path, display: Display) -> Dataset:
        if self.root is None:
            where = f"dataset={self.name}"
            root = downloaded(self.name, cache, self.download, self.fetch)
        else:
            where = f"dataset.root={self.root}"
            own = self._own_root(self.root)
            if own is None:
                folder = ImageFolder(path=self.root, label=self.display_name)
                return read_image_folder(folder, "dataset.root", cache, display)
            root = own
        train, test = self.read_own(root, where, cache, display)
        return make_dataset(
            self.display_name, train.images, train.labels, test.images, test.labels, where
        )

    @override
    def digest(self, cache: Path, display: Display) -> str | None:
        if self.root is None:
            return None
        where = f"dataset.root={self.root}"
        own = self._own_root(self.root)
        if own is None:
            return folder_digest(self.root, where, cache, display)
        return self._own_digest(own, where, cache, display)

    def _own_digest(self, root: Path, where: str, cache: Path, display: Display) -> str:
        """Return a SHA-256 of the data set's own layout: of its images, and of all other files."""
        folder = root / self.own_folder
        kept = self.own_files(root)
        content = hashlib.sha256()
        if not kept:
            content.update(folder_digest(str(folder), where, cache, display).encode())
            endings = Image.registered_extensions()
            listed = (p for p in folder.rglob("*") if p.suffix.lower() not in endings)
            kept = [path for path in listed if path.is_file()]
        for path in sorted(kept):
            if path.is_file():  # reading complains of files that are missing
                content.update(f"{path.relative_to(root)} {sha256_of(path)}\n".encode())
        return content.hexdigest()

    def _own_root(self, root: str) -> Path | None:
        """Return the folder with the data set's own layout, or None for an image folder or zip.

        The root may also be a folder further down: its images must not be taken for an image
        folder without splits.

        Raises:
            InputError: the root has neither.
        """
        folder = self.own_folder
        for base in _above(Path(root), PurePosixPath(folder)):
            if (base / folder).exists():
                return base
        where = f"dataset.root={root}"
        self.refuse_other_layouts(Path(root), where)
        if not has_test_set(image_source(root, where).stamps()):
            raise InputError(
                f"{where}: holds neither {folder} nor train/<class>/* and test/<class>/*; give the "
                f"folder around {folder}, or an image folder or zip with these parts"
            )
        return None


def _above(root: Path, folder: PurePosixPath) -> list[Path]:
    """Return the folders that may hold ``folder``: the root, and others if it is a part of it."""
    found = [root]
    for depth in range(1, len(folder.parts) + 1):
        if root.parts[-depth:] == folder.parts[:depth]:
            found.append(Path(*root.parts[:-depth]))
    return found


SITE = "https://www.cs.toronto.edu/~kriz/"
SIDE = 32
"""Height and width of CIFAR's images."""


@dataclass(frozen=True)
class CifarFiles:
    """The files of CIFAR-10 or CIFAR-100.

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
    "cifar10": CifarFiles(
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
    "cifar100": CifarFiles(
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


@checked_dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Cifar(NamedImages):
    """CIFAR-10 and CIFAR-100 in their binary version.

    The version for Python is pickled, and unpickling a file can run any code; the binary version
    holds the same images as records of label bytes and 32 x 32 bytes for each of red, green and
    blue.
    """

    name: Literal["cifar10", "cifar100"]

    @property
    @override
    def own_folder(self) -> str:
        return CIFAR[self.name].folder

    @override
    def fetch(self, root: Path) -> None:
        from torchvision.datasets.utils import download_and_extract_archive

        files = CIFAR[self.name]
        address = SITE + files.archive
        download_and_extract_archive(address, str(root), md5=files.md5, remove_finished=True)

    @override
    def own_files(self, root: Path) -> list[Path]:
        files = CIFAR[self.name]
        return [root / files.folder / f for f in (files.names, *files.train, *files.test)]

    @override
    def refuse_other_layouts(self, root: Path, where: str) -> None:
        files = CIFAR[self.name]
        if root.name == files.pickled or (root / files.pickled).exists():
            raise InputError(
                f"{where}: {files.pickled} is pickled and is not read; give the binary version "
                f"({files.archive}, unpacked) or an image folder"
            )

    @override
    def read_own(
        self, root: Path, where: str, cache: Path, display: Display
    ) -> tuple[LabelledImages, LabelledImages]:
        files = CIFAR[self.name]
        folder = root / files.folder
        try:
            names = np.array((folder / files.names).read_text().split())
            train = [_records(folder / f, files, files.records[0], where) for f in files.train]
            test = [_records(folder / f, files, files.records[1], where) for f in files.test]
        except OSError as error:
            raise cannot_read(where, error) from error
        return _images(train, files, names, where), _images(test, files, names, where)


def _records(path: Path, files: CifarFiles, count: int, where: str) -> NDArray[np.uint8]:
    content = np.fromfile(path, np.uint8)
    size = files.label_bytes + 3 * SIDE * SIDE
    if len(content) != count * size:
        raise InputError(
            f"{where}: {path.name} has {len(content)} bytes instead of {count * size}; get the "
            f"binary version again ({files.archive})"
        )
    return content.reshape(count, size)


def _images(
    batches: list[NDArray[np.uint8]], files: CifarFiles, names: NDArray[np.str_], where: str
) -> LabelledImages:
    records = np.concatenate(batches)
    labels = records[:, files.label_bytes - 1]
    if labels.max() >= len(names):
        raise InputError(
            f"{where}: a record has class {labels.max()}, but {files.names} names {len(names)}"
        )
    planes = records[:, files.label_bytes :].reshape(-1, 3, SIDE, SIDE)
    return LabelledImages(
        ArrayImages(np.ascontiguousarray(planes.transpose(0, 2, 3, 1))), names[labels]
    )


@dataclass(frozen=True)
class TorchvisionSet:
    """How a data set is read by one of torchvision's classes.

    Attributes:
        reader: its name in torchvision.datasets.
        folder: below the root, what is there once the data set is.
        pool: which splits the pool is made of.
        axes: of the arrays it holds, to bring them to (N, H, W, 3); None for lists of files.
        files: below the root, those of the arrays.
    """

    reader: str
    folder: str
    pool: tuple[str, ...] = ("train",)
    axes: tuple[int, ...] | None = None
    files: tuple[str, ...] = ()


TORCHVISION = {
    "stl10": TorchvisionSet(
        "STL10",
        "stl10_binary",
        axes=(0, 2, 3, 1),
        files=(
            "stl10_binary/class_names.txt",
            "stl10_binary/train_X.bin",
            "stl10_binary/train_y.bin",
            "stl10_binary/test_X.bin",
            "stl10_binary/test_y.bin",
        ),
    ),
    "svhn": TorchvisionSet(
        "SVHN",
        "train_32x32.mat",
        axes=(0, 2, 3, 1),
        files=("train_32x32.mat", "test_32x32.mat"),
    ),
    "dtd": TorchvisionSet("DTD", "dtd/dtd", pool=("train", "val")),
    "food101": TorchvisionSet("Food101", "food-101"),
    "flowers102": TorchvisionSet("Flowers102", "flowers-102", pool=("train", "val")),
}


@checked_dataclass(frozen=True, config=SETTINGS, kw_only=True)
class TorchvisionImages(NamedImages):
    """A data set that torchvision downloads, checks against its MD5 sum, and reads."""

    name: Literal["stl10", "dtd", "food101", "flowers102", "svhn"]

    @property
    @override
    def own_folder(self) -> str:
        return TORCHVISION[self.name].folder

    @override
    def own_files(self, root: Path) -> list[Path]:
        return [root / name for name in TORCHVISION[self.name].files]

    @override
    def fetch(self, root: Path) -> None:
        for split in (*TORCHVISION[self.name].pool, "test"):
            self._open(root, split, download=True)

    @override
    def read_own(
        self, root: Path, where: str, cache: Path, display: Display
    ) -> tuple[LabelledImages, LabelledImages]:
        axes = TORCHVISION[self.name].axes
        try:
            pool = [self._open(root, split) for split in TORCHVISION[self.name].pool]
            test = [self._open(root, "test")]
        except TORCHVISION_ERRORS as error:
            if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):
                raise cannot_read(where, error) from error
            reason = first_line(error).split(". ")[0]
            raise InputError(
                f"{where}: files of {self.name} are missing or damaged ({reason}); get them again"
            ) from error
        if axes is not None:
            return _from_arrays(pool, axes), _from_arrays(test, axes)
        return _from_files(pool, test, root, where, cache, display)

    def _open(self, root: Path, split: str, download: bool = False) -> Any:
        """Return torchvision's data set of a split; it may raise any of TORCHVISION_ERRORS."""
        from torchvision import datasets

        reader = getattr(datasets, TORCHVISION[self.name].reader)
        return reader(str(root), split=split, download=download)


def _labels(numbers: Iterable[int], opened: Any) -> NDArray[Any]:
    """Return class names where torchvision knows them, and numbers as strings otherwise."""
    names = getattr(opened, "classes", None)
    return np.array([names[number] if names else str(number) for number in numbers])


def _from_arrays(opened: list[Any], axes: tuple[int, ...]) -> LabelledImages:
    rows = np.concatenate([part.data.transpose(axes) for part in opened])
    labels = np.concatenate([_labels(part.labels.tolist(), part) for part in opened])
    return LabelledImages(ArrayImages(np.ascontiguousarray(rows)), labels)


def _from_files(
    pool: list[Any], test: list[Any], root: Path, where: str, cache: Path, display: Display
) -> tuple[LabelledImages, LabelledImages]:
    """Return the images that torchvision lists, in its order; they stay where they are."""
    listed = {id(part): _paths(part, root) for part in (*pool, *test)}
    paths = tuple(path for some in listed.values() for path in some)
    source = ListedFiles(where, root, paths)
    index = index_of(source, cache, display)
    if (complaint := index.complaint()) is not None:
        raise InputError(f"{where}: {complaint}; get them again")
    everything = ImageFiles.of(source, index)
    position = {str(path): i for i, path in enumerate(index.paths)}

    def part(opened: list[Any]) -> LabelledImages:
        chosen = [position[path] for some in opened for path in listed[id(some)]]
        labels = np.concatenate([_labels(some._labels, some) for some in opened])
        return LabelledImages(everything.take(np.array(chosen, np.int64)), labels)

    return part(pool), part(test)


def _paths(opened: Any, root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in opened._image_files]
