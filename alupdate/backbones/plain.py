"""Backbones that compute nothing: flattened pixels, or feature vectors as they are."""

import numpy as np

from alupdate.backbones.images import image_arrays
from alupdate.data.dataset import Dataset
from alupdate.data.features import Features
from alupdate.data.instances import Vectors


def flatten(dataset: Dataset, backbone: str) -> Features:
    """Return each instance as one vector of floats.

    Args:
        dataset: vectors, or images of one size.
        backbone: who wants them, for error messages.

    Raises:
        InputError: the data are texts, or images that differ in size.
    """
    if isinstance(dataset.train, Vectors) and isinstance(dataset.test, Vectors):
        return Features(dataset.train.rows, dataset.test.rows)
    pool, test = (
        images.reshape(len(images), -1).astype(np.float32)
        for images in image_arrays(dataset, backbone)
    )
    return Features(pool, test)


def standardise(features: Features) -> Features:
    """Shift and scale every dimension to mean 0 and variance 1 on the pool (no label is used).

    Dimensions that (nearly) do not vary on the pool are set to 0, so that a test instance in
    which one does vary is not blown up.
    """
    mean = features.pool.mean(axis=0, dtype=np.float64)
    deviation = features.pool.std(axis=0, dtype=np.float64)
    varies = deviation > 1e-6 * max(1.0, float(np.abs(mean).max(initial=0.0)))
    scale = np.where(varies, 1 / np.where(varies, deviation, 1), 0)
    shift, factor = mean.astype(np.float32), scale.astype(np.float32)
    return Features((features.pool - shift) * factor, (features.test - shift) * factor)
