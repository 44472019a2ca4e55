"""Networks trained end to end: a body that computes features, and a linear last layer.

The last layer is the one with the posterior; the body is trained together with it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from alupdate.models.training import Recipe, optimise


class Network(nn.Module):
    """A body that turns images into features, and a linear last layer."""

    def __init__(self, body: nn.Module, last: nn.Linear) -> None:
        super().__init__()
        self.body, self.last = body, last

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, C) of normalised images (B, channels, H, W)."""
        logits: Tensor = self.last(self.body(images))
        return logits


@dataclass(frozen=True)
class Trainable:
    """A network with its initial weights, and the images of a data set as it takes them.

    Attributes:
        initial: the network with the weights that every training starts from.
        pool: (N, channels, H, W), the pool's images as they are kept.
        test: (T, channels, H, W), the test set's.
        inputs: maps kept images to the network's inputs, on the network's device.
        augmented: given kept images for training, returns a random variation of them.
        learning_rate: of the body.
        chunk: how many images are evaluated together.
    """

    initial: Network
    pool: Tensor
    test: Tensor
    inputs: Callable[[Tensor], Tensor]
    augmented: Callable[[Tensor, np.random.Generator], Tensor]
    learning_rate: float
    chunk: int


def identity(images: Tensor) -> Tensor:
    """Return the images: those that are kept are the network's inputs."""
    return images


def no_augmentation(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Return the images: training sees them as they are kept."""
    return images


def train_network(
    network: Network,
    images: Callable[[Tensor], Tensor],
    labels: Tensor,
    recipe: Recipe,
    body_rate: float,
    rng: np.random.Generator,
) -> None:
    """Train body and last layer in place, by the cross entropy of minibatches.

    Args:
        network: body and last layer.
        images: positions of a minibatch (B,) -> its inputs (B, channels, H, W).
        labels: (N,).
        recipe: the settings; its learning rate is the last layer's.
        body_rate: the body's learning rate.
        rng: decides the order of the instances.
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    last = {id(p) for p in network.last.parameters()}
    relative = body_rate / recipe.learning_rate
    network.train()

    def gradients(positions: Tensor) -> list[Tensor]:
        _normalise_by_batch(network.body, len(positions) > 1)
        loss = nn.functional.cross_entropy(network(images(positions)), labels[positions])
        return list(torch.autograd.grad(loss, parameters, materialize_grads=True))

    rates = [1.0 if id(p) in last else relative for p in parameters]
    optimise(parameters, gradients, len(labels), recipe, rng, rates)


def features_of(network: Network, images: Tensor, trainable: Trainable) -> Tensor:
    """Return the last layer's inputs (N, D) for kept images (N, channels, H, W)."""
    network.eval()
    with torch.no_grad():
        chunks = torch.split(images, trainable.chunk)
        return torch.cat([network.body(trainable.inputs(chunk)) for chunk in chunks])


def recalibrate_batch_norm(network: Network, images: Tensor, trainable: Trainable) -> None:
    """Recompute the statistics of batch normalisation under the final weights.

    The running averages of training lag behind: after a few dozen steps on few labels they belong
    to earlier weights, and evaluation with them can be no better than chance. The mean over whole
    chunks of images does not lag ("PreciseBN", [Wu2021], section 3). It needs no label, so that the
    images can come from the pool, of which there are more than labelled ones.

    Args:
        network: trained; its statistics are replaced.
        images: (N, channels, H, W), as they are kept, in random order.
        trainable: what the network was made from.
    """
    normalising = _batch_normalisations(network.body)
    if not normalising or len(images) < 2:
        return
    for module in normalising:
        module.reset_running_stats()
        module.momentum = None  # a plain mean over the chunks
    network.eval()
    _normalise_by_batch(network.body, True)
    with torch.no_grad():
        for chunk in torch.chunk(images, -(-len(images) // trainable.chunk)):
            network.body(trainable.inputs(chunk))


def _normalise_by_batch(body: nn.Module, wanted: bool) -> None:
    """Let batch normalisation use the batch's statistics, or those it has gathered so far.

    One instance alone has no variance to normalise by, and at few pixels no other value either.
    """
    for module in _batch_normalisations(body):
        module.train(wanted)


def _batch_normalisations(body: nn.Module) -> list[_BatchNorm]:
    return [module for module in body.modules() if isinstance(module, _BatchNorm)]
