"""From images of any size to the normalised squares that an image network expects.

The same steps as timm's evaluation transform (a test holds them together), on tensors instead of
Pillow images, so that a batch is one operation and runs where the network does.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from alupdate.backbones.architecture import published_config
from alupdate.backbones.images import ByteArray
from alupdate.config import ImageBackbone
from alupdate.errors import InputError

Interpolation = Literal["bilinear", "bicubic"]
LITE_SIZE = 96


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes an input.

    Attributes:
        size: side of the square that the network sees.
        scaled: what the shorter side is resized to before the square is cut from the middle.
        squash: whether both sides are, whatever the proportions.
        interpolation: of the resizing.
        mean, deviation: of each colour, on the scale 0..255.
    """

    size: int
    scaled: int
    squash: bool
    interpolation: Interpolation
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


def preprocessing_of(settings: ImageBackbone) -> Preprocessing:
    """Return what a network was trained with, at the configured image size.

    EfficientNet-Lite0 has its own: its original authors' normalisation, and images as small and as
    whole as suits a laptop.

    Raises:
        InputError: there is no such network.
    """
    if settings.name == "efficientnet_lite0":
        size = settings.image_size or LITE_SIZE
        return Preprocessing(size, size, False, "bilinear", (127.0,) * 3, (128.0,) * 3)
    published = published_config(settings.model)
    size = settings.image_size or int(published.input_size[-1])
    return Preprocessing(
        size=size,
        scaled=math.floor(size / published.crop_pct),
        squash=published.crop_mode == "squash",
        interpolation="bilinear" if published.interpolation == "bilinear" else "bicubic",
        mean=tuple(255 * value for value in published.mean),
        deviation=tuple(255 * value for value in published.std),
    )


def squares(images: Sequence[ByteArray], how: Preprocessing, device: torch.device) -> Tensor:
    """Return images (H, W, 1 or 3), which may differ in size, as (n, 3, size, size) in 0..255.

    Raises:
        InputError: an image has another number of channels.
    """
    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for position, image in enumerate(images):
        if image.shape[2] not in (1, 3):
            raise InputError(
                f"images have {image.shape[2]} channels; an image network needs 1 (grey) or 3"
            )
        by_shape[image.shape].append(position)
    cut = torch.empty(
        (len(images), 3, how.size, how.size),
        device=device,
        memory_format=torch.channels_last,  # a quarter to a half faster on a CPU
    )
    for positions in by_shape.values():
        alike = torch.stack([torch.from_numpy(images[i].copy()) for i in positions])
        planes = alike.to(device).permute(0, 3, 1, 2).float().expand(-1, 3, -1, -1)
        cut[positions] = _middle(_resized(planes, how), how.size)
    return cut


def normalised(planes: Tensor, how: Preprocessing) -> Tensor:
    """Return planes (n, 3, size, size) of values in 0..255 as the network's inputs."""
    mean, deviation = (
        torch.tensor(values, device=planes.device)[:, None, None]
        for values in (how.mean, how.deviation)
    )
    return (planes.float() - mean) / deviation


def _resized(planes: Tensor, how: Preprocessing) -> Tensor:
    height, width = planes.shape[2:]
    shorter = min(height, width)
    target = [how.scaled, how.scaled]
    if not how.squash:
        target = [how.scaled * side // shorter for side in (height, width)]
    for part in ([height, target[1]], target):  # width first, as Pillow
        resized = torch.nn.functional.interpolate(
            planes, part, mode=how.interpolation, antialias=True, align_corners=False
        )
        planes = resized.clamp(0, 255)  # cubic interpolation overshoots at edges
    return planes


def _middle(planes: Tensor, size: int) -> Tensor:
    top, left = (round((side - size) / 2) for side in planes.shape[2:])
    return planes[:, :, top : top + size, left : left + size]
