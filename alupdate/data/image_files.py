"""Image files in a folder or zip archive, decoded when needed, with an index made once."""

import io
import logging
import os
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import UnidentifiedImageError
from typing_extensions import override

from alupdate.data.dataset import DIGEST_SIZE, Digests, Images, IntArray, as_digests, digest
from alupdate.data.decoding import (
    SHALLOW,
    STORAGES,
    USUAL_DEPTH,
    Depth,
    Tops,
    decode,
    readable_formats,
    tops_of,
)
from alupdate.data.image_sources import ImageSource
from alupdate.utils.display import Display, Rate
from alupdate.utils.errors import InputError
from alupdate.utils.files import locked_file, printable_name, regular_bytes, replace_file
from alupdate.utils.paths import cache_folder

log = logging.getLogger(__name__)
IMAGES_BETWEEN_REPORTS = 64
THREADS = min(16, os.cpu_count() or 1)
"""Each holds a decoded image or two."""
DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    OverflowError,
    MemoryError,
    zlib.error,
    zipfile.BadZipFile,
    RuntimeError,
)
"""What NumPy raises on archives that are not what they should be."""


@dataclass(frozen=True)
class Index:
    """What is known of every image file after all were decoded once.

    Attributes:
        paths: (N,), in the source.
        digests: (N,), of the files' content.
        sizes: (N, 2), height and width in pixels; zeros where unreadable.
        problems: (N,), why a file cannot be decoded; empty where it can.
        tops: (N, 3), the largest values of files with more than 8 bits.
    """

    paths: NDArray[np.str_]
    digests: Digests
    sizes: NDArray[np.int32]
    problems: NDArray[np.str_]
    tops: IntArray

    def complaint(self) -> str | None:
        """Return how many images cannot be read, and which is the first, or None."""
        unreadable = np.flatnonzero(self.problems != "")
        if not len(unreadable):
            return None
        first = unreadable[0]
        return (
            f"{len(unreadable)} of {len(self.paths)} images cannot be read, the first is "
            f"{printable_name(str(self.paths[first]))} ({self.problems[first]})"
        )

    def take(self, positions: IntArray) -> "Index":
        """Return what is known of the files at these positions."""
        return Index(
            self.paths[positions],
            self.digests[positions],
            self.sizes[positions],
            self.problems[positions],
            self.tops[positions],
        )


@dataclass(frozen=True)
class ImageFiles(Images):
    """Colour images in files, decoded each time they are asked for.

    Attributes:
        source: where the files lie.
        index: of these files, all of them readable.
        depth: of those with more than 8 bits.
    """

    source: ImageSource
    index: Index
    depth: Depth

    @classmethod
    def of(cls, source: ImageSource, index: Index) -> Self:
        """Return the images of an index; their own values tell how many bits they fill.

        Raises:
            InputError: the values do not tell.
        """
        try:
            depth = Depth.of(index.tops)
        except ValueError as error:
            raise InputError(f"{source.where}: {error}") from error
        return cls(
            source, replace(index, digests=with_depth(index.digests, index.tops, depth)), depth
        )

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
        path = str(self.index.paths[position])
        with naming(self.source.where, path):
            return decode(self.source.read(path), self.depth)

    @override
    def digests(self) -> Digests:
        return self.index.digests

    @override
    def take(self, positions: IntArray) -> "ImageFiles":
        return ImageFiles(self.source, self.index.take(positions), self.depth)

    def with_depth(self, depth: Depth) -> "ImageFiles":
        """Return the images with files of more than 8 bits read as those of another data set.

        Raises:
            InputError: an image has values beyond that depth.
        """
        if depth == self.depth or not self.index.tops.any():
            return self
        for path, tops in zip(self.index.paths.tolist(), self.index.tops.tolist(), strict=True):
            if not depth.holds(tuple(tops)):
                raise InputError(
                    f"{self.source.where}: {printable_name(path)} has values beyond those of the "
                    "images that the model has learnt; convert it to 8 bits"
                )
        digests = with_depth(self.index.digests, self.index.tops, depth)
        return ImageFiles(self.source, replace(self.index, digests=digests), depth)

    def notes(self) -> list[str]:
        """Return how files with more than 8 bits are read."""
        return self.depth.notes(self.index.tops)


def with_depth(digests: Digests, tops: IntArray, depth: Depth) -> Digests:
    """Return digests (N,) of images: the same file read with another depth is another image."""
    deep = [any(row) for row in tops.tolist()]
    if not any(deep):
        return digests
    return as_digests(
        digest(found.tobytes() + str(depth).encode()) if is_deep else found.tobytes()
        for found, is_deep in zip(digests, deep, strict=True)
    )


@contextmanager
def naming(where: str, name: str) -> Iterator[None]:
    """Name the image that cannot be read or decoded, in one line.

    Args:
        where: how to call the images in an error message.
        name: of the image.

    Raises:
        InputError: reading or decoding it fails.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # Pillow's decoders raise errors of many kinds on damaged files
        done = "read" if _passes(error) else "decoded"
        raise InputError(
            f"{where}: {printable_name(name)} cannot be {done} ({_reason(error)})"
        ) from error


def _reason(error: Exception) -> str:
    """Return what an error says, in one line that is the same for every run."""
    if isinstance(error, UnidentifiedImageError):  # it names an object in memory
        return "is no image of a known format"
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(said.split()) or type(error).__name__


def _passes(error: Exception) -> bool:
    """Return whether an error is not the file's: another attempt may succeed.

    The system's errors have a number; Pillow's decoders raise OSError without one.
    """
    if isinstance(error, OSError):
        return error.errno is not None or str(error).startswith("out of memory")
    return isinstance(error, MemoryError)


def index_of(source: ImageSource, cache: Path, display: Display) -> Index:
    """Decode every image once, and keep what that tells until a file changes.

    Args:
        source: where the images lie.
        cache: the cache directory.
        display: shows progress.

    Raises:
        InputError: the source cannot be listed, or the cache cannot be written.
    """
    paths = list(source.stamps())
    folder = cache / "images"
    try:
        cache_folder(cache, "images")
        kept = folder / f"{source.key(folder)}.npz"
        with locked_file(Path(f"{kept}.lock")):
            index = _read(kept, paths) if kept.is_file() else None
            if index is None:
                index = _decode_all(source, paths, display)
                _write(kept, index)
    except OSError as error:
        raise InputError(f"cache_dir: cannot use {folder} ({error.strerror or error})") from error
    return index


def _decode_all(source: ImageSource, paths: list[str], display: Display) -> Index:
    readable_formats()  # decoders are loaded here, and not in threads that lack files or memory
    digests: list[bytes] = []
    sizes = np.zeros((len(paths), 2), np.int32)
    tops = np.zeros((len(paths), len(STORAGES)), np.int64)
    problems: list[str] = []
    with (
        ThreadPoolExecutor(THREADS) as pool,
        display.progress(f"checking the images of {source.where}", len(paths)) as advance,
    ):
        rate = Rate("images")
        for part in _chunks(paths):
            for found in pool.map(lambda path: _examine(source, path), part):
                sizes[len(digests)], tops[len(digests)] = found.size, found.tops
                digests.append(found.digest)
                problems.append(found.problem)
            advance(len(part), rate.after(len(part)))
    names, reasons = np.array(paths, np.str_), np.array(problems, np.str_)
    return Index(names, as_digests(digests), sizes, reasons, tops)


def _chunks(paths: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(paths), IMAGES_BETWEEN_REPORTS):
        yield paths[start : start + IMAGES_BETWEEN_REPORTS]


@dataclass(frozen=True)
class _Examined:
    """A file's digest, height and width, largest values, and why it cannot be decoded."""

    digest: bytes
    size: tuple[int, int] = (0, 0)
    tops: Tops = SHALLOW
    problem: str = ""


def _examine(source: ImageSource, path: str) -> _Examined:
    """Decode a file; only what is wrong with the file itself may be kept.

    Raises:
        InputError: the file cannot be read now.
    """
    content = b""
    try:
        content = source.read(path)
        height, width, _ = decode(content, USUAL_DEPTH).shape
        return _Examined(digest(content), (height, width), tops_of(content))
    except Exception as error:  # Pillow's decoders raise errors of many kinds on damaged files
        if _passes(error):
            with naming(source.where, path):
                raise
        return _Examined(digest(content), problem=_reason(error))


def _write(path: Path, index: Index) -> None:
    content = io.BytesIO()
    raw = index.digests.view(np.uint8).reshape(-1, DIGEST_SIZE)
    arrays: dict[str, Any] = {"paths": index.paths, "sizes": index.sizes, "digests": raw}
    np.savez_compressed(content, problems=index.problems, tops=index.tops, **arrays)
    replace_file(path, content.getvalue())


def _read(path: Path, expected: list[str]) -> Index | None:
    """Return the kept index, or None (and say so in the log) if the file is damaged."""
    try:
        with np.load(io.BytesIO(regular_bytes(path)), allow_pickle=False) as kept:
            raw = np.ascontiguousarray(kept["digests"], dtype=np.uint8)
            digests = raw.reshape(-1).view(f"V{DIGEST_SIZE}")
            index = Index(kept["paths"], digests, kept["sizes"], kept["problems"], kept["tops"])
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
    shapes = [a.shape for a in (index.digests, index.problems, index.sizes, index.tops)]
    wanted = [(count,), (count,), (count, 2), (count, len(STORAGES))]
    if index.paths.tolist() != expected or shapes != wanted:
        raise ValueError("other files")
    types = (index.sizes.dtype.str[1:], index.tops.dtype.str[1:], index.problems.dtype.kind)
    if types != ("i4", "i8", "U"):
        raise ValueError("other types")
