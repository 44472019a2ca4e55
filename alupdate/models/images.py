"""From images of any size to the normalised squares that an image network expects.

The same steps as timm's evaluation transform (a test holds them together), on tensors instead of
Pillow images, so that a batch is one operation and runs where the network does.
"""

import math
import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alupdate.config import ImageBackbone
from alupdate.data.dataset import ArrayImages, Dataset, FloatArray, Images, Instances
from alupdate.models.networks import (
    dimension_of,
    loaded_network,
    published_config,
    random_network,
    tensor_names,
)
from alupdate.models.weights import (
    WeightsFile,
    are_packaged,
    find_weights,
    read_packaged,
    read_tensors,
)
from alupdate.utils.errors import InputError

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


Interpolation = Literal["bilinear", "bicubic"]
LITE_SIZE = 96


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes an input.

    Attributes:
        size: side of the square that the network sees.
        scaled: what the shorter side is resized to before the square is cut from the middle.
        squash: whether both sides are, whatever the proportions.
        interpolation: of the resizing.
        mean, deviation: of each colour, on the scale 0..255.
    """

    size: int
    scaled: int
    squash: bool
    interpolation: Interpolation
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


def preprocessing_of(settings: ImageBackbone) -> Preprocessing:
    """Return what a network was trained with, at the configured image size.

    EfficientNet-Lite0 has its own: its original authors' normalisation, and images as small and as
    whole as suits a laptop.

    Raises:
        InputError: there is no such network.
    """
    if settings.name == "efficientnet_lite0":
        size = settings.image_size or LITE_SIZE
        return Preprocessing(size, size, False, "bilinear", (127.0,) * 3, (128.0,) * 3)
    published = published_config(settings.model)
    size = settings.image_size or int(published.input_size[-1])
    return Preprocessing(
        size=size,
        scaled=math.floor(size / published.crop_pct),
        squash=published.crop_mode == "squash",
        interpolation="bilinear" if published.interpolation == "bilinear" else "bicubic",
        mean=tuple(255 * value for value in published.mean),
        deviation=tuple(255 * value for value in published.std),
    )


def squares(images: Sequence[ByteArray], how: Preprocessing, device: torch.device) -> Tensor:
    """Return images (H, W, 1 or 3), which may differ in size, as (n, 3, size, size) in 0..255.

    Raises:
        InputError: an image has another number of channels.
    """
    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for position, image in enumerate(images):
        if image.shape[2] not in (1, 3):
            raise InputError(
                f"images have {image.shape[2]} channels; an image network needs 1 (grey) or 3"
            )
        by_shape[image.shape].append(position)
    cut = torch.empty(
        (len(images), 3, how.size, how.size),
        device=device,
        memory_format=torch.channels_last,  # a quarter to a half faster on a CPU
    )
    for positions in by_shape.values():
        alike = torch.stack([torch.from_numpy(images[i].copy()) for i in positions])
        planes = alike.to(device).permute(0, 3, 1, 2).float().expand(-1, 3, -1, -1)
        cut[positions] = _middle(_resized(planes, how), how.size)
    return cut


def normalised(planes: Tensor, how: Preprocessing) -> Tensor:
    """Return planes (n, 3, size, size) of values in 0..255 as the network's inputs."""
    mean, deviation = (
        torch.tensor(values, device=planes.device)[:, None, None]
        for values in (how.mean, how.deviation)
    )
    return (planes.float() - mean) / deviation


def _resized(planes: Tensor, how: Preprocessing) -> Tensor:
    height, width = planes.shape[2:]
    shorter = min(height, width)
    target = [how.scaled, how.scaled]
    if not how.squash:
        target = [how.scaled * side // shorter for side in (height, width)]
    for part in ([height, target[1]], target):  # width first, as Pillow
        resized = torch.nn.functional.interpolate(
            planes, part, mode=how.interpolation, antialias=True, align_corners=False
        )
        planes = resized.clamp(0, 255)  # cubic interpolation overshoots at edges
    return planes


def _middle(planes: Tensor, size: int) -> Tensor:
    top, left = (round((side - size) / 2) for side in planes.shape[2:])
    return planes[:, :, top : top + size, left : left + size]


VERSION = "image-network-v2"
"""Names how features are computed; part of the feature cache's key."""
CHUNK = 64
FROZEN_SEED = 0
"""Of random weights that stay as they are: every run has the same ones."""


class ImageNetwork:
    """A frozen image network as an ``Extractor`` of its pooled features."""

    unit, chunk = "images", CHUNK

    def __init__(self, settings: ImageBackbone, device: torch.device) -> None:
        self._settings, self._device = settings, device
        self.name = settings.model if settings.name == "timm" else settings.name

    @cached_property
    def _weights(self) -> WeightsFile | None:
        return find_weights(self._settings)

    @cached_property
    def _network(self) -> nn.Module:
        size = preprocessing_of(self._settings).size
        network = network_with(self._settings, self._weights, size, FROZEN_SEED)
        dimension_of(network, self._settings.model, size)
        return network.eval().to(self._device)

    @property
    def identity(self) -> str:
        """See ``Extractor``."""
        weights = "random" if self._weights is None else self._weights.sha256
        how = preprocessing_of(self._settings)
        return f"{weights}|{self._settings.model}|{how}|{VERSION}"

    def features(self, instances: Instances) -> FloatArray:
        """See ``Extractor``."""
        assert isinstance(instances, Images)
        how = preprocessing_of(self._settings)
        with torch.inference_mode():
            inputs = normalised(squares(decoded(instances), how, self._device), how)
            pooled: FloatArray = self._network(inputs).float().cpu().numpy()
        return pooled


def network_with(
    settings: ImageBackbone, weights: WeightsFile | None, size: int, seed: int
) -> nn.Module:
    """Return the configured network of pooled features.

    Args:
        settings: which one.
        weights: as ``find_weights`` found them; None for random ones.
        size: of the images, in pixels.
        seed: decides random weights.

    Raises:
        InputError: there is no such network, or the weights are not of it.
    """
    if weights is None:
        return random_network(settings.model, size, seed)
    if are_packaged(settings):
        tensors = read_packaged(weights.path, tensor_names(settings.model))
    else:
        tensors = read_tensors(weights)
    return loaded_network(settings.model, size, tensors, weights.source)
