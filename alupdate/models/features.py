"""The base classes of backbones, and the features that frozen ones compute and keep.

A backbone maps instances to the features of the last layer. To add one, subclass ``Backbone`` (or
``CachedBackbone`` for a network that is slow) in a module of this package, and describe its
settings in ``conf/backbone/NAME.yaml``.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from typing_extensions import override

from alupdate.config.options import Option
from alupdate.config.values import SETTINGS, Flag
from alupdate.data.dataset import (
    Dataset,
    FloatArray,
    Instances,
    Kind,
    Vectors,
    fingerprint_of,
    kind_of,
)
from alupdate.data.feature_cache import Features, cached_rows, keep_shard, record_line
from alupdate.data.feature_shards import Shard
from alupdate.data.row_files import Extraction, RowsDone
from alupdate.models.end_to_end import Trainable
from alupdate.models.extractors import Chunks, Extractor, Precision, deviation
from alupdate.models.scales import standardise
from alupdate.utils.display import Display, Rate
from alupdate.utils.errors import InputError, cannot_read
from alupdate.utils.paths import cache_folder

LARGEST_DEVIATION = 0.01
"""Of features in half precision from float32, above which there is a warning."""
DEFAULT_BACKBONES = {"vectors": "identity", "images": "efficientnet_lite0", "texts": "minilm"}
"""What a message advises for each kind of data."""


@dataclasses.dataclass(frozen=True)
class Parts:
    """Instances of one kind in parts that belong together, such as a pool and its test set.

    Attributes:
        name: how to call them in messages.
        instances: of each part.
    """

    name: str
    instances: tuple[Instances, ...]

    @classmethod
    def of(cls, dataset: Dataset) -> "Parts":
        """Return pool and test set of a data set."""
        return cls(dataset.name, (dataset.train, dataset.test))

    @classmethod
    def extracted_of(cls, dataset: Dataset) -> "Parts":
        """Return the instances of which features are extracted and kept.

        Those of an instance are its own, so a disturbed data set has those of its source.
        """
        source = dataset.source
        return cls.of(dataset) if source is None else cls(dataset.name, (source.train, source.test))

    @property
    def kind(self) -> Kind:
        """What the instances are."""
        return kind_of(self.instances[0])

    @property
    def sizes(self) -> list[int]:
        """How many instances each part has."""
        return [len(part) for part in self.instances]


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Backbone(Option):
    """A feature extractor below the last layer, with its settings.

    A frozen backbone implements ``raw_features``, and ``scaled`` where they are scaled. One that is
    trained end to end implements ``trainable`` and overrides ``frozen``.

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
        ...     def raw_features(self, parts, device, cache, display):
        ...         require_kind(parts, "images", self.name)
        ...         return tuple(
        ...             np.float32([image.mean(axis=(0, 1)) for image in decoded(images)])
        ...             for images in parts.instances
        ...         )
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

    @property
    def identity(self) -> str:
        """What decides the features of an instance beside the settings, such as weights' hash.

        Raises:
            InputError: weights are missing or damaged.
        """
        return self.name

    def features(
        self, dataset: Dataset, device: torch.device, cache: Path, display: Display
    ) -> Features:
        """Return the features of a data set as the last layer sees them; for frozen backbones.

        Arguments and errors are those of ``raw_features``.
        """
        source = dataset.source
        pool, test = self.raw_features(Parts.extracted_of(dataset), device, cache, display)
        if source is not None:
            pool, test = pool[source.train_positions], test[source.test_positions]
        return self.scaled(Features(pool, test), dataset)

    def raw_features(
        self, parts: Parts, device: torch.device, cache: Path | None, display: Display
    ) -> tuple[FloatArray, ...]:
        """Return the features (N, D) of each part before any scaling; for frozen backbones.

        Those of an instance depend on nothing but that instance.

        Args:
            parts: the instances.
            device: where a network computes them.
            cache: the cache directory; None to keep nothing.
            display: shows progress.

        Raises:
            InputError: the data are of another kind, weights are missing or damaged, or the cache
                cannot be written.
        """
        raise NotImplementedError(f"backbone {self.name} has no fixed features")

    def scaled(self, features: Features, dataset: Dataset) -> Features:
        """Return the features of a data set scaled as configured; without settings, as they are.

        Raises:
            InputError: they cannot be scaled, or must be.
        """
        return features

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


@dataclass(frozen=True, config=SETTINGS, kw_only=True)
class CachedBackbone(Backbone):
    """A backbone whose frozen features are computed once for each data set, and kept on disk.

    Attributes:
        kind: of the instances that the network takes.
        precision: of the frozen network's matrix products and convolutions.
        standardise: whether fixed features are scaled to mean 0 and variance 1 on the pool.
    """

    kind: ClassVar[Kind]
    precision: Precision = "float32"
    standardise: Flag = True

    @property
    @override
    def extracts(self) -> bool:
        return self.frozen

    def extractor(self, device: torch.device) -> Extractor:
        """Return the frozen network; its weights are loaded when they are needed."""
        raise NotImplementedError

    @property
    @override
    def identity(self) -> str:
        return self.extractor(torch.device("cpu")).identity

    @override
    def raw_features(
        self, parts: Parts, device: torch.device, cache: Path | None, display: Display
    ) -> tuple[FloatArray, ...]:
        require_kind(parts, self.kind, self.name)
        return extracted(parts, self.extractor(device), cache, display, device)

    def keep_shard(
        self, parts: Parts, device: torch.device, cache: Path, display: Display, shard: Shard
    ) -> int:
        """Extract and keep the features of one shard of all parts' instances.

        Other arguments and errors are those of ``raw_features``.

        Args:
            shard: which one.

        Returns:
            How many shards are still missing; the last one joins them.
        """
        require_kind(parts, self.kind, self.name)
        extractor = self.extractor(device)
        with _place(parts, extractor, cache) as (folder, key):
            say = _recording(folder, key, display)
            extraction = _extraction(parts, extractor, device, display, say)
            return keep_shard(folder, key, extraction, shard)

    @override
    def scaled(self, features: Features, dataset: Dataset) -> Features:
        return standardise(features) if self.standardise else features


def require_kind(parts: Parts, kind: Kind, backbone: str) -> None:
    """Refuse data of another kind than a backbone takes.

    Args:
        parts: the instances.
        kind: that the backbone takes.
        backbone: its name, for the message.

    Raises:
        InputError: the data are of another kind.
    """
    if parts.kind == kind:
        return
    found: str = parts.kind
    first = parts.instances[0]
    if isinstance(first, Vectors):
        found = f"feature vectors of dimension {first.rows.shape[1]}"
    raise InputError(
        f"backbone={backbone}: needs {kind}, but {parts.name} has {found}; "
        f"use backbone={DEFAULT_BACKBONES[parts.kind]}"
    )


def extracted(
    parts: Parts,
    extractor: Extractor,
    cache: Path | None,
    display: Display,
    device: torch.device | None = None,
) -> tuple[FloatArray, ...]:
    """Return the features of each part, from the cache where they are already there.

    Args:
        parts: the instances; what the cache keeps are the features of all parts together.
        extractor: computes features that are not in the cache.
        cache: the cache directory; None to keep nothing.
        display: shows progress.
        device: of the extractor, for messages; None for the CPU.

    Raises:
        InputError: the cache cannot be written, or a feature is not finite.
    """
    where = device or torch.device("cpu")
    if cache is None:
        rows = _extraction(parts, extractor, where, display, display.say).all_rows()
    else:
        with _place(parts, extractor, cache) as (folder, key):
            say = _recording(folder, key, display)
            rows = cached_rows(folder, key, _extraction(parts, extractor, where, display, say))
    ends = np.cumsum(parts.sizes).tolist()
    return tuple(rows[end - size : end] for size, end in zip(parts.sizes, ends, strict=True))


def _recording(folder: Path, key: str, display: Display) -> Callable[[str], None]:
    """Return a function that shows a line, and keeps it in the log beside the features."""

    def say(line: str) -> None:
        record_line(folder, key, line)
        display.say(line)

    return say


def _extraction(
    parts: Parts,
    extractor: Extractor,
    device: torch.device,
    display: Display,
    say: Callable[[str], None],
) -> Extraction:
    """Return how to compute the features of all parts, with progress, a rate, and clear errors."""

    @contextmanager
    def watched(done: int, count: int, which: str) -> Iterator[RowsDone]:
        title = f"features of {parts.name} by {extractor.name}{which and f', {which}'}"
        rate = Rate(extractor.unit)
        with display.progress(title, count, done) as advance:
            yield lambda rows: advance(rows, rate.after(rows))
        if done < count:
            say(f"{title}: {rate.summary()} on {device}")

    def computed(start: int, stop: int) -> Iterator[FloatArray]:
        chunks = Chunks.between(parts.instances, start, stop, extractor.chunk)
        if chunks and extractor.precision != "float32":
            with _reading(parts, extractor):
                share = deviation(extractor, chunks[0])
            _tell_deviation(extractor, len(chunks[0]), share, display, say)
        with _reading(parts, extractor):
            for rows in extractor.stream(chunks):
                _require_finite(rows, parts, extractor)
                yield rows

    return Extraction(sum(parts.sizes), computed, watched)


@contextmanager
def _reading(parts: Parts, extractor: Extractor) -> Iterator[None]:
    """Tell errors of the system with the data or the weights apart from those with the cache.

    Raises:
        InputError: the system cannot read them.
    """
    try:
        yield
    except OSError as error:
        where = f"features of {parts.name} by {extractor.name}"
        raise cannot_read(where, error) from error


def _tell_deviation(
    extractor: Extractor, count: int, share: float, display: Display, say: Callable[[str], None]
) -> None:
    """Say how much half precision changes features, which depends on the network.

    Args:
        extractor: with that precision.
        count: of the instances that were compared.
        share: their ``deviation``; nothing is said of one that overflows, which is refused later.
        display, say: show a warning and a line.
    """
    if not np.isfinite(share):
        return
    line = (
        f"backbone.precision={extractor.precision}: features of the first {count} "
        f"{extractor.unit} differ from float32 by {share:.2%}"
    )
    say(line)
    if share > LARGEST_DEVIATION:
        other = "float16 or float32" if extractor.precision == "bfloat16" else "float32"
        display.complain(f"warning: {line}; {other} would be closer")


@contextmanager
def _place(parts: Parts, extractor: Extractor, cache: Path) -> Iterator[tuple[Path, str]]:
    """Yield the folder of the features, and the key of these.

    Raises:
        InputError: the folder cannot be used.
    """
    content = f"{fingerprint_of(*parts.instances)}|{extractor.identity}"
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    key = _file_name(f"{extractor.name}-{digest}")
    try:
        yield cache_folder(cache, "features"), key
    except OSError as error:
        reason = error.strerror or error
        place = error.filename or cache / "features"
        raise InputError(f"cache_dir: cannot use {place} ({reason})") from error


def _require_finite(rows: FloatArray, parts: Parts, extractor: Extractor) -> None:
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        count = f"{int((~finite).sum())} of {len(rows)} {extractor.unit}"
        remedy = "check the weights, and their preprocessing"
        if extractor.precision == "float16":
            remedy = "use backbone.precision=bfloat16 or float32, whose range is larger"
        raise InputError(
            f"backbone={extractor.name}: its features of {count} of {parts.name} are NaN or "
            f"infinite; {remedy}"
        )


def _file_name(key: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in key)
