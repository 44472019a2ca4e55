"""Encoded images in memory, as the Parquet files of the Hugging Face Hub hold them."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alupdate.data.image_files import decode
from alupdate.data.instances import Digests, IntArray, as_digests, digest
from alupdate.errors import InputError


@dataclass(frozen=True)
class HubImages:
    """Colour images that are decoded each time they are asked for.

    Attributes:
        encoded: N files' contents.
    """

    encoded: tuple[bytes, ...]

    @classmethod
    def of_cells(cls, cells: Iterable[Any], where: str) -> "HubImages":
        """Return the images of a Parquet column; only their headers are checked, which is fast.

        Raises:
            InputError: a cell holds no image.
        """
        encoded = []
        for row, cell in enumerate(cells, start=1):
            content = cell.get("bytes") if isinstance(cell, dict) else cell
            if not isinstance(content, bytes) or not _is_image(content):
                raise InputError(f"{where}: row {row} holds no image; repair or remove it")
            encoded.append(content)
        return cls(tuple(encoded))

    def __len__(self) -> int:
        """See ``Instances``."""
        return len(self.encoded)

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """See ``Images``: decodes until an image differs, so nearly none where sizes vary."""
        height, width, channels = self[0].shape
        same = all(self[i].shape == (height, width, channels) for i in range(1, len(self)))
        return (height, width, channels) if same else None

    def __getitem__(self, position: int) -> NDArray[np.uint8]:
        """See ``Images``."""
        return decode(self.encoded[position])

    def digests(self) -> Digests:
        """See ``Instances``: of the encoded content."""
        return as_digests(digest(content) for content in self.encoded)

    def take(self, positions: IntArray) -> "HubImages":
        """See ``Instances``."""
        return HubImages(tuple(self.encoded[i] for i in positions))


def _is_image(content: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(content)):
            return True
    except Exception:  # Pillow raises errors of many kinds on damaged files
        return False
