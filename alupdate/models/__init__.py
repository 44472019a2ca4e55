"""Backbones: what turns instances into the features of the last layer."""

import numpy as np
import torch

from alupdate.config import CnnBackbone, ImageBackbone, TextBackbone
from alupdate.data.dataset import Dataset, Vectors
from alupdate.models.end_to_end import Trainable
from alupdate.models.features import Extractor
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError


def make_extractor(
    config: ImageBackbone | TextBackbone, dataset: Dataset, device: torch.device
) -> Extractor:
    """Return the configured frozen network; its weights are loaded when they are needed.

    Raises:
        InputError: it is for another kind of data, or its weights are missing.
    """
    _check_kind(config, dataset)
    if isinstance(config, ImageBackbone):
        from alupdate.models.images import ImageNetwork

        return ImageNetwork(config, device)
    from alupdate.models.texts import TextNetwork

    return TextNetwork(config, device)


def make_trainable(
    config: ImageBackbone | CnnBackbone,
    dataset: Dataset,
    learning_rate: float,
    rng: np.random.Generator,
    device: torch.device,
    display: Display,
) -> Trainable:
    """Return the configured network with its initial weights, to be trained end to end.

    Args:
        config: which network.
        dataset: images.
        learning_rate: of the last layer.
        rng: decides weights that are random.
        device: where the network lives.
        display: shows progress.

    Raises:
        InputError: the data are no images, or its weights are missing.
    """
    _check_kind(config, dataset)
    if isinstance(config, CnnBackbone):
        from alupdate.models.end_to_end import trainable_cnn

        return trainable_cnn(dataset, config.width, learning_rate, rng, device)
    from alupdate.models.end_to_end import trainable_image_network

    return trainable_image_network(config, dataset, rng, device, display)


def _check_kind(config: ImageBackbone | TextBackbone | CnnBackbone, dataset: Dataset) -> None:
    wanted = "texts" if isinstance(config, TextBackbone) else "images"
    if dataset.kind != wanted:
        found: str = dataset.kind
        if isinstance(dataset.train, Vectors):
            found = f"feature vectors of dimension {dataset.train.rows.shape[1]}"
        hint = {"vectors": "identity", "images": "efficientnet_lite0", "texts": "minilm"}
        raise InputError(
            f"backbone={config.name}: needs {wanted}, but {dataset.name} has {found}; "
            f"use backbone={hint[dataset.kind]}"
        )
