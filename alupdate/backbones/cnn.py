"""A small convolutional network that is trained end to end."""

import numpy as np
import torch
from torch import Tensor, nn

from alupdate.backbones.end_to_end import Network, Trainable, as_they_are, seeded, unvaried
from alupdate.backbones.images import ByteArray, image_arrays
from alupdate.data.dataset import Dataset

CHUNK = 512


def trainable_cnn(
    dataset: Dataset,
    width: int,
    learning_rate: float,
    rng: np.random.Generator,
    device: torch.device,
) -> Trainable:
    """Return a small network for a data set's images, which it sees as they are.

    Args:
        dataset: images of one size.
        width: number of features.
        learning_rate: of every layer.
        rng: decides the initial weights.
        device: where network and images live.

    Raises:
        InputError: the data are no images, or differ in size.
    """
    pool, test = image_arrays(dataset, "cnn")
    kept_pool, kept_test = (_normalised(images, pool, device) for images in (pool, test))
    network = initial_network(kept_pool.shape[1], width, len(dataset.classes), rng).to(device)
    return Trainable(network, kept_pool, kept_test, as_they_are, unvaried, learning_rate, CHUNK)


def initial_network(channels: int, width: int, n_classes: int, rng: np.random.Generator) -> Network:
    """Return a network whose weights depend on ``rng`` alone; PyTorch's own seed is untouched."""
    with seeded(int(rng.integers(2**63 - 1))):
        return Network(_body(channels, width), nn.Linear(width, n_classes))


def _body(channels: int, width: int) -> nn.Module:
    """Two convolution blocks and one hidden layer of ``width`` features.

    Group normalisation instead of batch normalisation: the first cycles train on ten images, and
    features must not depend on what else is in the batch.
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
