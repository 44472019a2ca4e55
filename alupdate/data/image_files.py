"""Image files in a folder or zip archive, decoded when needed, with an index made once."""

import hashlib
import io
import logging
import os
import posixpath
import stat
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image, ImageOps
from typing_extensions import override

from alupdate.data.dataset import DIGEST_SIZE, Digests, Images, IntArray, as_digests, digest
from alupdate.utils.display import Display, Rate
from alupdate.utils.errors import InputError
from alupdate.utils.files import replace_file

log = logging.getLogger(__name__)
IMAGE_ENDINGS = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)
LARGEST_IMAGE_BYTES = 2**28
"""Of one image file; a member that claims more is taken for an attack on memory."""
IMAGES_BETWEEN_REPORTS = 64
THREADS = min(16, os.cpu_count() or 1)
"""Each holds a decoded image or two."""
DAMAGED = (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError)
"""What NumPy raises on archives that are not what they should be."""


@dataclass(frozen=True)
class ImageSource(ABC):
    """Named image files, in a fixed order.

    Attributes:
        where: how to call the source in an error message.
    """

    where: str

    @abstractmethod
    def stamps(self) -> dict[str, str]:
        """Return each file's path, with what changes when the file does; sorted by path.

        For files that is their size and times of change, for members of an archive their size and
        checksum.

        Raises:
            InputError: a file is missing, or an archive is damaged or malicious.
        """

    @abstractmethod
    def read(self, path: str) -> bytes:
        """Return a file's content."""


@dataclass(frozen=True)
class Folder(ImageSource):
    """The image files below a directory, with any number of levels."""

    root: Path

    @override
    def stamps(self) -> dict[str, str]:
        found = {}
        for path in self.root.rglob("*"):
            relative = path.relative_to(self.root).as_posix()
            if is_image(relative) and path.is_file():
                found[relative] = _stamp(path)
        return dict(sorted(found.items()))

    @override
    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()


@dataclass(frozen=True)
class ListedFiles(ImageSource):
    """The image files below a directory that a list names, whatever else is there."""

    root: Path
    paths: tuple[str, ...]

    @override
    def stamps(self) -> dict[str, str]:
        try:
            return {path: _stamp(self.root / path) for path in sorted(set(self.paths))}
        except OSError as error:
            raise InputError(f"{self.where}: {error.filename}: {error.strerror}") from error

    @override
    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()


@dataclass(frozen=True)
class Archive(ImageSource):
    """The image files of a zip archive; nothing is unpacked to disk."""

    path: Path

    @cached_property
    def _zip(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError) as error:
            raise InputError(f"{self.where}: cannot be read as a zip archive ({error})") from error

    @override
    def stamps(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for member in self._zip.infolist():
            if member.filename.endswith("/"):
                continue
            problem = _problem(member, is_image(member.filename))
            if problem is None and member.filename in found:
                problem = "is there twice"
            if problem is not None:
                raise InputError(
                    f"{self.where}: member {member.filename!r} {problem}; make the archive again"
                )
            if is_image(member.filename):
                found[member.filename] = f"{member.file_size} {member.CRC:08x}"
        return dict(sorted(found.items()))

    @override
    def read(self, path: str) -> bytes:
        return self._zip.read(path)


def _stamp(path: Path) -> str:
    """Return what differs if a file's content does.

    Archives are often made with one time of change for all files, and images without compression
    have one size; the time of change of the directory entry tells them apart, too.
    """
    status = path.stat()
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
    hidden = path.startswith((".", "__MACOSX/")) or "/." in path or "/__MACOSX/" in path
    return not hidden and posixpath.splitext(path)[1].lower() in IMAGE_ENDINGS


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


@dataclass(frozen=True)
class Index:
    """What is known of every image file after all were decoded once.

    Attributes:
        paths: (N,), in the source.
        digests: (N,), of the files' content.
        sizes: (N, 2), height and width in pixels; zeros where unreadable.
        problems: (N,), why a file cannot be decoded; empty where it can.
    """

    paths: NDArray[np.str_]
    digests: Digests
    sizes: NDArray[np.int32]
    problems: NDArray[np.str_]

    def complaint(self) -> str | None:
        """Return how many images cannot be read, and which is the first, or None."""
        unreadable = np.flatnonzero(self.problems != "")
        if not len(unreadable):
            return None
        first = unreadable[0]
        return (
            f"{len(unreadable)} of {len(self.paths)} images cannot be read, the first is "
            f"{self.paths[first]} ({self.problems[first]})"
        )

    def take(self, positions: IntArray) -> "Index":
        """Return what is known of the files at these positions."""
        return Index(
            self.paths[positions],
            self.digests[positions],
            self.sizes[positions],
            self.problems[positions],
        )


@dataclass(frozen=True)
class ImageFiles(Images):
    """Colour images in files, decoded each time they are asked for.

    Attributes:
        source: where the files lie.
        index: of these files, all of them readable.
    """

    source: ImageSource
    index: Index

    @override
    def __len__(self) -> int:
        return len(self.index.paths)

    @property
    @override
    def shape(self) -> tuple[int, int, int] | None:
        height, width = self.index.sizes[0]
        same = (self.index.sizes == self.index.sizes[0]).all()
        return (int(height), int(width), 3) if same else None

    @override
    def __getitem__(self, position: int) -> NDArray[np.uint8]:
        return decode(self.source.read(str(self.index.paths[position])))

    @override
    def digests(self) -> Digests:
        return self.index.digests

    @override
    def take(self, positions: IntArray) -> "ImageFiles":
        return ImageFiles(self.source, self.index.take(positions))


def decode(content: bytes) -> NDArray[np.uint8]:
    """Return a file's image (H, W, 3), turned upright as its camera noted."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(_in_8_bits(ImageOps.exif_transpose(image)).convert("RGB"))


def _in_8_bits(image: Image.Image) -> Image.Image:
    """Prepare modes that Pillow would clip at 255, or convert with a warning.

    Raises:
        ValueError: the values have no known range.
    """
    if image.mode.startswith("I"):  # greyscale of 16 bits, held in 16 or 32
        return Image.fromarray(np.clip(np.asarray(image) // 256, 0, 255).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("pixels are floating-point numbers")
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        return image.convert("RGBA")
    return image


def index_of(source: ImageSource, cache: Path, display: Display) -> Index:
    """Decode every image once, and keep what that tells until a file changes.

    Args:
        source: where the images lie.
        cache: the cache directory.
        display: shows progress.

    Raises:
        InputError: the source cannot be listed, or the cache cannot be written.
    """
    stamps = source.stamps()
    listing = "\n".join(f"{path} {stamp}" for path, stamp in stamps.items())
    name = hashlib.sha256(listing.encode()).hexdigest()[:24]
    kept = cache / "images" / f"{name}.npz"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{kept}.lock"):
            index = _read(kept, list(stamps)) if kept.is_file() else None
            if index is None:
                index = _decode_all(source, list(stamps), display)
                _write(kept, index)
    except OSError as error:
        raise InputError(
            f"cache_dir: cannot write {kept.parent} ({error.strerror or error})"
        ) from error
    return index


def _decode_all(source: ImageSource, paths: list[str], display: Display) -> Index:
    digests: list[bytes] = []
    sizes = np.zeros((len(paths), 2), np.int32)
    problems: list[str] = []
    with (
        ThreadPoolExecutor(THREADS) as pool,
        display.progress(f"checking the images of {source.where}", len(paths)) as advance,
    ):
        rate = Rate("images")
        for part in _chunks(paths):
            for found, size, problem in pool.map(lambda path: _examine(source, path), part):
                sizes[len(digests)] = size
                digests.append(found)
                problems.append(problem)
            advance(len(part), rate.after(len(part)))
    return Index(np.array(paths, np.str_), as_digests(digests), sizes, np.array(problems, np.str_))


def _chunks(paths: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(paths), IMAGES_BETWEEN_REPORTS):
        yield paths[start : start + IMAGES_BETWEEN_REPORTS]


def _examine(source: ImageSource, path: str) -> tuple[bytes, tuple[int, int], str]:
    """Return a file's digest, its height and width, and why it cannot be decoded."""
    content = b""
    try:
        content = source.read(path)
        height, width, _ = decode(content).shape
    except Exception as error:  # Pillow's decoders raise errors of many kinds on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        return digest(content), (0, 0), reason
    return digest(content), (height, width), ""


def _write(path: Path, index: Index) -> None:
    content = io.BytesIO()
    raw = index.digests.view(np.uint8).reshape(-1, DIGEST_SIZE)
    arrays: dict[str, Any] = {"paths": index.paths, "sizes": index.sizes, "digests": raw}
    np.savez_compressed(content, problems=index.problems, **arrays)
    replace_file(path, content.getvalue())


def _read(path: Path, expected: list[str]) -> Index | None:
    """Return the kept index, or None (and say so in the log) if the file is damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            raw = np.ascontiguousarray(kept["digests"], dtype=np.uint8)
            digests = raw.reshape(-1).view(f"V{DIGEST_SIZE}")
            index = Index(kept["paths"], digests, kept["sizes"], kept["problems"])
        _check(index, expected)
    except DAMAGED as error:
        log.warning("image index %s is damaged (%s); made again", path, type(error).__name__)
        return None
    return index


def _check(index: Index, expected: list[str]) -> None:
    """Refuse an index of other files or of another form.

    Raises:
        ValueError: it is one.
    """
    count = len(expected)
    shapes = [index.digests.shape, index.sizes.shape, index.problems.shape]
    if index.paths.tolist() != expected or shapes != [(count,), (count, 2), (count,)]:
        raise ValueError("other files")
    if index.sizes.dtype != np.int32 or index.problems.dtype.kind != "U":
        raise ValueError("other types")
