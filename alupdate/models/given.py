"""Instances as a Python user passes them: arrays of features, texts, images in files or memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from typing_extensions import override

from alupdate.data.dataset import (
    ArrayImages,
    Digests,
    FloatArray,
    Images,
    Instances,
    IntArray,
    Texts,
    Vectors,
    as_digests,
    digest,
)
from alupdate.data.decoding import Depth, opened, pixels_of
from alupdate.data.image_files import ImageFiles, naming
from alupdate.data.numbers import as_features
from alupdate.models.features import Parts
from alupdate.models.model_files import Inputs
from alupdate.utils.errors import InputError
from alupdate.utils.files import require_regular

ByteImage = NDArray[np.uint8]
WANTED = {
    "vectors": "an array of features (N, {})",
    "images": "a list of paths, Pillow images or uint8 arrays, or an array of features (N, {})",
    "texts": "a list of strings, or an array of features (N, {})",
}


def given_instances(x: Any, inputs: Inputs) -> Instances | FloatArray:
    """Return instances, or features (N, D) as the backbone gives them.

    Args:
        x: what the user passed.
        inputs: what the model takes.

    Raises:
        InputError: it is nothing that the model takes.
    """
    if isinstance(x, torch.Tensor):
        if x.layout != torch.strided:
            raise _wrong("is a sparse tensor", inputs)
        x = (x.float() if x.dtype == torch.bfloat16 else x).numpy(force=True)
    if np.ma.is_masked(x):
        raise InputError("x: has masked elements; fill them or leave their rows out")
    if hasattr(x, "columns") and hasattr(x, "to_numpy"):  # a table of pandas
        check_columns(tuple(map(str, x.columns)), inputs.columns, "x")
        x = x.to_numpy()
    if isinstance(x, np.ndarray):
        x = np.asarray(x)  # no subclass, whose operators may mean something else
    if isinstance(x, np.ndarray) and x.dtype.kind in "fiub":
        return _of_array(x, inputs)
    if isinstance(x, str | bytes | Path) or not hasattr(x, "__iter__"):
        raise _wrong(f"is {type(x).__name__}", inputs)
    items = list(x)
    if not items:
        return np.empty((0, inputs.dimension), np.float32)
    if inputs.kind == "vectors":
        return _of_numbers(items, inputs)
    if inputs.kind == "texts":
        return Texts(tuple(_text(item, i, inputs) for i, item in enumerate(items)))
    return _images(items, inputs)


def check_columns(found: tuple[str, ...], wanted: tuple[str, ...], where: str) -> None:
    """Refuse features of other names than those of the model, or in another order.

    Raises:
        InputError: naming the first difference.
    """
    if found == wanted:
        return
    if not found or not wanted:
        named, other = ("the model's", where) if wanted else (where, "the model's")
        raise InputError(f"{where}: {named} features have names and {other} have none")
    for name in wanted:
        if name not in found:
            raise InputError(f"{where}: has no feature column {name}, which the model needs")
    for name in found:
        if name not in wanted:
            raise InputError(f"{where}: has the feature column {name}, which the model lacks")
    raise InputError(f"{where}: its feature columns come in another order than the model's")


def fitting_parts(parts: Parts, inputs: Inputs) -> Parts:
    """Return instances as a model takes them.

    Raises:
        InputError: they are of another kind, their features have other names, images another size
            or values that the model's images could not have.
    """
    where = parts.name
    if parts.kind != inputs.kind:
        raise InputError(f"{where}: has {parts.kind}, but the model takes {inputs.kind}")
    fitting = list(parts.instances)
    for i, part in enumerate(parts.instances):
        if isinstance(part, Vectors):
            check_columns(part.columns, inputs.columns, where)
            check_dimension(part.rows.shape[1], inputs, where)
        if not isinstance(part, Images) or not len(part):
            continue
        if inputs.shape is not None and part.shape != inputs.shape:
            found = "images of several sizes" if part.shape is None else f"images {part.shape}"
            raise InputError(f"{where}: has {found}, but the model takes {inputs.shape}")
        if isinstance(part, ImageFiles) and inputs.bits is not None:
            fitting[i] = part.with_depth(Depth(*inputs.bits))
    return Parts(where, tuple(fitting))


def check_dimension(found: int, inputs: Inputs, where: str) -> None:
    """Refuse features of another dimension.

    Raises:
        InputError: naming both.
    """
    if found != inputs.dimension:
        raise InputError(f"{where}: has {found} features, but the model takes {inputs.dimension}")


def _of_array(x: NDArray[Any], inputs: Inputs) -> Instances | FloatArray:
    if inputs.kind == "images" and x.dtype == np.uint8 and x.ndim in (3, 4):
        return _images(list(x), inputs) if inputs.shape else ArrayImages(_with_channels(x, 4))
    if x.ndim != 2 or (inputs.kind != "vectors" and x.dtype.kind != "f"):
        raise _wrong(f"is an array of {x.dtype} with shape {x.shape}", inputs)
    check_dimension(x.shape[1], inputs, "x")
    finite = np.isfinite(x).all(axis=1)
    if not finite.all():
        raise InputError(f"x: row {int(finite.argmin())} has NaN or infinite values")
    return as_features(x, "x", inputs.columns)[0]


def _of_numbers(items: list[Any], inputs: Inputs) -> Instances | FloatArray:
    try:
        rows = np.asarray(items)
    except ValueError as error:  # rows of different lengths
        raise _wrong("has rows of different lengths", inputs) from error
    if rows.dtype.kind not in "fiub":
        raise _wrong(f"holds {type(items[0]).__name__}", inputs)
    return _of_array(rows, inputs)


def _text(item: Any, position: int, inputs: Inputs) -> str:
    if isinstance(item, str):
        return item
    raise _wrong(f"has {type(item).__name__} at position {position}", inputs)


def _wrong(what: str, inputs: Inputs) -> InputError:
    return InputError(f"x: {what}; give {WANTED[inputs.kind].format(inputs.dimension)}")


@dataclass(frozen=True)
class GivenImages(Images):
    """Images of any sizes, decoded each time they are asked for.

    Attributes:
        items: paths, Pillow images, or arrays of bytes.
        inputs: what the model takes.
    """

    items: Sequence[Any]
    inputs: Inputs

    @override
    def __len__(self) -> int:
        return len(self.items)

    @property
    @override
    def shape(self) -> tuple[int, int, int] | None:
        return None

    @override
    def __getitem__(self, position: int) -> ByteImage:
        item = self.items[position]
        if isinstance(item, np.ndarray):
            return _with_channels(item, 3)
        depth = None if self.inputs.bits is None else Depth(*self.inputs.bits)
        name = str(item) if isinstance(item, str | Path) else f"image {position}"
        with naming("x", name):
            if isinstance(item, Image.Image):
                return pixels_of(item, depth, strict=True)
            require_regular(Path(item))
            with opened(Path(item).read_bytes()) as image:
                return pixels_of(image, depth, strict=True)

    @override
    def digests(self) -> Digests:
        arrays = (self[position] for position in range(len(self)))
        return as_digests(digest(f"{a.shape}".encode() + a.tobytes()) for a in arrays)

    @override
    def take(self, positions: IntArray) -> "GivenImages":
        return GivenImages([self.items[i] for i in positions], self.inputs)


def _images(items: list[Any], inputs: Inputs) -> Images:
    for position, item in enumerate(items):
        bytes_ = isinstance(item, np.ndarray) and item.dtype == np.uint8 and item.ndim in (2, 3)
        if not bytes_ and not isinstance(item, str | Path | Image.Image):
            raise _wrong(f"has {type(item).__name__} at position {position}", inputs)
    images = GivenImages(items, inputs)
    return images if inputs.shape is None else _alike(images, inputs.shape)


def _alike(images: GivenImages, shape: tuple[int, int, int]) -> ArrayImages:
    """Return images of one size in memory, for backbones that take them as they are."""
    rows = np.empty((len(images), *shape), np.uint8)
    for position in range(len(images)):
        image = images[position]
        if shape[2] == 1 and image.shape[2] == 3:
            image = np.asarray(Image.fromarray(image).convert("L"))[:, :, None]
        if image.shape != shape:
            raise InputError(
                f"x: image {position} has shape {image.shape}, but the model takes {shape}"
            )
        rows[position] = image
    return ArrayImages(rows)


def _with_channels(image: ByteImage, axes: int) -> ByteImage:
    """Return images with an axis of channels."""
    return image if image.ndim == axes else image[..., None]
