"""Backbones: what turns instances into the features of the last layer."""

import torch

from alupdate.backbones.extractor import Extractor
from alupdate.config import ImageBackbone, TextBackbone
from alupdate.data.dataset import Dataset
from alupdate.data.instances import Vectors
from alupdate.errors import InputError


def make_extractor(
    config: ImageBackbone | TextBackbone, dataset: Dataset, device: torch.device
) -> Extractor:
    """Return the configured frozen network; its weights are loaded when they are needed.

    Raises:
        InputError: it is for another kind of data, or its weights are missing.
    """
    wanted = "images" if isinstance(config, ImageBackbone) else "texts"
    if dataset.kind != wanted:
        found: str = dataset.kind
        if isinstance(dataset.train, Vectors):
            found = f"feature vectors of dimension {dataset.train.rows.shape[1]}"
        hint = {"vectors": "identity", "images": "efficientnet_lite0", "texts": "minilm"}
        raise InputError(
            f"backbone={config.name}: needs {wanted}, but {dataset.name} has {found}; "
            f"use backbone={hint[dataset.kind]}"
        )
    if isinstance(config, ImageBackbone):
        from alupdate.backbones.image_network import ImageNetwork

        return ImageNetwork(config, device)
    from alupdate.backbones.text_network import TextNetwork

    return TextNetwork(config, device)
