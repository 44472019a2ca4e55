"""Images that stay on disk until they are needed, and the index that knows all of them."""

import hashlib
import io
import logging
import os
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image, ImageOps

from alupdate.data.image_source import ImageSource
from alupdate.data.instances import DIGEST_SIZE, Digests, IntArray, as_digests, digest
from alupdate.display import Display, Rate
from alupdate.errors import InputError
from alupdate.files import replace_file

log = logging.getLogger(__name__)
CHUNK = 64
THREADS = min(16, os.cpu_count() or 1)
"""Each holds a decoded image or two."""

DAMAGED = (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError)
"""What NumPy raises on archives that are not what they should be."""


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
class ImageFiles:
    """Colour images in files, decoded each time they are asked for.

    Attributes:
        source: where the files lie.
        index: of these files, all of them readable.
    """

    source: ImageSource
    index: Index

    def __len__(self) -> int:
        """See ``Instances``."""
        return len(self.index.paths)

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """See ``Images``."""
        height, width = self.index.sizes[0]
        same = (self.index.sizes == self.index.sizes[0]).all()
        return (int(height), int(width), 3) if same else None

    def __getitem__(self, position: int) -> NDArray[np.uint8]:
        """See ``Images``."""
        return decode(self.source.read(str(self.index.paths[position])))

    def digests(self) -> Digests:
        """See ``Instances``."""
        return self.index.digests

    def take(self, positions: IntArray) -> "ImageFiles":
        """See ``Instances``."""
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
    for start in range(0, len(paths), CHUNK):
        yield paths[start : start + CHUNK]


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
