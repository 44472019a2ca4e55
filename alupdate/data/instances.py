"""What a pool is made of: feature vectors, images or texts."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]
Digests = NDArray[np.void]
"""One digest of DIGEST_SIZE bytes per instance; equal digests stand for equal content."""

DIGEST_SIZE = 16


class Instances(Protocol):
    """N instances of one kind, in a fixed order."""

    def __len__(self) -> int:
        """Return N."""
        ...

    def digests(self) -> Digests:
        """Return a digest of each instance's content (N,)."""
        ...

    def take(self, positions: IntArray) -> Self:
        """Return the instances at these positions, in their order."""
        ...


@runtime_checkable
class Images(Instances, Protocol):
    """Images, in memory or on disk."""

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """(H, W, channels) if all images agree in it, otherwise None."""
        ...

    def __getitem__(self, position: int) -> NDArray[np.uint8]:
        """Return one image (H, W, channels)."""
        ...


@dataclass(frozen=True)
class Vectors:
    """Feature vectors in memory, or mapped from a file.

    Attributes:
        rows: (N, D).
    """

    rows: FloatArray

    def __len__(self) -> int:
        """See ``Instances``."""
        return len(self.rows)

    def digests(self) -> Digests:
        """See ``Instances``."""
        return _digests_of_rows(self.rows)

    def take(self, positions: IntArray) -> "Vectors":
        """See ``Instances``."""
        return Vectors(self.rows[positions])


@dataclass(frozen=True)
class ArrayImages:
    """Images of one size in memory.

    Attributes:
        rows: (N, H, W, channels).
    """

    rows: NDArray[np.uint8]

    def __len__(self) -> int:
        """See ``Instances``."""
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """See ``Images``."""
        height, width, channels = self.rows.shape[1:]
        return height, width, channels

    def __getitem__(self, position: int) -> NDArray[np.uint8]:
        """See ``Images``."""
        image: NDArray[np.uint8] = self.rows[position]
        return image

    def digests(self) -> Digests:
        """See ``Instances``."""
        return _digests_of_rows(self.rows)

    def take(self, positions: IntArray) -> "ArrayImages":
        """See ``Instances``."""
        return ArrayImages(self.rows[positions])


@dataclass(frozen=True)
class Texts:
    """N texts."""

    strings: tuple[str, ...]

    def __len__(self) -> int:
        """See ``Instances``."""
        return len(self.strings)

    def digests(self) -> Digests:
        """See ``Instances``."""
        return as_digests(digest(text.encode()) for text in self.strings)

    def take(self, positions: IntArray) -> "Texts":
        """See ``Instances``."""
        return Texts(tuple(self.strings[i] for i in positions))


def digest(content: Any) -> bytes:
    """Return the digest of one instance's bytes."""
    return hashlib.blake2b(content, digest_size=DIGEST_SIZE).digest()


def as_digests(digests: Iterable[bytes]) -> Digests:
    """Return digests as one array; trailing zero bytes are kept, unlike in an array of strings."""
    return np.frombuffer(b"".join(digests), dtype=f"V{DIGEST_SIZE}")


def _digests_of_rows(rows: NDArray[Any]) -> Digests:
    """Digest each row with its shape and type, so that a reshaped array is another instance."""
    kind = f"{rows.shape[1:]}{rows.dtype}".encode()
    return as_digests(digest(kind + np.ascontiguousarray(row).tobytes()) for row in rows)
