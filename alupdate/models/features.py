"""What every frozen backbone that computes something has in common, and the cache in front."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from alupdate.data.dataset import Dataset, FloatArray, Instances, IntArray, Vectors
from alupdate.data.feature_cache import Extraction, Features, RowsDone, cached_rows
from alupdate.models.images import image_arrays
from alupdate.utils.display import Display, Rate
from alupdate.utils.errors import InputError


class Extractor(Protocol):
    """A frozen network.

    Making one is cheap: the network is loaded when features are first asked for.
    """

    @property
    def name(self) -> str:
        """Readable, for messages and file names."""
        ...

    @property
    def identity(self) -> str:
        """Everything that decides the features of an instance: weights' hash, preprocessing."""
        ...

    @property
    def unit(self) -> str:
        """What instances are called: images or texts."""
        ...

    @property
    def chunk(self) -> int:
        """How many instances are computed together."""
        ...

    def features(self, instances: Instances) -> FloatArray:
        """Return the features (n, D) of n instances; they do not depend on each other."""
        ...


def extracted(dataset: Dataset, extractor: Extractor, cache: Path, display: Display) -> Features:
    """Return the features of a data set, from the cache if they are there.

    Raises:
        InputError: the cache cannot be written.
    """
    known = len(dataset.train)
    count = known + len(dataset.test)
    content = f"{dataset.fingerprint()}|{extractor.identity}"
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    key = _file_name(f"{extractor.name}-{digest}")
    folder = cache / "features"

    @contextmanager
    def watched(done: int) -> Iterator[RowsDone]:
        title = f"features of {dataset.name} by {extractor.name}"
        with display.progress(title, count, done) as advance:
            rate = Rate(extractor.unit)
            yield lambda rows: advance(rows, rate.after(rows))

    extraction = Extraction(
        count,
        lambda start, stop: _rows(dataset, extractor, start, stop),
        extractor.chunk,
        watched,
    )
    try:
        rows = cached_rows(folder, key, extraction)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cache_dir: cannot write {folder} ({reason})") from error
    return Features(rows[:known], rows[known:])


def _rows(dataset: Dataset, extractor: Extractor, start: int, stop: int) -> FloatArray:
    """Return the features of instances start..stop-1, where the test set follows the pool."""
    known = len(dataset.train)
    parts: list[tuple[Instances, IntArray]] = [
        (dataset.train, np.arange(start, min(stop, known))),
        (dataset.test, np.arange(max(start, known), stop) - known),
    ]
    return np.concatenate([extractor.features(p.take(i)) for p, i in parts if len(i)])


def _file_name(key: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in key)


def flatten(dataset: Dataset, backbone: str) -> Features:
    """Return each instance as one vector of floats.

    Args:
        dataset: vectors, or images of one size.
        backbone: who wants them, for error messages.

    Raises:
        InputError: the data are texts, or images that differ in size.
    """
    if isinstance(dataset.train, Vectors) and isinstance(dataset.test, Vectors):
        return Features(dataset.train.rows, dataset.test.rows)
    pool, test = (
        images.reshape(len(images), -1).astype(np.float32)
        for images in image_arrays(dataset, backbone)
    )
    return Features(pool, test)


def standardise(features: Features) -> Features:
    """Shift and scale every dimension to mean 0 and variance 1 on the pool (no label is used).

    Dimensions that (nearly) do not vary on the pool are set to 0, so that a test instance in
    which one does vary is not blown up.
    """
    mean = features.pool.mean(axis=0, dtype=np.float64)
    deviation = features.pool.std(axis=0, dtype=np.float64)
    varies = deviation > 1e-6 * max(1.0, float(np.abs(mean).max(initial=0.0)))
    scale = np.where(varies, 1 / np.where(varies, deviation, 1), 0)
    shift, factor = mean.astype(np.float32), scale.astype(np.float32)
    return Features((features.pool - shift) * factor, (features.test - shift) * factor)
