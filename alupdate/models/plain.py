"""Backbones without parameters: the instances themselves are the features."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from typing_extensions import override

from alupdate.config.values import SETTINGS, Flag
from alupdate.data.dataset import Dataset, Vectors
from alupdate.data.feature_cache import Features
from alupdate.models.features import Backbone
from alupdate.models.images import image_arrays
from alupdate.models.scales import check_scales, standardise
from alupdate.utils.display import Display


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class PlainBackbone(Backbone):
    """Feature vectors as they are, or the flattened pixels of images of one size.

    Attributes:
        standardise: whether they are scaled to mean 0 and variance 1 on the pool.

    Example:
        >>> from alupdate.data.dataset import from_arrays
        >>> rows, labels = np.eye(4), np.arange(4) % 2
        >>> dataset = from_arrays("four", rows, labels, rows, labels, "here")
        >>> backbone, cpu = PlainBackbone(name="identity"), torch.device("cpu")
        >>> backbone.features(dataset, cpu, Path("cache"), Display(False)).pool.shape
        (4, 4)
    """

    name: Literal["pixels", "identity"]
    standardise: Flag = True

    @override
    def features(
        self, dataset: Dataset, device: torch.device, cache: Path, display: Display
    ) -> Features:
        features = flatten(dataset, self.name)
        if not isinstance(dataset.train, Vectors):
            return standardise(features) if self.standardise else features
        scaled = standardise if self.standardise else check_scales
        return scaled(features, dataset.train.columns)


def flatten(dataset: Dataset, backbone: str) -> Features:
    """Return each instance as one vector of floats.

    Args:
        dataset: vectors, or images of one size.
        backbone: the backbone's name, for error messages.

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
