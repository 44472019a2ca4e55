"""Small images, settings of image networks, and files of weights."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from alupdate.data.arrays import digits
from alupdate.data.dataset import ArrayImages, Dataset, IntArray, from_arrays
from alupdate.models.images import ImageBackbone


def few_images(channels: int = 3) -> Dataset:
    """Six images of noise in the pool; the first two are the test set, too."""
    images = np.random.default_rng(0).integers(256, size=(6, 20, 20, channels)).astype(np.uint8)
    labels = np.arange(6) % 2
    return from_arrays("few", images, labels, images[:2], labels[:2], "here")


def some_digits(per_class: int, classes: tuple[int, ...], n_test: int = 20) -> Dataset:
    """The first digits of some classes, and a few for testing."""
    whole = digits("digits")

    def positions(labels: IntArray, count: int) -> IntArray:
        return np.concatenate([np.flatnonzero(labels == c)[:count] for c in classes])

    train = positions(whole.train_labels, per_class)
    test = positions(whole.test_labels, n_test // len(classes))
    assert isinstance(whole.train, ArrayImages)
    assert isinstance(whole.test, ArrayImages)
    return from_arrays(
        "some digits",
        whole.train.rows[train],
        whole.train_labels[train],
        whole.test.rows[test],
        whole.test_labels[test],
        "here",
    )


def small_network(model: str = "resnet18", size: int = 32, **options: Any) -> ImageBackbone:
    """Settings of a network of timm, with random weights unless told otherwise."""
    chosen: dict[str, Any] = {"weights": "random", "image_size": size} | options
    return ImageBackbone(name="timm", model=model, **chosen)


def saved_weights(path: Path, model: str, **options: Any) -> dict[str, Tensor]:
    """Save a network of timm with random weights, classifier included, and return its tensors."""
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        tensors = timm.create_model(model, **options).state_dict()
    save_file(tensors, path)
    return tensors
