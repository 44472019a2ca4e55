"""A pool or a test set before its labels are checked."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from alupdate.data.instances import Images


@dataclass(frozen=True)
class ImagePart:
    """Images with the names of their classes (N,)."""

    images: Images
    labels: NDArray[Any]
