"""Image networks of timm, and the features that they pool."""

from functools import cached_property

import torch
from torch import nn

from alupdate.backbones import packaged_weights
from alupdate.backbones.architecture import (
    dimension_of,
    loaded_network,
    random_network,
    tensor_names,
)
from alupdate.backbones.images import decoded
from alupdate.backbones.preprocessing import normalised, preprocessing_of, squares
from alupdate.backbones.weights import WeightsFile, find_weights, read_tensors
from alupdate.config import ImageBackbone
from alupdate.data.instances import FloatArray, Images, Instances

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
    if packaged_weights.belong_to(settings):
        tensors = packaged_weights.read_tensors(weights.path, tensor_names(settings.model))
    else:
        tensors = read_tensors(weights)
    return loaded_network(settings.model, size, tensors, weights.source)
