"""Your own images: a folder or zip of <split>/<class>/* or <class>/*."""

import hashlib
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as checked_dataclass
from typing_extensions import override

from alupdate.config.values import SETTINGS, PathText, Share
from alupdate.data.dataset import Dataset, IntArray, make_dataset
from alupdate.data.image_files import ImageFiles, index_of
from alupdate.data.image_sources import image_source
from alupdate.data.own_data import PARTLY, OwnData, OwnInstances, all_or_none
from alupdate.data.splits import stratified_split
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.files import printable_name

UNLABELLED = ("unlabelled", "unlabeled")
"""Names of the folder beside those of the classes whose images have no label."""
LABELS_FILE = "labels.csv"
"""The labels file of images without labels, beside them, where none is configured."""
TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation")
"""Names of split folders; of several, the first is the test set and the others are not read."""


@checked_dataclass(frozen=True, config=SETTINGS, kw_only=True)
class ImageFolder(OwnData):
    """A folder or zip archive whose folders name splits and classes; images stay on disk.

    Where people label, the images of the pool have the class of their folder, and those in a
    folder ``unlabelled`` beside it have none. None has one if all of them lie in one folder.

    Attributes:
        path: of the folder or archive.
        test_share: how much of every class is held out where there is no folder of a test set.
        unreadable: whether images that cannot be decoded are refused or left out.
    """

    places: ClassVar[frozenset[str]] = frozenset({"path", "labels"})
    name: Literal["imagefolder"] = "imagefolder"
    path: PathText
    test_share: Share = 0.2
    unreadable: Literal["error", "skip"] = "error"

    @override
    def read_labelled(self, cache: Path, display: Display) -> Dataset:
        return read_image_folder(self, "dataset.path", cache, display)

    @override
    def held_out(self) -> float:
        return self.test_share

    @override
    def labels_beside(self) -> Path | None:
        beside = Path(self.path) / LABELS_FILE
        return beside if beside.is_file() else None

    @override
    def instances(self, cache: Path, display: Display) -> OwnInstances:
        where = f"dataset.path={self.path}"
        images, unread, notes = _readable(self, where, cache, display)
        paths = images.index.paths
        _refuse_unwritable(paths, where)
        layout = _layout(paths, where, partly=True)
        train, test = layout.train, layout.test
        names = tuple(paths[train].tolist())
        labels = [str(label) or None for label in layout.labels[train]]
        beside = self.labels_beside() if None in labels else None
        if self.labels is None and beside is not None:
            notes = [f"labels are read from {beside}", *notes]
        test_labels = [str(label) or None for label in layout.labels[test]]
        return OwnInstances(
            where,
            images.take(train),
            names,
            labels,
            integers=False,
            test=images.take(test) if len(test) else None,
            test_labels=all_or_none(test_labels, paths[test].tolist(), where),
            labels_file=None if beside is None else str(beside),
            unread=unread,
            notes=(*notes, *layout.notes),
        )

    @override
    def digest_of_data(self, cache: Path, display: Display) -> str:
        return folder_digest(self.path, f"dataset.path={self.path}", cache, display)


def read_image_folder(folder: ImageFolder, key: str, cache: Path, display: Display) -> Dataset:
    """Read the names and classes of all images.

    Args:
        folder: where the images are, and how to read them.
        key: which setting names the place, for error messages.
        cache: the cache directory, for the index of images.
        display: shows progress while the index is made.

    Raises:
        InputError: no such place, no images, images without a class, or unreadable images.
    """
    where = f"{key}={folder.path}"
    images, _, notes = _readable(folder, where, cache, display)
    layout = _layout(images.index.paths, where)
    train, test = layout.train, layout.test
    notes += layout.notes
    if not len(test):
        kept, held_out = stratified_split(layout.labels[train], folder.test_share, where)
        train, test = train[kept], train[held_out]
        notes.append(f"no folder is called test: {len(test)} images are held out at random")
    labels = layout.labels
    dataset = make_dataset(
        folder.display_name,
        images.take(train),
        labels[train],
        images.take(test),
        labels[test],
        where,
    )
    return replace(dataset, notes=(*notes, *dataset.notes))


def _readable(
    folder: ImageFolder, where: str, cache: Path, display: Display
) -> tuple[ImageFiles, frozenset[str], list[str]]:
    """Return the images that can be decoded, the paths of others, and notes on these."""
    source = image_source(folder.path, where)
    index = index_of(source, cache, display)
    if not len(index.paths):
        found = "".join(f"; {note}" for note in source.listing.notes())
        raise InputError(f"{where}: holds no images; expected <class>/* or train/<class>/*{found}")
    _refuse_odd_names(index.paths, where)
    complaint = index.complaint()
    if complaint is not None and folder.unreadable == "error":
        raise InputError(
            f"{where}: {complaint}; repair or remove them, or use dataset=imagefolder with "
            "dataset.unreadable=skip"
        )
    images = ImageFiles.of(source, index)
    notes = [] if complaint is None else [f"{complaint}: left out"]
    notes += [*source.listing.notes(), *images.notes()]
    is_readable = index.problems == ""
    unread = frozenset(index.paths[~is_readable].tolist())
    return images.take(np.flatnonzero(is_readable)), unread, notes


def _refuse_odd_names(paths: NDArray[np.str_], where: str) -> None:
    """Refuse folders whose names are no text: classes are called like them.

    Raises:
        InputError: the name of one is not UTF-8, or has characters that cannot be printed.
    """
    for folder in sorted({posixpath.dirname(path) for path in paths.tolist()}):
        if printable_name(folder) != folder:
            raise InputError(
                f"{where}: the name of folder {printable_name(folder)} is not UTF-8 or cannot be "
                "printed; rename it"
            )


def _refuse_unwritable(paths: NDArray[np.str_], where: str) -> None:
    """Refuse files whose names no labels file can hold, or no terminal show.

    Raises:
        InputError: the name of one is not UTF-8, or has characters that cannot be printed.
    """
    odd = next((path for path in paths.tolist() if printable_name(path) != path), None)
    if odd is not None:
        raise InputError(
            f"{where}: the name of {printable_name(odd)} is not UTF-8 or cannot be printed; "
            "rename it, so that labels can name it"
        )


def has_test_set(paths: Iterable[str]) -> bool:
    """Return whether the folders of images say which are the pool and which the test set."""
    train_names, test_name = _splits(_folders(paths))
    return bool(train_names) and test_name is not None


def folder_digest(path: str, where: str, cache: Path, display: Display) -> str:
    """Return a SHA-256 over the names and contents of all images."""
    index = index_of(image_source(path, where), cache, display)
    names = "\n".join(index.paths.tolist()).encode(errors="surrogateescape")
    return hashlib.sha256(names + index.digests.tobytes()).hexdigest()


@dataclass(frozen=True)
class _Layout:
    """Which files are used, and what their folders say.

    Attributes:
        train, test: positions of the files; test is empty where there is no such folder.
        labels: (N,), the class of every file, empty for files of other splits.
        notes: what a user may have meant otherwise, a line each.
    """

    train: IntArray
    test: IntArray
    labels: NDArray[np.str_]
    notes: list[str]


def _layout(paths: NDArray[np.str_], where: str, partly: bool = False) -> _Layout:
    """Find splits and classes in the folders' names.

    A single folder around everything, as many archives have, is ignored.

    Args:
        paths: (N,), the files.
        where: how to call the source in an error message.
        partly: whether images need not have a class.

    Raises:
        InputError: an image lies in no class folder, or there is a test set only.
    """
    parts = _folders(paths.tolist())
    train_names, test_name = _splits(parts, where)
    train, test = np.arange(len(parts)), np.zeros(0, np.int64)
    if train_names:
        train = np.array([i for i, p in enumerate(parts) if p and p[0].lower() in train_names])
        test = np.array(
            [i for i, p in enumerate(parts) if p and p[0].lower() == test_name], np.int64
        )
    depth = 1 if train_names else 0
    used = [*train.tolist(), *test.tolist()]
    labels = np.full(len(parts), "", dtype=object)
    notes = _unused(paths, used)
    for part in (train, test):
        inside = [parts[i] for i in part.tolist()]
        if partly and (single := _single_folder(inside, depth, frozenset(labels))) is not None:
            notes += single
        else:
            _require_depth(inside, paths[part], depth + 1, where)
            labels[part] = [_label(folders[depth]) for folders in inside]
            if not partly:
                _refuse_unlabelled(paths[part], labels[part], where)
    notes += _below_classes([parts[i] for i in used if labels[i]], depth + 1)
    return _Layout(train, test, labels.astype(np.str_), notes)


def _label(folder: str) -> str:
    return "" if folder.lower() in UNLABELLED else folder


def _single_folder(
    parts: list[tuple[str, ...]], depth: int, classes: frozenset[str]
) -> list[str] | None:
    """Return notes if all files lie in one folder that is none of the classes, otherwise None.

    None of them has a label then: a pool of one class is nothing to learn from.

    Args:
        parts: the folders that each file lies in.
        depth: how many of them are above those of classes.
        classes: those of the pool, where the files are the test set.
    """
    tops = {part[depth : depth + 1] for part in parts}
    if len(tops) != 1 or not classes.isdisjoint(*tops):
        return None
    if tops == {()} or not _label(parts[0][depth]):
        return []
    return [f"all images lie in {'/'.join(parts[0][: depth + 1])}: taken for images without labels"]


def _refuse_unlabelled(paths: NDArray[np.str_], labels: NDArray[Any], where: str) -> None:
    without = paths[labels == ""]
    if len(without):
        raise InputError(
            f"{where}: {len(without)} images have no label, such as "
            f"{printable_name(str(without[0]))}; give dataset.labels=FILE{PARTLY}"
        )


def _unused(paths: NDArray[np.str_], used: list[int]) -> list[str]:
    others = np.delete(paths, used)
    if not len(others):
        return []
    return [
        f"{len(others)} images in folders of other splits are not used, such as "
        f"{printable_name(str(others[0]))}"
    ]


def _below_classes(parts: list[tuple[str, ...]], depth: int) -> list[str]:
    """Say whether images lie deeper than a class folder: superclasses, or folds, look like that."""
    deeper = sorted({part[: depth + 1] for part in parts if len(part) > depth})
    if not deeper:
        return []
    first = deeper[0]
    return [
        f"{len(deeper)} folders lie in class folders, such as {'/'.join(first)}: their images have "
        f"the class {first[depth - 1]}"
    ]


def _splits(
    parts: list[tuple[str, ...]], where: str | None = None
) -> tuple[frozenset[str], str | None]:
    """Return which folders hold the pool and the test set, if any do.

    A folder called train may also be a class, of vehicles: then its images lie in it directly and
    no other folder is called like a split.

    Args:
        parts: the folders that each file lies in.
        where: how to call the source in an error message; None to accept a missing pool.

    Raises:
        InputError: there are folders of a test set only.
    """
    tops = {part[0].lower() for part in parts if part}
    train_names = tops.intersection(TRAIN)
    test_name = next((name for name in TEST if name in tops), None)
    deep_tops = {p[0].lower() for p in parts if len(p) > 1}
    if where is not None and not train_names and test_name is not None:
        missing = tops <= frozenset(TEST) or test_name in deep_tops
        if missing:
            raise InputError(
                f"{where}: has a folder {test_name}, but none called train; add train/<class>/*, "
                f"or rename {test_name} if it is a class or holds all images"
            )
    deep = bool(deep_tops.intersection(train_names))
    return (frozenset(train_names) if test_name or deep else frozenset()), test_name


def _folders(paths: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the folders that each file lies in, without those around everything."""
    return _without_wrapper([tuple(path.split("/")[:-1]) for path in paths])


def _without_wrapper(parts: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    while parts and all(len(p) > 1 for p in parts) and len({p[0] for p in parts}) == 1:
        if parts[0][0].lower() in (*TRAIN, *TEST, *UNLABELLED):
            break
        parts = [p[1:] for p in parts]
    return parts


def _require_depth(
    parts: list[tuple[str, ...]], paths: NDArray[np.str_], depth: int, where: str
) -> None:
    layout = "<class>/*" if depth == 1 else "<split>/<class>/*"
    for part, path in zip(parts, paths, strict=True):
        if len(part) < depth:
            raise InputError(
                f"{where}: {printable_name(path)} lies in no class folder; expected {layout}, or "
                f"unlabelled/* for what has none{PARTLY}"
            )
