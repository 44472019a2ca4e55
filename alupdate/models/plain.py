"""Backbones without parameters: the instances themselves are the features."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from typing_extensions import override

from alupdate.config.values import SETTINGS, Flag
from alupdate.data.dataset import Dataset, FloatArray, Vectors
from alupdate.data.feature_cache import Features
from alupdate.models.features import Backbone, Parts
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
    def raw_features(
        self, parts: Parts, device: torch.device, cache: Path | None, display: Display
    ) -> tuple[FloatArray, ...]:
        return flatten(parts, self.name)

    @override
    def scaled(self, features: Features, dataset: Dataset) -> Features:
        columns = dataset.train.columns if isinstance(dataset.train, Vectors) else ()
        if self.standardise:
            return standardise(features, columns)
        return check_scales(features, columns) if dataset.kind == "vectors" else features


def flatten(parts: Parts, backbone: str) -> tuple[FloatArray, ...]:
    """Return each instance as one vector of floats, a matrix (N, D) for each part.

    Args:
        parts: vectors, or images of one size.
        backbone: the backbone's name, for error messages.

    Raises:
        InputError: the data are texts, or images that differ in size.
    """
    vectors = tuple(part.rows for part in parts.instances if isinstance(part, Vectors))
    if vectors:
        return vectors
    return tuple(
        images.reshape(len(images), -1).astype(np.float32)
        for images in image_arrays(parts, backbone)
    )
