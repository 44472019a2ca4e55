"""The options of the group ``backbone``."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from alupdate.config.values import SETTINGS, Flag, Text


@dataclass(frozen=True, config=SETTINGS)
class PlainBackbone:
    """A backbone without parameters: the (flattened) instances are the features."""

    name: Literal["pixels", "identity"]
    standardise: Flag = True
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class PretrainedBackbone:
    """A frozen pretrained image network; ``image_size`` is in pixels."""

    name: Literal["efficientnet_lite0"]
    image_size: Annotated[int, Field(strict=True, ge=32, le=512)] = 96
    standardise: Flag = True
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class CnnBackbone:
    """A small convolutional network trained end to end; ``width`` is its feature dimension."""

    name: Literal["cnn"]
    width: Annotated[int, Field(strict=True, ge=4, le=4096)] = 64
    label: Text | None = None


BackboneConfig = Annotated[
    PlainBackbone | PretrainedBackbone | CnnBackbone, Field(discriminator="name")
]
