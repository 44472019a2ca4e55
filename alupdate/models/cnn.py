"""A small convolutional network, trained end to end."""

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from typing_extensions import override

from alupdate.config.values import SETTINGS
from alupdate.data.dataset import Dataset
from alupdate.models.end_to_end import Network, Trainable, identity, no_augmentation
from alupdate.models.features import Backbone, Parts
from alupdate.models.images import ByteArray, image_arrays
from alupdate.models.training import seeded
from alupdate.utils.display import Display

CNN_CHUNK = 512


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class CnnBackbone(Backbone):
    """A small convolutional network, trained end to end on images of one size.

    Attributes:
        width: number of features.
    """

    name: Literal["cnn"] = "cnn"
    width: Annotated[int, Field(strict=True, ge=4, le=4096)] = 64

    @property
    @override
    def frozen(self) -> bool:
        return False

    @override
    def trainable(
        self,
        dataset: Dataset,
        learning_rate: float,
        rng: np.random.Generator,
        device: torch.device,
        display: Display,
    ) -> Trainable:
        pool, test = image_arrays(Parts.of(dataset), self.name)
        kept_pool, kept_test = (_normalised(images, pool, device) for images in (pool, test))
        network = initial_network(kept_pool.shape[1], self.width, len(dataset.classes), rng)
        return Trainable(
            initial=network.to(device),
            pool=kept_pool,
            test=kept_test,
            inputs=identity,
            augmented=no_augmentation,
            learning_rate=learning_rate,
            chunk=CNN_CHUNK,
        )


def initial_network(channels: int, width: int, n_classes: int, rng: np.random.Generator) -> Network:
    """Return a network with random weights that depend on ``rng`` alone.

    PyTorch's global random state is left as it is.
    """
    with seeded(int(rng.integers(2**63 - 1))):
        return Network(_body(channels, width), nn.Linear(width, n_classes))


def _body(channels: int, width: int) -> nn.Module:
    """Two convolution blocks and one hidden layer of ``width`` features.

    Group normalisation [Wu2018] instead of batch normalisation: the first cycles train on ten
    images, and features must not depend on what else is in the batch.
    """
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.GroupNorm(4, 16),
        nn.ReLU(),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.GroupNorm(4, 32),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(4),
        nn.Flatten(),
        nn.Linear(32 * 16, width),
        nn.ReLU(),
    )


def _normalised(images: ByteArray, pool: ByteArray, device: torch.device) -> Tensor:
    """Return images (N, H, W, channels) as floats (N, channels, H, W); the pool's have variance 1.

    Its mean is 0; other images are shifted and scaled as the pool's.
    """
    mean, deviation = float(pool.mean()), float(pool.std()) or 1.0
    planes = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()
    return ((planes - mean) / deviation).contiguous()
