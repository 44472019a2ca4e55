"""A small convolutional network that is trained end to end."""

import numpy as np
import torch
from torch import Tensor, nn

from alupdate.training.recipe import Recipe, optimise

CHUNK = 512


class SmallCnn(nn.Module):
    """Two convolution blocks, one hidden layer of ``width`` features, and a linear last layer.

    Group normalisation instead of batch normalisation: the first cycles train on ten images, and
    features must not depend on what else is in the batch.
    """

    def __init__(self, channels: int, width: int, n_classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
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
        self.last = nn.Linear(width, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, C) of normalised images (B, channels, H, W)."""
        logits: Tensor = self.last(self.body(images))
        return logits


def initial_network(
    channels: int, width: int, n_classes: int, rng: np.random.Generator
) -> SmallCnn:
    """Return a network whose weights depend on ``rng`` alone; PyTorch's CPU seed is untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**63 - 1)))
        return SmallCnn(channels, width, n_classes)


def train_network(
    network: SmallCnn, images: Tensor, labels: Tensor, recipe: Recipe, rng: np.random.Generator
) -> None:
    """Train a network in place on images (N, channels, H, W) and labels (N,)."""
    parameters = list(network.parameters())

    def gradients(positions: Tensor) -> list[Tensor]:
        loss = nn.functional.cross_entropy(network(images[positions]), labels[positions])
        return list(torch.autograd.grad(loss, parameters))

    optimise(parameters, gradients, len(images), recipe, rng)


@torch.no_grad()
def features_of(network: SmallCnn, images: Tensor) -> Tensor:
    """Return the last layer's inputs (N, width) for images (N, channels, H, W)."""
    return torch.cat([network.body(chunk) for chunk in torch.split(images, CHUNK)])
