"""Well-known image data sets: downloaded, or from your own copy in either of two layouts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from alupdate.config import ImageDataset, ImageFolderDataset
from alupdate.data.cifar import CIFAR, download_cifar, read_cifar
from alupdate.data.dataset import Dataset, make_dataset
from alupdate.data.downloads import downloaded
from alupdate.data.image_folder import folder_digest, has_test_set, read_image_folder
from alupdate.data.image_part import ImagePart
from alupdate.data.image_source import image_source
from alupdate.data.torchvision_sets import TORCHVISION, download_set, read_set
from alupdate.display import Display
from alupdate.errors import InputError


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
