"""Networks trained end to end: a body, and the linear last layer that has the posterior."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from alupdate.config import ImageBackbone
from alupdate.data.dataset import Dataset, Images
from alupdate.models.images import (
    ByteArray,
    Preprocessing,
    decoded,
    image_arrays,
    network_with,
    normalised,
    preprocessing_of,
    squares,
)
from alupdate.models.networks import dimension_of
from alupdate.models.training import Recipe, optimise, seeded
from alupdate.models.weights import find_weights
from alupdate.utils.display import Display, Rate


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
    """A network to be trained, and the images of a data set in the form it wants them.

    Attributes:
        initial: the network with the weights that every training starts from.
        pool: (N, channels, H, W), the pool's images as they are kept.
        test: (T, channels, H, W), the test set's.
        inputs: turns kept images into the network's inputs, where the network is.
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


def as_they_are(images: Tensor) -> Tensor:
    """Return kept images that are inputs already."""
    return images


def unvaried(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Return training images without a variation."""
    return images


def train_network(
    network: Network,
    images: Callable[[Tensor], Tensor],
    labels: Tensor,
    recipe: Recipe,
    body_rate: float,
    rng: np.random.Generator,
) -> None:
    """Train a network in place.

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


def settle_statistics(network: Network, images: Tensor, trainable: Trainable) -> None:
    """Set batch normalisation's statistics to those of some images under the final weights.

    The running averages that training leaves behind lag: after a few dozen steps on few labels
    they belong to weights that are gone, and evaluation with them can be no better than chance
    ("precise" batch normalisation of Wu and Johnson 2021, section 3). No label is needed, so that
    they can come from the pool, of which there is more than of labelled images.

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


CNN_CHUNK = 512


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
    return Trainable(network, kept_pool, kept_test, as_they_are, unvaried, learning_rate, CNN_CHUNK)


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


CHUNK = 64
PADDING = 8
"""Training images are padded by a PADDING-th of their side before they are cut at random."""


def trainable_image_network(
    settings: ImageBackbone,
    dataset: Dataset,
    rng: np.random.Generator,
    device: torch.device,
    display: Display,
) -> Trainable:
    """Return an image network with its initial weights, and a data set's images at its size.

    Args:
        settings: which network.
        dataset: images.
        rng: decides the initial weights where they are random, the last layer's always.
        device: where the network lives; images stay in main memory.
        display: shows progress.

    Raises:
        InputError: there is no such network, its weights are missing or do not fit.
    """
    assert isinstance(dataset.train, Images)
    assert isinstance(dataset.test, Images)
    how = preprocessing_of(settings)
    body_seed, last_seed = (int(seed) for seed in rng.integers(2**63 - 1, size=2))
    body = network_with(settings, find_weights(settings), how.size, body_seed)
    dimension = dimension_of(body, settings.model, how.size)
    with seeded(last_seed):
        last = nn.Linear(dimension, len(dataset.classes))
    return Trainable(
        initial=Network(body, last).to(device),
        pool=_kept(dataset.train, how, f"pool of {dataset.name}", display),
        test=_kept(dataset.test, how, f"test set of {dataset.name}", display),
        inputs=partial(_inputs, how=how, device=device),
        augmented=augmented if settings.augment else unvaried,
        learning_rate=settings.learning_rate,
        chunk=CHUNK,
    )


def augmented(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Return images (B, channels, H, H) cut at random from a black frame, half of them mirrored.

    Args:
        images: as they are kept.
        rng: decides where they are cut and which are mirrored.
    """
    count, side = len(images), images.shape[-1]
    margin = side // PADDING
    framed = nn.functional.pad(images, (margin,) * 4)
    starts = torch.from_numpy(rng.integers(2 * margin + 1, size=(2, count, 1)))
    mirrored = torch.from_numpy(rng.random((count, 1)) < 0.5)
    along = torch.arange(side)
    rows = starts[0] + along
    columns = starts[1] + torch.where(mirrored, side - 1 - along, along)
    which = torch.arange(count)[:, None, None, None]
    channels = torch.arange(images.shape[1])[None, :, None, None]
    return framed[which, channels, rows[:, None, :, None], columns[:, None, None, :]]


def _kept(images: Images, how: Preprocessing, name: str, display: Display) -> Tensor:
    """Return all images as bytes (N, 3, size, size): a quarter of what floats would take."""
    kept = torch.empty(len(images), 3, how.size, how.size, dtype=torch.uint8)
    with display.progress(f"decoding the {name}", len(images)) as advance:
        rate = Rate("images")
        for positions in np.array_split(np.arange(len(images)), -(-len(images) // CHUNK)):
            cut = squares(decoded(images.take(positions)), how, torch.device("cpu"))
            kept[positions[0] : positions[-1] + 1] = cut.round().to(torch.uint8)
            advance(len(positions), rate.after(len(positions)))
    return kept


def _inputs(images: Tensor, how: Preprocessing, device: torch.device) -> Tensor:
    return normalised(images.to(device), how)
