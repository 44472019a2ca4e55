"""Images as arrays in memory."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from alupdate.data.dataset import Dataset
from alupdate.data.instances import ArrayImages, Images
from alupdate.errors import InputError

ByteArray = NDArray[np.uint8]


def image_arrays(dataset: Dataset, backbone: str) -> tuple[ByteArray, ByteArray]:
    """Return all images of pool and test set, (N, H, W, channels) and (T, H, W, channels).

    Args:
        dataset: images of one size.
        backbone: who wants them, for error messages.

    Raises:
        InputError: the data are no images, or differ in size.
    """
    pool, test = dataset.train, dataset.test
    if not isinstance(pool, Images) or not isinstance(test, Images):
        raise InputError(
            f"backbone={backbone}: needs images, but {dataset.name} has {dataset.kind}"
        )
    if pool.shape is None or pool.shape != test.shape:
        raise InputError(
            f"backbone={backbone}: needs images of one size, but those of {dataset.name} differ; "
            "use a pretrained network, as in backbone=efficientnet_lite0"
        )
    return np.stack(decoded(pool)), np.stack(decoded(test))


def decoded(images: Images) -> list[ByteArray]:
    """Return every image (H, W, channels); files are decoded on all cores."""
    if isinstance(images, ArrayImages):
        return list(images.rows)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(images.__getitem__, range(len(images))))
