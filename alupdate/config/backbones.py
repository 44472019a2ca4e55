"""The options of the group ``backbone``."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from alupdate.config.values import SETTINGS, Flag, Positive, Text

Pixels = Annotated[int, Field(strict=True, ge=16, le=1024)]
WEIGHTS_ENDING = ".safetensors"


def _weights(value: str) -> str:
    if value in ("pretrained", "random") or value.endswith(WEIGHTS_ENDING):
        return value
    raise ValueError(
        f"must be pretrained, random, or a file that ends in {WEIGHTS_ENDING} (others are not read)"
    )


Weights = Annotated[Text, AfterValidator(_weights)]
Tokens = Annotated[int, Field(strict=True, ge=4)]
"""Of a text, two of which mark its start and end."""


@dataclass(frozen=True, config=SETTINGS)
class PlainBackbone:
    """A backbone without parameters: the (flattened) instances are the features."""

    name: Literal["pixels", "identity"]
    standardise: Flag = True
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class ImageBackbone:
    """An image network of timm.

    Attributes:
        model: its name there.
        weights: ``pretrained``, ``random``, or a safetensors file of this architecture.
        image_size: in pixels; None for the model's own.
        frozen: False trains the whole network.
        learning_rate: of the network below the last layer, where it is trained.
        augment: whether training sees random crops and flips, where the network is trained.
        standardise: whether fixed features are; those of a network that is trained are not.
    """

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
    standardise: Flag = True
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class TextBackbone:
    """A frozen transformer for texts.

    Attributes:
        model: a name on the Hugging Face Hub, or a local folder.
        pooling: ``mean`` over the tokens (at unit length), or the vector of the class token.
        max_length: in tokens; longer texts are cut.
    """

    name: Literal["minilm", "bert", "transformers"]
    model: Text
    pooling: Literal["mean", "class_token"] = "class_token"
    max_length: Tokens = 128
    standardise: Flag = True
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class CnnBackbone:
    """A small convolutional network trained end to end; ``width`` is its feature dimension."""

    name: Literal["cnn"]
    width: Annotated[int, Field(strict=True, ge=4, le=4096)] = 64
    label: Text | None = None


BackboneConfig = Annotated[
    PlainBackbone | ImageBackbone | TextBackbone | CnnBackbone, Field(discriminator="name")
]


def is_frozen(backbone: BackboneConfig) -> bool:
    """Return whether a backbone's features are fixed, and only a linear layer on them learns."""
    if isinstance(backbone, ImageBackbone):
        return backbone.frozen
    return not isinstance(backbone, CnnBackbone)


def weights_file(backbone: BackboneConfig) -> str | None:
    """Return the user's own file of weights, if the backbone has one."""
    if isinstance(backbone, ImageBackbone) and backbone.weights.endswith(WEIGHTS_ENDING):
        return backbone.weights
    return None
