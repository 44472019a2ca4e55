"""Extract features once, keep them, and notice when a kept file is damaged."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

FloatArray = NDArray[np.float32]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Features:
    """Feature vectors of a data set: pool (N, D) and test (T, D)."""

    pool: FloatArray
    test: FloatArray


def cached_features(folder: Path, key: str, extract: Callable[[], Features]) -> Features:
    """Return the features kept under ``key``, or extract and keep them.

    Two processes that ask for the same key extract once: the second waits for the first.

    Args:
        folder: the cache directory.
        key: a readable name that ends in a hash of data, weights and transform.
        extract: computes the features.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{key}.safetensors"
    with FileLock(f"{path}.lock"):
        kept = _load(path) if path.is_file() else None
        if kept is not None:
            return kept
        features = extract()
        _save(path, features)
        return features


def _checksum(features: Features) -> str:
    digest = hashlib.sha256()
    for array in (features.pool, features.test):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _save(path: Path, features: Features) -> None:
    partial = path.with_suffix(".partial")
    save_file(
        {"pool": features.pool, "test": features.test},
        partial,
        metadata={"sha256": _checksum(features)},
    )
    partial.replace(path)


def _load(path: Path) -> Features | None:
    """Return the kept features, or None (and say so in the log) if the file is damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            features = Features(file.get_tensor("pool"), file.get_tensor("test"))
            expected = (file.metadata() or {}).get("sha256")
    except (SafetensorError, OSError, ValueError) as error:
        log.warning("feature cache %s is damaged (%s); extracting again", path, error)
        return None
    if expected != _checksum(features):
        log.warning("feature cache %s is damaged (checksum); extracting again", path)
        return None
    return features
