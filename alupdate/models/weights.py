"""Pretrained weights from the Hugging Face Hub, as safetensors files and nothing else."""

import re
from pathlib import Path

from alupdate.backbones.architecture import published_config
from alupdate.config import ImageBackbone
from alupdate.errors import InputError

FILE = "model.safetensors"
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

    repository, revision, file = _place(settings)
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


def check(path: Path, sha256: str) -> None:
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


def _place(settings: ImageBackbone) -> tuple[str, str | None, str]:
    """Return repository, revision and file name."""
    published = published_config(settings.model)
    if published is None or not published.hf_hub_id:
        raise InputError(
            f"backbone.model={settings.model}: has no pretrained weights on the Hugging Face Hub; "
            "set backbone.weights=FILE or random"
        )
    repository, _, revision = published.hf_hub_id.partition("@")
    file = published.hf_hub_filename or FILE
    return repository, revision or None, file if file.endswith(".safetensors") else FILE
