"""Image networks of timm as backbones, frozen or trained end to end.

Preprocessing turns images of any size into the normalised squares that a network expects. Its
steps are those of timm's evaluation transform (a test compares them), on tensors instead of Pillow
images, so that a batch is one operation and runs where the network does.
"""

import math
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass as settings_dataclass
from torch import Tensor, nn
from typing_extensions import override

from alupdate.config.values import SETTINGS, Flag, Positive, Text
from alupdate.data.dataset import ArrayImages, Dataset, FloatArray, Images, Instances, Kind
from alupdate.data.hub import HubImages
from alupdate.data.image_files import ImageFiles
from alupdate.models.end_to_end import Network, Trainable, no_augmentation
from alupdate.models.extractors import (
    Extractor,
    at_precision,
    decoding_workers,
    moved,
    network_inputs,
    network_outputs,
    with_precision,
)
from alupdate.models.features import CachedBackbone, Parts, require_kind
from alupdate.models.networks import dimension_of, find_weights, image_network, published_config
from alupdate.models.training import seeded
from alupdate.models.weights import WeightsFile
from alupdate.utils.display import Display, Rate
from alupdate.utils.errors import InputError
from alupdate.utils.files import file_digest
from alupdate.utils.paths import expanded

ByteArray = NDArray[np.uint8]
Pixels = Annotated[int, Field(strict=True, ge=16, le=1024)]
WEIGHTS_ENDING = ".safetensors"
IMAGES_AT_ONCE = 64
IMAGES_ON_GPU = 256
"""Images that a frozen network on a GPU computes together."""
BYTES_AT_ONCE = 2**26
"""Of images at full size that are decoded, and again of those that are resized, at a time: 64 of
590 x 590 pixels as they are, or of 295 x 295 as floats."""
LONGEST = 16
"""Times the shorter side: of a longer strip only the middle is resized, which is all that is seen.
"""
IMAGE_FEATURES = "image-network-v2"
"""Names how features are computed; part of the feature cache's key."""
FROZEN_SEED = 0
"""Of random weights that stay as they are: every run has the same ones."""
LITE_SIZE = 96
PADDING = 8
"""Training images are padded by a PADDING-th of their side before they are cut at random."""


def _weights(value: str) -> str:
    if value in ("pretrained", "random") or value.endswith(WEIGHTS_ENDING):
        return expanded(value)
    raise ValueError(
        f"must be pretrained, random, or a file that ends in {WEIGHTS_ENDING} (others are not read)"
    )


Weights = Annotated[Text, AfterValidator(_weights)]


@settings_dataclass(frozen=True, config=SETTINGS, kw_only=True)
class ImageBackbone(CachedBackbone):
    """An image network of timm [Wightman2019], such as ResNet [He2016] or DINOv2 [Oquab2024].

    Attributes:
        model: its name in timm.
        weights: ``pretrained``, ``random``, or a safetensors file of this architecture.
        image_size: in pixels; None for the model's own.
        frozen: False trains the whole network.
        learning_rate: of the network below the last layer, where it is trained.
        augment: whether training sees random crops and flips, where the network is trained.
        standardise: whether fixed features are; those of a network that is trained are not.
    """

    kind: ClassVar[Kind] = "images"
    preload: ClassVar[tuple[str, ...]] = ("timm",)

    name: Literal[
        "efficientnet_lite0", "dinov2_vits14", "dinov2_vitb14", "resnet18", "resnet50", "vit_b_16",
        "timm",
    ]  # fmt: skip
    model: Text
    weights: Weights = "pretrained"
    image_size: Pixels | None = None
    frozen: Flag = True
    learning_rate: Positive = 0.001
    augment: Flag = True

    @property
    @override
    def own_weights(self) -> str | None:
        return self.weights if self.weights.endswith(WEIGHTS_ENDING) else None

    @override
    def digests(self) -> dict[str, str]:
        own = self.own_weights
        return {} if own is None else {"weights": file_digest("backbone.weights", own)}

    @override
    def check(self) -> None:
        if self.name == "efficientnet_lite0" and self.model != "tf_efficientnet_lite0":
            raise InputError(
                f"backbone.model={self.model}: backbone=efficientnet_lite0 is one network; use "
                f"backbone=timm backbone.model={self.model}"
            )
        if self.precision != "float32" and not self.frozen:
            raise InputError(
                f"backbone.precision={self.precision}: is for the features of a frozen network; "
                "with backbone.frozen=false use float32"
            )

    @override
    def extractor(self, device: torch.device) -> Extractor:
        return ImageNetwork(self, device)

    @override
    def trainable(
        self,
        dataset: Dataset,
        learning_rate: float,
        rng: np.random.Generator,
        device: torch.device,
        display: Display,
    ) -> Trainable:
        require_kind(Parts.of(dataset), self.kind, self.name)
        assert isinstance(dataset.train, Images)
        assert isinstance(dataset.test, Images)
        how = preprocessing_of(self)
        body_seed, last_seed = (int(seed) for seed in rng.integers(2**63 - 1, size=2))
        weights = find_weights(self.name, self.model, self.weights)
        body = image_network(self.model, weights, how.size, body_seed)
        dimension = dimension_of(body, self.model, how.size)
        with seeded(last_seed):
            last = nn.Linear(dimension, len(dataset.classes))
        return Trainable(
            initial=Network(body, last).to(device),
            pool=_kept(dataset.train, how, f"pool of {dataset.name}", display),
            test=_kept(dataset.test, how, f"test set of {dataset.name}", display),
            inputs=partial(_inputs, how=how, device=device),
            augmented=augmented if self.augment else no_augmentation,
            learning_rate=self.learning_rate,
            chunk=IMAGES_AT_ONCE,
        )


@dataclass(frozen=True)
class Preprocessing:
    """Resize, centre crop and normalisation of an image.

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
    interpolation: Literal["bilinear", "bicubic"]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


def preprocessing_of(settings: ImageBackbone) -> Preprocessing:
    """Return the preprocessing that a network was trained with, at the configured image size.

    EfficientNet-Lite0 is an exception: it has the normalisation of its original authors, the images
    are small so that a laptop can compute their features, and only the longer side is cropped.

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
    """Resize and crop images (H, W, 1 or 3) of any size to (n, 3, size, size), in 0..255.

    Raises:
        InputError: an image has another number of channels.
    """
    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    images = [_without_ends(image, how) for image in images]
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
    for (height, width, _), alike in by_shape.items():
        for positions in _parts(alike, height * width):
            stacked = torch.stack([torch.from_numpy(images[i].copy()) for i in positions])
            planes = moved(stacked, device).permute(0, 3, 1, 2).float().expand(-1, 3, -1, -1)
            cut[positions] = _middle(_resized(planes, how), how.size)
    return cut


def _without_ends(image: ByteArray, how: Preprocessing) -> ByteArray:
    """Cut what is LONGEST to its middle: resized as a whole, a row of pixels may take gigabytes."""
    longest = LONGEST * min(image.shape[:2])
    if how.squash or max(image.shape[:2]) <= longest:
        return image
    top, left = (max(0, side - longest) // 2 for side in image.shape[:2])
    return image[top : top + longest, left : left + longest]


def _parts(positions: list[int], pixels: int) -> list[list[int]]:
    """Divide images of so many pixels so that each part takes BYTES_AT_ONCE, resized as floats."""
    size = max(1, BYTES_AT_ONCE // (3 * 4 * max(1, pixels)))
    return [positions[start : start + size] for start in range(0, len(positions), size)]


def squares_of(images: Images, how: Preprocessing, device: torch.device) -> Tensor:
    """Decode, resize and crop images of any size to (n, 3, size, size), in 0..255.

    Memory is bounded: few large images are decoded before they are resized.

    Raises:
        InputError: an image cannot be read, or has another number of channels.
    """
    return torch.cat([squares(part, how, device) for part in decoded_parts(images)])


def normalised(planes: Tensor, how: Preprocessing) -> Tensor:
    """Normalise the colours of planes (n, 3, size, size) with values in 0..255."""
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


class ImageNetwork(Extractor):
    """A frozen image network that extracts its pooled features.

    Example:
        >>> settings = ImageBackbone(name="timm", model="test_resnet", weights="random")
        >>> network = ImageNetwork(settings, torch.device("cpu"))
        >>> network.features(ArrayImages(np.zeros((2, 40, 30, 3), np.uint8))).shape
        (2, 96)
    """

    unit = "images"

    def __init__(self, settings: ImageBackbone, device: torch.device) -> None:
        self._settings, self._device = settings, device
        self.name = settings.model if settings.name == "timm" else settings.name
        self.precision = settings.precision
        self.chunk = IMAGES_AT_ONCE if device.type == "cpu" else IMAGES_ON_GPU

    @cached_property
    def _weights(self) -> WeightsFile | None:
        settings = self._settings
        return find_weights(settings.name, settings.model, settings.weights)

    @cached_property
    def _network(self) -> nn.Module:
        model, size = self._settings.model, preprocessing_of(self._settings).size
        network = image_network(model, self._weights, size, FROZEN_SEED)
        dimension_of(network, model, size)
        return network.eval().to(self._device)

    @property
    @override
    def identity(self) -> str:
        """Hash of the weights, model, preprocessing, precision and version of the computation."""
        weights = "random" if self._weights is None else self._weights.sha256
        how = preprocessing_of(self._settings)
        identity = f"{weights}|{self._settings.model}|{how}|{IMAGE_FEATURES}"
        return with_precision(identity, self.precision)

    @override
    def features(self, instances: Instances) -> FloatArray:
        """Return the pooled features (n, D) of n images of any size."""
        return next(self._computed([instances], 0))

    @override
    def stream(self, chunks: Sequence[Instances]) -> Iterator[FloatArray]:
        encoded = len(chunks) > 0 and isinstance(chunks[0], ImageFiles | HubImages)
        return self._computed(chunks, decoding_workers(self._device) if encoded else 0)

    def _computed(self, chunks: Sequence[Instances], workers: int) -> Iterator[FloatArray]:
        """Yield the features of chunks of images, which workers decode and resize on the CPU."""
        how = preprocessing_of(self._settings)
        place = torch.device("cpu") if workers else self._device

        def pooled(planes: Tensor) -> Tensor:
            with at_precision(self.precision, self._device):
                found: Tensor = self._network(normalised(planes, how))
            return found.float()

        prepare = partial(_prepared, how=how, device=place)  # picklable: workers may be spawned
        inputs = network_inputs(chunks, prepare, workers, self._device)
        return network_outputs(inputs, pooled, self._device)


def _prepared(instances: Instances, how: Preprocessing, device: torch.device) -> Tensor:
    assert isinstance(instances, Images)
    return squares_of(instances, how, device)


def image_arrays(parts: Parts, backbone: str) -> list[ByteArray]:
    """Return all images of each part, (N, H, W, channels).

    Args:
        parts: images of one size.
        backbone: the backbone's name, for error messages.

    Raises:
        InputError: the data are no images, or differ in size.
    """
    require_kind(parts, "images", backbone)
    images = [part for part in parts.instances if isinstance(part, Images)]
    shapes = {part.shape for part in images if len(part)}
    if len(shapes) > 1 or None in shapes:
        raise InputError(
            f"backbone={backbone}: needs images of one size, but those of {parts.name} differ; "
            "use a pretrained network, as in backbone=efficientnet_lite0"
        )
    shape = next(iter(shapes), None)
    return [np.array(decoded(part), np.uint8).reshape(-1, *(shape or ())) for part in images]


def decoded(images: Images) -> list[ByteArray]:
    """Return each image as an array (H, W, channels); files are decoded on all cores."""
    if isinstance(images, ArrayImages):
        return list(images.rows)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(images.__getitem__, range(len(images))))


def decoded_parts(images: Images) -> Iterator[list[ByteArray]]:
    """Yield the images as arrays, in parts of BYTES_AT_ONCE; small ones come in one part.

    How many are decoded at a time follows from the largest one so far.
    """
    if isinstance(images, ArrayImages):
        yield list(images.rows)
        return
    threads = os.cpu_count() or 1
    part: list[ByteArray] = []
    held, largest, start = 0, BYTES_AT_ONCE, 0  # the first one alone
    with ThreadPoolExecutor(threads) as pool:
        while start < len(images):
            stop = min(start + min(2 * threads, max(1, BYTES_AT_ONCE // largest)), len(images))
            for image in pool.map(images.__getitem__, range(start, stop)):
                if part and held + image.nbytes > BYTES_AT_ONCE:
                    yield part
                    part, held = [], 0
                part.append(image)
                held += image.nbytes
                largest = max(largest if start else 1, image.nbytes)
            start = stop
    yield part


def augmented(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Augment images (B, channels, H, H): random crops with black padding, random mirroring.

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
        for positions in np.array_split(np.arange(len(images)), -(-len(images) // IMAGES_AT_ONCE)):
            cut = squares_of(images.take(positions), how, torch.device("cpu"))
            kept[positions[0] : positions[-1] + 1] = cut.round().to(torch.uint8)
            advance(len(positions), rate.after(len(positions)))
    return kept


def _inputs(images: Tensor, how: Preprocessing, device: torch.device) -> Tensor:
    return normalised(images.to(device), how)
