"""How image files are decoded: which formats, in which colours, and with how many bits."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from alupdate.data.dataset import IntArray

IMAGE_FORMATS = (
    "BMP", "GIF", "JPEG", "PPM", "PNG", "TIFF", "WEBP", "AVIF", "JPEG2000", "QOI", "DIB", "DDS",
    "ICO", "CUR", "ICNS", "PSD", "PCX", "DCX", "SGI", "SUN", "FITS", "FLI", "BLP", "FTEX", "GBR",
    "IM", "MSP", "PIXAR", "XBM", "XPM", "PCD", "TGA",
)  # fmt: skip
"""Pillow's names of the formats that are read. PostScript is not among them, since Pillow passes it
to another program, nor are formats of which Pillow reads the header only. The order is that in
which they are tried: a format without a signature comes last."""
DEPTHS = (8, 10, 12, 14, 16)
"""What cameras, scanners and microscopes put into files of 16 and 32 bits."""
Storage = Literal["grey 16", "grey 32", "colour 16"]
STORAGES: tuple[Storage, ...] = ("grey 16", "grey 32", "colour 16")
"""Kinds of files with more than 8 bits per value. Pillow reads the upper 8 bits only in colour."""
Tops = tuple[int, ...]
"""The largest value that a file may hold or does hold, for each of STORAGES; 0 for the others."""
SHALLOW: Tops = (0,) * len(STORAGES)
SAMPLE_FORMAT = 339
"""TIFF's tag that tells numbers with a sign from those without."""


@cache
def readable_formats() -> tuple[str, ...]:
    """Return those of IMAGE_FORMATS that the installed Pillow can read."""
    Image.init()
    return tuple(name for name in IMAGE_FORMATS if name in Image.OPEN)


@cache
def image_endings() -> frozenset[str]:
    """Return the endings of files in these formats, in lower case and with the dot."""
    formats = readable_formats()
    known = Image.registered_extensions().items()
    return frozenset(ending.lower() for ending, name in known if name in formats)


@dataclass(frozen=True)
class Depth:
    """How many bits the values of files with more than 8 bits fill.

    The images of a data set share one depth, so that a dark image stays darker than a bright one.

    Attributes:
        grey_16, grey_32: of greyscale files that store 16 and 32 bits.
    """

    grey_16: int = 16
    grey_32: int = 31

    @classmethod
    def of(cls, tops: IntArray) -> Self:
        """Return the smallest usual depth that holds all values.

        Args:
            tops: (N, 3), each file's largest values by kind of file.

        Raises:
            ValueError: the values do not tell.
        """
        grey_16, grey_32, colour_16 = tops.max(axis=0, initial=0).tolist()
        if 0 < colour_16 < 2 ** DEPTHS[-2]:
            raise ValueError(
                f"colour images of 16 bits hold no value above {colour_16}, so that their range is "
                "unknown; convert them to 8 bits"
            )
        return cls(_bits(grey_16), _bits(grey_32))

    def holds(self, tops: Tops) -> bool:
        """Return whether a greyscale file's largest values are within these bits."""
        return bool(tops[0] < 2**self.grey_16 and tops[1] < 2**self.grey_32)

    def notes(self, tops: IntArray) -> list[str]:
        """Return what was decided, a line for each kind of greyscale file."""
        kinds = ((0, 16, self.grey_16), (1, 32, self.grey_32))
        return [
            f"{int((tops[:, column] > 0).sum())} greyscale images of {stored} bits have values up "
            f"to {tops[:, column].max()}: read as {bits} bits"
            for column, stored, bits in kinds
            if len(tops) and tops[:, column].any()
        ]


USUAL_DEPTH = Depth()
"""Where no image has more than 8 bits, or before that is known."""


def _bits(top: int) -> int:
    for bits in DEPTHS:
        if top < 2**bits:
            return bits
    if top >= 2**30:
        return 31 if top < 2**31 else 32
    raise ValueError(
        f"greyscale images of 32 bits have values up to {top}, which fill neither 16 nor 32 bits; "
        "convert them to 8 or 16 bits"
    )


@contextmanager
def opened(content: bytes) -> Iterator[Image.Image]:
    """Open an image file of one of IMAGE_FORMATS; only its header is read.

    Raises:
        Exception: of many kinds, as Pillow does on what is no image, or damaged.
    """
    with Image.open(io.BytesIO(content), formats=readable_formats()) as image:
        yield image


def decode(content: bytes, depth: Depth | None = None) -> NDArray[np.uint8]:
    """Return a file's image (H, W, 3), turned upright as its camera noted.

    Args:
        content: of the file.
        depth: of files with more than 8 bits; None for what this file's own values tell.
    """
    with opened(content) as image:
        return pixels_of(image, depth)


def pixels_of(
    image: Image.Image, depth: Depth | None = None, *, strict: bool = False
) -> NDArray[np.uint8]:
    """Return an image (H, W, 3), turned upright as its camera noted.

    Args:
        image: as it was opened.
        depth: of images with more than 8 bits; None for what this one's own values tell.
        strict: whether values that the depth does not hold are refused, and not cut.

    Raises:
        ValueError: they are, or the values have no known range.
    """
    header = _Header.of(image)
    upright = ImageOps.exif_transpose(image)
    if header.storage in ("grey 16", "grey 32"):
        values = header.grey_values(upright)
        tops = header.tops(values)
        depth = depth or Depth.of(np.array([tops]))
        if strict and not depth.holds(tops):
            raise ValueError("it has values beyond those of the images that the model has learnt")
        bits = depth.grey_16 if header.storage == "grey 16" else depth.grey_32
        upright = Image.fromarray(np.clip(values >> (bits - 8), 0, 255).astype(np.uint8))
    return np.asarray(_in_colour(upright))


def tops_of(content: bytes) -> Tops:
    """Return the largest values of a file with more than 8 bits; others are not decoded."""
    with opened(content) as image:
        header = _Header.of(image)
        if header.storage is None:
            return SHALLOW
        if header.storage == "colour 16":
            return header.tops(256 * np.asarray(_in_colour(image)).astype(np.int64) + 255)
        return header.tops(header.grey_values(image))


def _in_colour(image: Image.Image) -> Image.Image:
    """Return the image in RGB, without Pillow's warning where a palette has transparent colours.

    Raises:
        ValueError: the values have no known range.
    """
    if image.mode == "F":
        raise ValueError("pixels are floating-point numbers")
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        image = image.convert("RGBA")
    return image.convert("RGB")


@dataclass(frozen=True)
class _Header:
    """What an image that was just opened says of its values; loading it forgets some of that.

    Attributes:
        storage: the kind of file; None for 8 bits.
        unsigned: whether integers of 32 bits have no sign.
        stated: whether the file states its largest value; Pillow has then scaled it to 16 bits.
    """

    storage: Storage | None
    unsigned: bool
    stated: bool

    @classmethod
    def of(cls, image: Image.Image) -> Self:
        codec, layout = _codec(image)
        tags = getattr(image, "tag_v2", None)
        unsigned = tags is not None and tags.get(SAMPLE_FORMAT, (1,)) in (1, (1,))
        return cls(_storage(image, codec, layout), unsigned, codec == "ppm")

    def grey_values(self, image: Image.Image) -> IntArray:
        """Return greyscale values (H, W).

        Raises:
            ValueError: some are negative.
        """
        values = np.asarray(image)
        if self.storage == "grey 32" and self.unsigned:
            values = values.astype(np.int32).view(np.uint32)
        if values.min(initial=0) < 0:
            raise ValueError("pixels are negative numbers")
        return values.astype(np.int64)

    def tops(self, values: IntArray) -> Tops:
        top = 2**16 - 1 if self.stated else int(values.max(initial=0))
        return tuple(top if self.storage == kind else 0 for kind in STORAGES)


def _storage(image: Image.Image, codec: str, layout: str) -> Storage | None:
    if image.mode.startswith("I"):
        narrow = image.mode != "I" or image.format in ("PNG", "PPM", "JPEG2000")
        return "grey 16" if narrow or ";16" in layout else "grey 32"
    deep = image.format in ("PNG", "TIFF") and ";16" in layout
    return "colour 16" if deep or codec == "SGI16" else None


def _codec(image: Image.Image) -> tuple[str, str]:
    """Return the names of the decoder and of the pixels' layout in the file."""
    tiles: list[Any] = list(getattr(image, "tile", ()))
    if not tiles:
        return "", ""
    name, _, _, arguments = tiles[0]
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return name, first if isinstance(first, str) else ""
