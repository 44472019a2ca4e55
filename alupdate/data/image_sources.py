"""Where image files lie: a folder, a list of files, or a zip archive that is read in place."""

import hashlib
import json
import os
import posixpath
import stat
import zipfile
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from typing_extensions import override

from alupdate.data.decoding import image_endings
from alupdate.utils.errors import InputError, cannot_read
from alupdate.utils.files import (
    Status,
    files_below,
    printable_name,
    regular_bytes,
    replace_file,
    require_regular,
    sha256_of,
)

LARGEST_IMAGE_BYTES = 2**28
"""Of one image file; one that claims more is taken for an attack on memory."""
INDEX_FORMAT = "image index 2"
"""Version of what is kept of a source's images."""
ZIP_ERRORS = (zipfile.BadZipFile, OSError, NotImplementedError, ValueError)
"""What is raised on files that are no zip archive, or of an unknown version."""
NO_ENDING = "files without an image's ending"
HIDDEN = "hidden files"
EMPTY = "folders without images"
DANGLING = "links that lead nowhere"
SPECIAL = "pipes, sockets and devices"


@dataclass(frozen=True)
class Listing:
    """The image files of a source, and what else is there.

    Attributes:
        stamps: each file's path, with what changes when the file does; sorted by path.
        left_out: paths that are not read, by the reason.
    """

    stamps: dict[str, str]
    left_out: dict[str, list[str]]

    def notes(self) -> list[str]:
        """Return what was left out, a line per reason with a count and an example."""
        return [
            f"left out: {reason} ({len(paths)}, such as {printable_name(min(paths))})"
            for reason, paths in self.left_out.items()
            if paths
        ]


@dataclass(frozen=True)
class ImageSource(ABC):
    """Named image files, in a fixed order.

    Attributes:
        where: how to call the source in an error message.
    """

    where: str

    @property
    @abstractmethod
    def listing(self) -> Listing:
        """What is there.

        Stamps are a file's size and times of change, or the size of an archive's member.

        Raises:
            InputError: a file is missing, links lead in a circle, or an archive is damaged or
                malicious.
        """

    @abstractmethod
    def read(self, path: str) -> bytes:
        """Return a file's content."""

    def stamps(self) -> dict[str, str]:
        """Return each image's path and stamp; errors are those of ``listing``."""
        return self.listing.stamps

    def key(self, cache: Path) -> str:
        """Return a hash that changes when an image does; it names what is kept of the images.

        Args:
            cache: the folder of what is kept.

        Raises:
            InputError: as ``listing``, or the source cannot be read.
            OSError: the cache cannot be written.
        """
        return _hash(f"{path} {stamp}" for path, stamp in self.stamps().items())


@dataclass(frozen=True)
class Folder(ImageSource):
    """The image files below a directory, with any number of levels; links are followed."""

    root: Path

    @cached_property
    @override
    def listing(self) -> Listing:
        walk = files_below(self.root, self.where)
        images = {path: _stamp(s) for path, s in walk.files.items() if is_image(path)}
        left_out = {
            NO_ENDING: [p for p in walk.files if p not in images and not _is_hidden(p)],
            HIDDEN: [*walk.hidden, *(p for p in walk.files if _is_hidden(p))],
            EMPTY: _without(images, [f for f in walk.folders if not _is_hidden(f"{f}/")]),
            DANGLING: walk.dangling,
            SPECIAL: walk.special,
        }
        return Listing(dict(sorted(images.items())), left_out)

    @override
    def read(self, path: str) -> bytes:
        return _content(self.root / path)


@dataclass(frozen=True)
class ListedFiles(ImageSource):
    """The image files below a directory that a list names, whatever else is there."""

    root: Path
    paths: tuple[str, ...]

    @cached_property
    @override
    def listing(self) -> Listing:
        try:
            named = sorted(set(self.paths))
            return Listing({path: _stamp((self.root / path).stat()) for path in named}, {})
        except OSError as error:
            raise cannot_read(self.where, error) from error

    @override
    def read(self, path: str) -> bytes:
        return _content(self.root / path)


@dataclass(frozen=True)
class Archive(ImageSource):
    """The image files of a zip archive; nothing is unpacked to disk."""

    path: Path

    @cached_property
    def _opened(self) -> dict[int, zipfile.ZipFile]:
        """The archive by process: forked processes would move each other's place in the file."""
        return {}

    @property
    def _zip(self) -> zipfile.ZipFile:
        process = os.getpid()
        try:
            if process not in self._opened:
                self._opened[process] = zipfile.ZipFile(self.path)
            return self._opened[process]
        except ZIP_ERRORS as error:
            raise InputError(f"{self.where}: cannot be read as a zip archive ({error})") from error

    @cached_property
    @override
    def listing(self) -> Listing:
        images: dict[str, str] = {}
        folders: set[str] = set()
        left_out: dict[str, list[str]] = defaultdict(list)
        seen: set[str] = set()
        for member in self._zip.infolist():
            name = member.filename
            if name.endswith("/"):
                folders |= {name.rstrip("/")} if not _is_hidden(name.rstrip("/")) else set()
                continue
            problem = "is there twice" if name in seen else _problem(member, is_image(name))
            if problem is not None:
                raise InputError(f"{self.where}: member {name!r} {problem}; make the archive again")
            seen.add(name)
            if is_image(name):
                images[name] = f"{member.file_size}"
            else:
                left_out[HIDDEN if _is_hidden(name) else NO_ENDING].append(name)
            folders |= set() if _is_hidden(name) else {posixpath.dirname(name)}
        left_out[EMPTY] = _without(images, [folder for folder in folders if folder])
        return Listing(dict(sorted(images.items())), left_out)

    @override
    def read(self, path: str) -> bytes:
        return self._zip.read(path)

    @override
    def key(self, cache: Path) -> str:
        return _hash([self._digest(cache), *self.stamps()])

    def _digest(self, cache: Path) -> str:
        """Return the SHA-256 of the archive: a checksum of 32 bits does not tell two images apart.

        It is kept until the archive's size or times of change differ.
        """
        try:
            place = str(self.path.resolve()).encode(errors="surrogateescape")
            stamp = _stamp(self.path.stat())
            kept = cache / f"{hashlib.sha256(place).hexdigest()[:24]}.json"
            if (known := _known_digest(kept, stamp)) is not None:
                return known
            found = sha256_of(self.path)
        except OSError as error:
            raise cannot_read(self.where, error) from error
        replace_file(kept, json.dumps({"stamp": stamp, "sha256": found}))
        return found


def _known_digest(kept: Path, stamp: str) -> str | None:
    try:
        document = json.loads(regular_bytes(kept))
        return str(document["sha256"]) if document["stamp"] == stamp else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _hash(lines: Iterable[str]) -> str:
    text = "\n".join([INDEX_FORMAT, *lines])
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:24]


def _content(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than an image is.
    """
    require_regular(path)
    with path.open("rb") as file:
        content = file.read(LARGEST_IMAGE_BYTES + 1)
    if len(content) > LARGEST_IMAGE_BYTES:
        raise ValueError(f"has more than {LARGEST_IMAGE_BYTES / 2**20:.0f} MiB")
    return content


def _stamp(status: Status) -> str:
    """Return what differs if a file's content does.

    Archives are often made with one time of change for all files, and images without compression
    have one size; the time of change of the directory entry tells them apart, too.
    """
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def image_source(path: str, where: str) -> ImageSource:
    """Return the folder or zip archive at ``path``.

    Raises:
        InputError: there is neither.
    """
    found = Path(path)
    if found.is_dir():
        return Folder(where, found)
    if found.is_file():
        return Archive(where, found)
    raise InputError(f"{where}: no such folder or zip archive")


def is_image(path: str) -> bool:
    """Return whether a file is an image by its ending; hidden files are none."""
    return not _is_hidden(path) and posixpath.splitext(path)[1].lower() in image_endings()


def _is_hidden(path: str) -> bool:
    return path.startswith((".", "__MACOSX/")) or "/." in path or "/__MACOSX/" in path


def _without(images: Iterable[str], folders: Iterable[str]) -> list[str]:
    """Return the folders in which, at any depth, no image lies; of nested ones the outermost."""
    full = {""}
    for path in images:
        folder = posixpath.dirname(path)
        while folder not in full:
            full.add(folder)
            folder = posixpath.dirname(folder)
    return sorted(f for f in set(folders) - full if posixpath.dirname(f) in full)


def _problem(member: zipfile.ZipInfo, read: bool) -> str | None:
    """Return what is wrong with a member, or None; its size only matters if it is read."""
    parts = member.filename.split("/")
    absolute = member.filename.startswith("/") or ":" in parts[0]
    if absolute or ".." in parts or "\\" in member.filename:
        return "has a path that leads out of the archive"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a symbolic link"
    if member.flag_bits & 1:
        return "is encrypted"
    if read and member.file_size > LARGEST_IMAGE_BYTES:
        return f"would take {member.file_size / 2**20:.0f} MiB"
    return None
