"""Where the weights of an image network come from, and what is checked before they are used."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from alupdate.backbones import hub_weights, packaged_weights
from alupdate.config import ImageBackbone, weights_file
from alupdate.data.identity import file_digest
from alupdate.errors import InputError


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights.

    Attributes:
        path: where it lies.
        sha256: of its content.
        source: how to call it in an error message.
    """

    path: Path
    sha256: str
    source: str


def find_weights(settings: ImageBackbone) -> WeightsFile | None:
    """Return the configured weights (pretrained ones are fetched), or None for random ones.

    Raises:
        InputError: they are missing, damaged, or cannot be fetched.
    """
    if settings.weights == "random":
        return None
    own = weights_file(settings)
    if own is not None:
        source = f"backbone.weights={own}"
        return WeightsFile(Path(own), file_digest("backbone.weights", own), source)
    if packaged_weights.belong_to(settings):
        path, check = packaged_weights.weights_path(), packaged_weights.check
    else:
        path, check = hub_weights.fetched(settings), hub_weights.check
    with path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    check(path, sha256)
    return WeightsFile(path, sha256, f"backbone={settings.name}: {path}")


def read_tensors(file: WeightsFile) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises:
        InputError: it is none, or is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(file.path)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{file.source}: is no complete safetensors file ({error})") from error
    return tensors
