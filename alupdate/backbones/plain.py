"""Backbones that compute nothing: flattened pixels, or feature vectors as they are."""

import numpy as np

from alupdate.data.dataset import Dataset
from alupdate.data.features import Features


def flatten(dataset: Dataset) -> Features:
    """Return each instance as one vector of floats."""
    return Features(
        dataset.train.reshape(len(dataset.train), -1).astype(np.float32),
        dataset.test.reshape(len(dataset.test), -1).astype(np.float32),
    )


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
