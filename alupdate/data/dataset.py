"""Data sets: instances with labels, the options that read them, and the checks all must pass."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as checked_dataclass
from typing_extensions import override

from alupdate.config.options import Option
from alupdate.config.values import SETTINGS, Count
from alupdate.data.disturbances import Disturbances, disturbed_parts
from alupdate.data.labels import (
    absence_notes,
    check_labels,
    class_indices,
    known_labels,
    label_notes,
)
from alupdate.data.numbers import as_features
from alupdate.data.splits import random_part
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]
Digests = NDArray[np.void]
"""One digest of DIGEST_SIZE bytes per instance; equal digests stand for equal content."""
Kind = Literal["images", "vectors", "texts"]
DIGEST_SIZE = 16


class Instances(Protocol):
    """N instances of one kind, in a fixed order."""

    def __len__(self) -> int:
        """Return N."""
        ...

    def digests(self) -> Digests:
        """Return a digest of each instance's content (N,)."""
        ...

    def take(self, positions: IntArray) -> Self:
        """Return the instances at these positions, in their order."""
        ...


@runtime_checkable
class Images(Instances, Protocol):
    """Images, in memory or on disk."""

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """(H, W, channels) if all images agree in it, otherwise None."""
        ...

    def __getitem__(self, position: int) -> NDArray[np.uint8]:
        """Return one image (H, W, channels)."""
        ...


@dataclass(frozen=True)
class Vectors(Instances):
    """Feature vectors in memory, or mapped from a file.

    Attributes:
        rows: (N, D).
        columns: what the D features are called; empty where they have no names.
    """

    rows: FloatArray
    columns: tuple[str, ...] = ()

    @override
    def __len__(self) -> int:
        return len(self.rows)

    @override
    def digests(self) -> Digests:
        return _digests_of_rows(self.rows)

    @override
    def take(self, positions: IntArray) -> "Vectors":
        return Vectors(self.rows[positions], self.columns)


@dataclass(frozen=True)
class ArrayImages(Images):
    """Images of one size in memory.

    Attributes:
        rows: (N, H, W, channels).
    """

    rows: NDArray[np.uint8]

    @override
    def __len__(self) -> int:
        return len(self.rows)

    @property
    @override
    def shape(self) -> tuple[int, int, int] | None:
        height, width, channels = self.rows.shape[1:]
        return height, width, channels

    @override
    def __getitem__(self, position: int) -> NDArray[np.uint8]:
        image: NDArray[np.uint8] = self.rows[position]
        return image

    @override
    def digests(self) -> Digests:
        return _digests_of_rows(self.rows)

    @override
    def take(self, positions: IntArray) -> "ArrayImages":
        return ArrayImages(self.rows[positions])


@dataclass(frozen=True)
class Texts(Instances):
    """N texts."""

    strings: tuple[str, ...]

    @override
    def __len__(self) -> int:
        return len(self.strings)

    @override
    def digests(self) -> Digests:
        return as_digests(digest(text.encode()) for text in self.strings)

    @override
    def take(self, positions: IntArray) -> "Texts":
        return Texts(tuple(self.strings[i] for i in positions))


@dataclass(frozen=True)
class Source:
    """Where the instances of a disturbed data set come from, so that features are shared.

    Attributes:
        train, test: pool and test set as they were.
        train_positions, test_positions: (N,), (T,), of the instances in these.
    """

    train: Instances
    test: Instances
    train_positions: IntArray
    test_positions: IntArray


@dataclass(frozen=True)
class Dataset:
    """A pool to choose from and a test set.

    Attributes:
        name: as shown in tables and figures.
        train: the pool's instances; ``train`` and ``test`` are of one kind.
        train_labels: (N,), class indices 0..C-1; NO_LABEL where nobody can give a label.
        test, test_labels: the same for the T test instances.
        classes: the C class names.
        notes: what a user should know about the data, a line each.
        source: where the instances come from, if they are some of a larger data set.
        true_labels: (N,), like ``train_labels``, where some of these are wrong.
        originals: (N,), equal numbers for repetitions of one instance, where there are any.
    """

    name: str
    train: Instances
    train_labels: IntArray
    test: Instances
    test_labels: IntArray
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    source: Source | None = None
    true_labels: IntArray | None = None
    originals: IntArray | None = None

    @property
    def kind(self) -> Kind:
        """What the instances are."""
        return kind_of(self.train)

    def fingerprint(self) -> str:
        """Return a SHA-256 over all instances (the labels do not enter features)."""
        return fingerprint_of(self.train, self.test)

    def reduced(self, n_train: int | None, n_test: int | None) -> "Dataset":
        """Return a data set with random parts of pool and test set; the classes stay.

        Notes that count instances are those of what is left.

        Raises:
            InputError: there are fewer instances, or those of one class only are left.
        """
        if n_train is None and n_test is None:
            return self
        smaller = replace(self, source=None)
        if n_train is not None:
            kept = random_part(len(self.train), n_train, "dataset.n_train")
            smaller = replace(
                smaller, train=self.train.take(kept), train_labels=self.train_labels[kept]
            )
        if n_test is not None:
            kept = random_part(len(self.test), n_test, "dataset.n_test")
            smaller = replace(
                smaller, test=self.test.take(kept), test_labels=self.test_labels[kept]
            )
        left = np.unique(smaller.train_labels)
        if len(left) < 2:
            raise InputError(
                f"dataset.n_train={n_train}: leaves one class only ({self.classes[left[0]]}) of "
                f"{len(self.classes)} in the pool; take more instances"
            )
        return replace(smaller, notes=self._notes_of(smaller))

    def disturbed(self, settings: Disturbances) -> "Dataset":
        """Return the data set as it is with rare classes, outliers, duplicates and wrong labels.

        Wrong labels by confusion need features, and are left to ``wrong_labels``.

        Raises:
            InputError: there are not enough classes or instances.
        """
        settings.require_use()
        if not settings.disturbed_by:
            return self
        parts = disturbed_parts(settings, self.train_labels, self.test_labels, self.classes)
        other = replace(
            self,
            train_labels=parts.labels,
            test_labels=parts.test_labels,
            classes=parts.classes,
            true_labels=parts.true_labels if settings.label_noise else None,
            originals=parts.pool if settings.duplicates else None,
        )
        if not (_is_all(parts.pool, self.train) and _is_all(parts.test, self.test)):
            other = replace(
                other,
                train=self.train.take(parts.pool),
                test=self.test.take(parts.test),
                source=Source(self.train, self.test, parts.pool, parts.test),
            )
        return replace(other, notes=(*self._notes_of(other), *parts.notes))

    def _notes_of(self, other: "Dataset") -> tuple[str, ...]:
        """Return the notes on a part of this data set: those that count are on what is left."""
        former = _counts(self)
        return (*(note for note in self.notes if note not in former), *_counts(other))


def _is_all(positions: IntArray, instances: Instances) -> bool:
    """Return whether positions are those of all instances, in their order."""
    return np.array_equal(positions, np.arange(len(instances)))


def kind_of(instances: Instances) -> Kind:
    """Return what instances are."""
    if isinstance(instances, Vectors):
        return "vectors"
    return "texts" if isinstance(instances, Texts) else "images"


def fingerprint_of(*parts: Instances) -> str:
    """Return a SHA-256 over all instances of parts that belong together."""
    content = hashlib.sha256(kind_of(parts[0]).encode())
    for part in parts:
        content.update(f"{len(part)}".encode())
        content.update(part.digests().tobytes())
    return content.hexdigest()


@checked_dataclass(frozen=True, config=SETTINGS, kw_only=True)
class DatasetOption(Disturbances, Option, ABC):
    """An option of the config group ``dataset``: which data set, and where it is read from.

    A subclass names itself in ``name``, declares its settings as fields, and implements ``read``.

    Attributes:
        places: settings that say where the data are; a run's identity has ``digest`` instead.
        n_train: how many instances of the pool are kept, at random; None for all.
        n_test: the same for the test set.

    Example:
        >>> from pathlib import Path
        >>> from alupdate.data.arrays import Digits
        >>> from alupdate.utils.display import Display
        >>> dataset = Digits(n_train=100).load(Path("cache"), Display(enabled=False))
        >>> len(dataset.train), len(dataset.test), dataset.kind
        (100, 500, 'images')
    """

    group: ClassVar[str] = "dataset"
    places: ClassVar[frozenset[str]] = frozenset()
    n_train: Count | None = None
    n_test: Count | None = None

    @property
    @override
    def display_name(self) -> str:
        return super().display_name + self.disturbance_label

    def load(self, cache: Path, display: Display) -> Dataset:
        """Return the data set, reduced to ``n_train`` and ``n_test`` instances, then disturbed.

        What is kept and disturbed is the same for every seed of a run.

        Args:
            cache: the cache directory, for downloads and the index of image files.
            display: shows progress.

        Raises:
            InputError: settings contradict each other, the data are missing or malformed, or there
                are fewer instances.
        """
        self.check()
        whole = self.read(cache, display).reduced(self.n_train, self.n_test)
        return whole.disturbed(self)

    @abstractmethod
    def read(self, cache: Path, display: Display) -> Dataset:
        """Return the whole data set; arguments and errors are those of ``load``."""

    def digest(self, cache: Path, display: Display) -> str | None:
        """Return a SHA-256 of the user's own data, or None where the settings determine the data.

        It is part of a run's identity: a file that changed is another data set, and a file that
        moved is not.

        Args:
            cache: the cache directory, for the index of image files.
            display: shows progress.

        Raises:
            InputError: a file is missing.
        """
        return None


def make_dataset(
    name: str,
    train: Instances,
    train_labels: NDArray[Any],
    test: Instances,
    test_labels: NDArray[Any],
    where: str,
) -> Dataset:
    """Check instances and labels, and bring the labels into the form of ``Dataset``.

    Labels may be any integers or strings; classes are sorted.

    Args:
        where: how to call the source in an error message, such as ``dataset.path=F``.

    Raises:
        InputError: a part is empty, its labels are not one per instance, there is one class only,
            or the test set has a class that the pool lacks.
    """
    for part, rows, labels in (("train", train, train_labels), ("test", test, test_labels)):
        check_labels(where, part, len(rows), labels)
    train_labels, test_labels = known_labels(train_labels, test_labels)
    classes, train_ids, test_ids = class_indices(where, train_labels, test_labels)
    dataset = Dataset(
        name=name,
        train=train,
        train_labels=train_ids,
        test=test,
        test_labels=test_ids,
        classes=tuple(str(label) for label in classes),
    )
    return replace(dataset, notes=(*_counts(dataset), *label_notes(classes)))


def from_arrays(
    name: str,
    train: NDArray[Any],
    train_labels: NDArray[Any],
    test: NDArray[Any],
    test_labels: NDArray[Any],
    where: str,
    columns: tuple[str, ...] = (),
) -> Dataset:
    """Return a data set of raw arrays named X_train, y_train, X_test and y_test.

    Rows are images if they are uint8 with 3 or 4 axes, and vectors otherwise (further axes are
    flattened).

    Args:
        columns: what the features are called, where rows are vectors.

    Raises:
        InputError: shapes differ, values are not finite numbers, or as ``make_dataset``.

    Example:
        >>> rows, labels = np.arange(12.0).reshape(6, 2), np.array(["a", "b"] * 3)
        >>> from_arrays("mine", rows, labels, rows + 0.5, labels, "my arrays").classes
        ('a', 'b')
    """
    pool, held_out, notes = instances_of_arrays(train, test, where, columns)
    assert held_out is not None
    dataset = make_dataset(name, pool, train_labels, held_out, test_labels, where)
    return replace(dataset, notes=(*notes, *dataset.notes))


def instances_of_arrays(
    train: NDArray[Any], test: NDArray[Any] | None, where: str, columns: tuple[str, ...] = ()
) -> tuple[Instances, Instances | None, list[str]]:
    """Return the instances of raw arrays named X_train and, if there is one, X_test, and notes.

    Rows are images or vectors, and errors are, as ``from_arrays`` says.
    """
    parts = {"train": np.asarray(train)} | ({} if test is None else {"test": np.asarray(test)})
    for part, rows in parts.items():
        _check_rows(where, part, rows)
    shapes = {part: rows.shape[1:] for part, rows in parts.items()}
    if len(set(shapes.values())) > 1:
        raise InputError(
            f"{where}: instances have shape {shapes['train']} in train and {shapes['test']} in "
            "test; they must agree"
        )
    if all(rows.dtype == np.uint8 and rows.ndim in (3, 4) for rows in parts.values()):
        images = [_as_images(rows) for rows in parts.values()]
        return images[0], images[1] if len(images) > 1 else None, []
    found = [
        as_features(rows.reshape(len(rows), -1), f"{where}: X_{part}", columns)
        for part, rows in parts.items()
    ]
    vectors = [Vectors(features, columns) for features, _ in found]
    return vectors[0], vectors[1] if len(vectors) > 1 else None, found[0][1]


def _check_rows(where: str, part: str, rows: NDArray[Any]) -> None:
    if rows.ndim < 2:
        raise InputError(f"{where}: X_{part} has {rows.ndim} axes; it must be (N, D) or images")
    if rows.size == 0:
        raise InputError(f"{where}: X_{part} is empty")
    if rows.dtype.kind not in "fiub":
        raise InputError(f"{where}: X_{part} holds {rows.dtype}; it must hold numbers")
    if rows.dtype.kind == "f":
        finite = np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
        if not finite.all():
            first = int(np.argmin(finite))
            count = int((~finite).sum())
            raise InputError(
                f"{where}: X_{part} has NaN or infinite values in {count} rows, the first is row "
                f"{first}; remove or fill them"
            )


def _counts(dataset: Dataset) -> list[str]:
    """Say which classes are never seen or tested, and how many test instances are in the pool."""
    notes = absence_notes(dataset.classes, dataset.train_labels, dataset.test_labels)
    shared = int(np.isin(dataset.test.digests(), dataset.train.digests()).sum())
    if shared:
        notes.append(
            f"{shared} of {len(dataset.test)} test instances are in the pool, too (exact copies)"
        )
    return notes


def _as_images(rows: NDArray[np.uint8]) -> Images:
    return ArrayImages(rows if rows.ndim == 4 else rows[..., None])


def digest(content: Any) -> bytes:
    """Return the digest of one instance's bytes."""
    return hashlib.blake2b(content, digest_size=DIGEST_SIZE).digest()


def as_digests(digests: Iterable[bytes]) -> Digests:
    """Return digests as one array; trailing zero bytes are kept, unlike in an array of strings."""
    return np.frombuffer(b"".join(digests), dtype=f"V{DIGEST_SIZE}")


def _digests_of_rows(rows: NDArray[Any]) -> Digests:
    """Digest each row with its shape and type, so that a reshaped array is another instance."""
    kind = f"{rows.shape[1:]}{rows.dtype}".encode()
    return as_digests(digest(kind + np.ascontiguousarray(row).tobytes()) for row in rows)
