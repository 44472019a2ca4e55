"""What tells two versions of one's own data apart: a digest of their content."""

import hashlib
from pathlib import Path

from alupdate.config import (
    CsvDataset,
    DatasetConfig,
    HubDataset,
    ImageDataset,
    ImageFolderDataset,
    NpzDataset,
    ParquetDataset,
)
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.files import sha256_of


def data_digest(config: DatasetConfig, cache: Path, display: Display) -> str | None:
    """Return a SHA-256 of the data, or None where the name alone says what they are.

    It is part of a run's identity: a file that changed is another data set, and a file that
    moved is not.

    Raises:
        InputError: a file is missing.
    """
    if isinstance(config, NpzDataset):
        return file_digest("dataset.path", config.path)
    if isinstance(config, CsvDataset | ParquetDataset):
        named = {"path": config.path, "train": config.train, "test": config.test}
        parts = [file_digest(f"dataset.{key}", path) for key, path in named.items() if path]
        return hashlib.sha256("".join(parts).encode()).hexdigest()
    if isinstance(config, ImageFolderDataset):
        from alupdate.data.image_folder import folder_digest

        return folder_digest(config.path, f"dataset.path={config.path}", cache, display)
    if isinstance(config, ImageDataset):
        from alupdate.data.named_images import own_copy_digest

        return own_copy_digest(config, cache, display)
    if isinstance(config, HubDataset) and config.root is not None:
        from alupdate.data.hub import local_files

        parts = [file_digest("dataset.root", str(path)) for path in local_files(config.root)]
        return hashlib.sha256("".join(parts).encode()).hexdigest()
    return None


def file_digest(key: str, path: str) -> str:
    """Return the SHA-256 of a file that the setting ``key`` names.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return sha256_of(Path(path))
    except OSError as error:
        raise InputError(f"{key}={path}: {error.strerror}") from error
