"""The base classes of backbones, and the features that frozen ones compute and keep.

A backbone maps instances to the features of the last layer. To add one, subclass ``Backbone`` (or
``CachedBackbone`` for a network that is slow) in a module of this package, and describe its
settings in ``conf/backbone/NAME.yaml``.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from typing_extensions import override

from alupdate.config.options import Option
from alupdate.config.values import SETTINGS, Flag
from alupdate.data.dataset import Dataset, FloatArray, Instances, IntArray, Kind, Vectors
from alupdate.data.feature_cache import Extraction, Features, RowsDone, cached_rows
from alupdate.models.end_to_end import Trainable
from alupdate.models.scales import standardise
from alupdate.utils.display import Display, Rate
from alupdate.utils.errors import InputError, cannot_read
from alupdate.utils.paths import cache_folder

DEFAULT_BACKBONES = {"vectors": "identity", "images": "efficientnet_lite0", "texts": "minilm"}
"""What a message advises for each kind of data."""


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Backbone(Option):
    """A feature extractor below the last layer, with its settings.

    A frozen backbone implements ``features``. One that is trained end to end implements
    ``trainable`` and overrides ``frozen``.

    Attributes:
        preload: modules that a new process should import before it starts a run.

    Example:
        The mean colour of an image, in ``alupdate/models/mean_colour.py``; the file
        ``conf/backbone/mean_colour.yaml`` then says ``name: mean_colour`` and ``label: null``.

        >>> from typing import Literal
        >>> from alupdate.models.images import decoded
        >>> @dataclass(frozen=True, config=SETTINGS, kw_only=True)
        ... class MeanColour(Backbone):
        ...     name: Literal["mean_colour"] = "mean_colour"
        ...
        ...     def features(self, dataset, device, cache, display):
        ...         require_kind(dataset, "images", self.name)
        ...         pool, test = (
        ...             np.stack([image.mean(axis=(0, 1)) for image in decoded(images)])
        ...             for images in (dataset.train, dataset.test)
        ...         )
        ...         return Features(pool.astype(np.float32), test.astype(np.float32))
        >>> MeanColour().frozen
        True
    """

    group: ClassVar[str] = "backbone"
    preload: ClassVar[tuple[str, ...]] = ()

    @property
    def frozen(self) -> bool:
        """Whether the features are fixed, so that only a linear layer on them is trained."""
        return True

    @property
    def extracts(self) -> bool:
        """Whether the features are computed once and kept in the feature cache."""
        return False

    @property
    def own_weights(self) -> str | None:
        """The user's file of weights, where the settings name one."""
        return None

    def features(
        self, dataset: Dataset, device: torch.device, cache: Path, display: Display
    ) -> Features:
        """Return the features of a data set; for frozen backbones.

        Args:
            dataset: pool and test set.
            device: where a network computes them.
            cache: the cache directory.
            display: shows progress.

        Raises:
            InputError: the data are of another kind, weights are missing or damaged, or the cache
                cannot be written.
        """
        raise NotImplementedError(f"backbone {self.name} has no fixed features")

    def trainable(
        self,
        dataset: Dataset,
        learning_rate: float,
        rng: np.random.Generator,
        device: torch.device,
        display: Display,
    ) -> Trainable:
        """Return the network with its initial weights; for backbones that are trained.

        Args:
            dataset: pool and test set.
            learning_rate: of the last layer.
            rng: decides weights that are random.
            device: where the network lives.
            display: shows progress.

        Raises:
            InputError: the data are of another kind, or weights are missing or damaged.
        """
        raise NotImplementedError(f"backbone {self.name} cannot be trained")


class Extractor(Protocol):
    """A frozen network that computes features.

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


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class CachedBackbone(Backbone):
    """A backbone whose frozen features are computed once for each data set, and kept on disk.

    Attributes:
        kind: of the instances that the network takes.
        standardise: whether fixed features are scaled to mean 0 and variance 1 on the pool.
    """

    kind: ClassVar[Kind]
    standardise: Flag = True

    @property
    @override
    def extracts(self) -> bool:
        return self.frozen

    def extractor(self, device: torch.device) -> Extractor:
        """Return the frozen network; its weights are loaded when they are needed."""
        raise NotImplementedError

    @override
    def features(
        self, dataset: Dataset, device: torch.device, cache: Path, display: Display
    ) -> Features:
        require_kind(dataset, self.kind, self.name)
        features = extracted(dataset, self.extractor(device), cache, display)
        return standardise(features) if self.standardise else features


def require_kind(dataset: Dataset, kind: Kind, backbone: str) -> None:
    """Refuse data of another kind than a backbone takes.

    Args:
        dataset: pool and test set.
        kind: that the backbone takes.
        backbone: its name, for the message.

    Raises:
        InputError: the data are of another kind.
    """
    if dataset.kind == kind:
        return
    found: str = dataset.kind
    if isinstance(dataset.train, Vectors):
        found = f"feature vectors of dimension {dataset.train.rows.shape[1]}"
    raise InputError(
        f"backbone={backbone}: needs {kind}, but {dataset.name} has {found}; "
        f"use backbone={DEFAULT_BACKBONES[dataset.kind]}"
    )


def extracted(dataset: Dataset, extractor: Extractor, cache: Path, display: Display) -> Features:
    """Return the features of a data set, from the cache where they are already there.

    Args:
        dataset: pool and test set.
        extractor: computes features that are not in the cache.
        cache: the cache directory.
        display: shows progress.

    Raises:
        InputError: the cache cannot be written, or a feature is not finite.
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

    def computed(start: int, stop: int) -> FloatArray:
        try:
            return _rows(dataset, extractor, start, stop)
        except OSError as error:  # of the data or the weights: those of the cache are told apart
            where = f"features of {dataset.name} by {extractor.name}"
            raise cannot_read(where, error) from error

    extraction = Extraction(
        count,
        computed,
        extractor.chunk,
        watched,
    )
    try:
        rows = cached_rows(cache_folder(cache, "features"), key, extraction)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cache_dir: cannot use {folder} ({reason})") from error
    return Features(rows[:known], rows[known:])


def _rows(dataset: Dataset, extractor: Extractor, start: int, stop: int) -> FloatArray:
    """Return the features of instances start..stop-1, where the test set follows the pool."""
    known = len(dataset.train)
    parts: list[tuple[Instances, IntArray]] = [
        (dataset.train, np.arange(start, min(stop, known))),
        (dataset.test, np.arange(max(start, known), stop) - known),
    ]
    rows = np.concatenate([extractor.features(p.take(i)) for p, i in parts if len(i)])
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        count = f"{int((~finite).sum())} of {len(rows)} {extractor.unit}"
        raise InputError(
            f"backbone={extractor.name}: its features of {count} of {dataset.name} are NaN or "
            "infinite; check the weights, and their preprocessing"
        )
    return rows


def _file_name(key: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in key)
