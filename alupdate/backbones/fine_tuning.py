"""An image network that is trained end to end, on images that are decoded once."""

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from alupdate.backbones.architecture import dimension_of
from alupdate.backbones.end_to_end import Network, Trainable, seeded, unvaried
from alupdate.backbones.image_network import network_with
from alupdate.backbones.images import decoded
from alupdate.backbones.preprocessing import (
    Preprocessing,
    normalised,
    preprocessing_of,
    squares,
)
from alupdate.backbones.weights import find_weights
from alupdate.config import ImageBackbone
from alupdate.data.dataset import Dataset
from alupdate.data.instances import Images
from alupdate.display import Display, Rate

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
