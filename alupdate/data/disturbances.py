"""Realistic data: rare classes, instances that nobody can label, repetitions and wrong labels.

They are added to any data set, in this order: outliers and the long tail, which choose among the
instances that are there; then duplicates, which repeat what is left, outliers as well; then wrong
labels, so that a copy may be labelled otherwise than its original. All numbers are exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PlainValidator
from pydantic.dataclasses import dataclass as checked_dataclass

from alupdate.config.values import DISTURBANCES, NO_LABEL, SETTINGS, ClassName, Flag, Natural
from alupdate.data.labels import few, shortened
from alupdate.utils.errors import InputError, suggestion
from alupdate.utils.seeds import Stream, generator

_IntArray = NDArray[np.int64]
Ratio = Annotated[float, Field(strict=True, ge=1, le=1e6)]
PartOfPool = Annotated[float, Field(strict=True, ge=0, lt=1)]
"""A share that may be 0, for none."""
PartRepeated = Annotated[float, Field(strict=True, ge=0, le=0.99)]
"""The pool grows by 1 / (1 - share): a hundred times at most."""


def _classes(value: object) -> int | tuple[str, ...] | None:
    """One message for all alternatives."""
    if value is None or (type(value) is int and value >= 1):
        return value
    if isinstance(value, list | tuple) and value and all(type(v) in (int, str) for v in value):
        return tuple(str(name) for name in value)
    raise ValueError("must be a number of classes of at least 1, a list of their names, or null")


OutlierClasses = Annotated[int | tuple[ClassName, ...] | None, PlainValidator(_classes)]


class DrawnPart(IntEnum):
    """What is drawn from the seed of the disturbances; the values number its random streams."""

    CLASSES = 0
    INSTANCES = 1
    TEST_INSTANCES = 2
    DUPLICATES = 3
    LABELS = 4
    PROBE = 5


@checked_dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Disturbances:
    """What makes a data set less clean than benchmarks are; the defaults leave it as it is.

    Attributes:
        imbalance: how many times the largest class is larger than the smallest one.
        imbalance_test: whether the test set is thinned like the pool.
        label_noise: share of the pool's labels that are wrong; labels of the test set are true.
        label_noise_kind: wrong labels are drawn uniformly from all other classes, or as a linear
            probe confuses them.
        outliers: share of the pool that instances make which nobody can label.
        outlier_classes: the classes of these, or how many; None for as few as have enough.
        duplicates: share of the pool that repetitions of other instances of it make.
        disturbance_seed: decides all of these, whatever the run's seed.
    """

    KEYS: ClassVar[tuple[str, ...]] = tuple(DISTURBANCES)
    imbalance: Ratio = 1.0
    imbalance_test: Flag = False
    label_noise: PartOfPool = 0.0
    label_noise_kind: Literal["symmetric", "confusion"] = "symmetric"
    outliers: PartOfPool = 0.0
    outlier_classes: OutlierClasses = None
    duplicates: PartRepeated = 0.0
    disturbance_seed: Natural = 0

    @property
    def disturbed_by(self) -> tuple[str, ...]:
        """The keys that change the data set."""
        clean = Disturbances()
        return tuple(key for key in self.KEYS if getattr(self, key) != getattr(clean, key))

    @property
    def disturbance_label(self) -> str:
        """What follows the name of the data set, such as ``_imbalance50``; empty for nothing."""
        marks = {"label_noise": self.label_noise_kind == "confusion"}
        parts = (
            f"_{DISTURBANCES[key]}{getattr(self, key):g}" + ("confusion" if marks.get(key) else "")
            for key in self.disturbed_by
        )
        return "".join(parts)

    def require_use(self) -> None:
        """Refuse settings of disturbances that are not asked for.

        Raises:
            InputError: they have no effect.
        """
        needs = {
            "imbalance_test": "imbalance",
            "label_noise_kind": "label_noise",
            "outlier_classes": "outliers",
        }
        clean = Disturbances()
        for key, needed in needs.items():
            if getattr(self, key) != getattr(clean, key) and needed not in self.disturbed_by:
                raise InputError(
                    f"dataset.{key}: has no effect without dataset.{needed}; give that, too"
                )

    def generator_of(self, part: DrawnPart) -> np.random.Generator:
        """Return the random numbers of one part."""
        return generator(self.disturbance_seed, Stream.DISTURBANCE, int(part))


@dataclass(frozen=True)
class DisturbedParts:
    """Which instances a disturbed data set has.

    Attributes:
        pool: (N,), positions in the pool as it was; those behind the first ones repeat some.
        labels: (N,), indices of ``classes``, some of them wrong; NO_LABEL for outliers.
        true_labels: (N,), likewise, none of them wrong.
        test, test_labels: (T,), likewise, without wrong labels and outliers.
        classes: the names of those that can be given.
        notes: what was done, with numbers, a line each.
    """

    pool: _IntArray
    labels: _IntArray
    true_labels: _IntArray
    test: _IntArray
    test_labels: _IntArray
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def tail_counts(counts: _IntArray, ratio: float) -> _IntArray:
    """Return how many instances (C,) of each class a long tail keeps.

    The r-th class keeps n ratio^(-r / (C - 1)) of them, rounded, where n is the size of the largest
    class: one at least, and never more than there are.

    Args:
        counts: (C,), instances of the classes, in the order of the tail.
        ratio: of the largest class to the smallest.

    Example:
        >>> tail_counts(np.array([100, 100, 100, 4]), 8.0).tolist()
        [100, 50, 25, 4]
    """
    places = np.arange(len(counts)) / max(1, len(counts) - 1)
    wanted = np.rint(counts.max(initial=0) * ratio**-places).astype(np.int64)
    kept: _IntArray = np.minimum(np.maximum(wanted, 1), counts)
    return kept


def number_of(share: float, others: int) -> int:
    """Return how many instances make a share of a pool that has so many others, rounded.

    Example:
        >>> number_of(0.25, 300)
        100
    """
    return round(share * others / (1 - share))


def disturbed_parts(
    settings: Disturbances, labels: _IntArray, test_labels: _IntArray, classes: Sequence[str]
) -> DisturbedParts:
    """Return the instances of a disturbed data set.

    All classes get one random order. The long tail follows it, and the classes of outliers are the
    last ones in it where they are not named. The instances of pool and test set get a random order
    each, and of any class the first ones in it are kept, so that of two ratios the larger one keeps
    a part of what the smaller one keeps. Wrong labels by confusion are left to ``wrong_labels``.

    Args:
        settings: what is asked for.
        labels: (N,), class indices of the pool.
        test_labels: (T,), of the test set.
        classes: the C names.

    Raises:
        InputError: there are not enough classes or instances.
    """
    settings.require_use()
    order = settings.generator_of(DrawnPart.CLASSES).permutation(len(classes))
    counts, there = (np.bincount(part, minlength=len(classes)) for part in (labels, test_labels))
    kept, outside = _split_classes(settings, order, counts, classes)
    wanted, test_wanted = np.zeros_like(counts), np.zeros_like(there)
    wanted[kept] = tail_counts(counts[kept], settings.imbalance)
    test_wanted[kept] = tail_counts(
        there[kept], settings.imbalance if settings.imbalance_test else 1
    )
    pool = _pool(settings, labels, wanted, outside)
    test = _first_of_each(test_labels, test_wanted, settings.generator_of(DrawnPart.TEST_INSTANCES))
    if not len(test):
        raise InputError(
            f"dataset.outlier_classes={_named(outside, classes)}: no test instance is of another "
            "class; take others"
        )
    numbers = np.full(len(classes), NO_LABEL, np.int64)
    numbers[np.sort(kept)] = np.arange(len(kept))
    found = truth = numbers[labels[pool]]
    copies = len(pool) - len(np.unique(pool))
    notes = _notes(settings, found, copies, _tail(wanted, order, classes), _named(outside, classes))
    if settings.label_noise and settings.label_noise_kind == "symmetric":
        found, note = wrong_labels(settings, found, np.ones((len(kept), len(kept))))
        notes.append(note)
    names = tuple(classes[i] for i in np.sort(kept))
    of_test = numbers[test_labels[test]]
    return DisturbedParts(pool, found, truth, test, of_test, names, tuple(notes))


def _pool(
    settings: Disturbances, labels: _IntArray, wanted: _IntArray, outside: _IntArray
) -> _IntArray:
    """Return the positions of the pool's instances, the duplicates last.

    Args:
        settings: the shares of outliers and duplicates.
        labels: (N,), class indices.
        wanted: (C,), how many instances of each class are kept.
        outside: the classes of outliers.
    """
    known = _first_of_each(labels, wanted, settings.generator_of(DrawnPart.INSTANCES))
    order = settings.generator_of(DrawnPart.INSTANCES).permutation(len(labels))
    strange = order[np.isin(labels[order], outside)][: number_of(settings.outliers, len(known))]
    once = np.sort(np.concatenate([known, strange]))
    copies = settings.generator_of(DrawnPart.DUPLICATES).integers(
        len(once), size=number_of(settings.duplicates, len(once))
    )
    return np.concatenate([once, once[copies]])


def wrong_labels(
    settings: Disturbances, labels: _IntArray, confusion: NDArray[np.float64]
) -> tuple[_IntArray, str]:
    """Return labels (N,) of which a share is wrong, and a note that counts these.

    Which labels are wrong is drawn first, and is the same for every confusion.

    Args:
        settings: the share, and the seed.
        labels: (N,), true class indices, NO_LABEL for outliers, which are no part of the share.
        confusion: (C, C), in row i weights of the classes that i is taken for; the diagonal does
            not count.
    """
    rng = settings.generator_of(DrawnPart.LABELS)
    known = np.flatnonzero(labels != NO_LABEL)
    chosen = np.sort(rng.permutation(known)[: round(settings.label_noise * len(known))])
    weights = confusion[labels[chosen]]
    weights[np.arange(len(chosen)), labels[chosen]] = 0
    edges = weights.cumsum(axis=1)
    points = rng.random(len(chosen))[:, None] * edges[:, -1:]
    noisy = labels.copy()
    noisy[chosen] = (edges <= points).sum(axis=1)
    kind = settings.label_noise_kind
    return noisy, f"{len(chosen)} of {len(known)} labels of the pool are wrong ({kind})"


def _split_classes(
    settings: Disturbances, order: _IntArray, counts: _IntArray, classes: Sequence[str]
) -> tuple[_IntArray, _IntArray]:
    """Return the classes that stay, in the order of the tail, and those of outliers.

    Raises:
        InputError: there are no such classes, or they have not enough instances.
    """
    if not settings.outliers:
        return order, order[:0]
    if len(classes) < 3:
        raise InputError(
            f"dataset.outliers={settings.outliers:g}: leaves a class out and needs two more; there "
            f"are {len(classes)}"
        )
    asked = settings.outlier_classes
    if isinstance(asked, tuple):
        chosen = np.isin(order, [_number(name, classes) for name in asked])
        splits = [(order[~chosen], order[chosen])]
    else:
        numbers = range(1, len(order) - 1) if asked is None else [asked]
        splits = [(order[:-number], order[-number:]) for number in numbers]
    most = 0.0
    for kept, outside in splits:
        if np.count_nonzero(counts[kept]) < 2:
            continue
        others = int(tail_counts(counts[kept], settings.imbalance).sum())
        there = int(counts[outside].sum())
        if there >= number_of(settings.outliers, others):
            return kept, outside
        most = max(most, there / (there + others))
    if not most:
        raise InputError(
            "dataset.outlier_classes: fewer than two classes with instances in the pool are left "
            f"of {len(classes)}; take fewer"
        )
    raise InputError(
        f"dataset.outliers={settings.outliers:g}: too few instances are of classes left out; "
        f"the share can be {np.floor(1000 * most) / 1000:g} at most"
    )


def _number(name: str, classes: Sequence[str]) -> int:
    if name not in classes:
        raise InputError(
            f"dataset.outlier_classes: there is no class {shortened(name)}; "
            f"{suggestion(name, classes)}classes: {few(classes)}"
        )
    return list(classes).index(name)


def _first_of_each(labels: _IntArray, wanted: _IntArray, rng: np.random.Generator) -> _IntArray:
    """Return the positions, ascending, of the first ``wanted`` (C,) of each class at random."""
    order = rng.permutation(len(labels))
    kept = [order[labels[order] == c][:count] for c, count in enumerate(wanted.tolist()) if count]
    return np.sort(np.concatenate([order[:0], *kept]))


def _tail(wanted: _IntArray, order: _IntArray, classes: Sequence[str]) -> str:
    """Return the classes with the numbers that are kept of them (C,), the largest first."""
    return few([f"{classes[c]}: {wanted[c]}" for c in order.tolist() if wanted[c]])


def _notes(
    settings: Disturbances, labels: _IntArray, copies: int, tail: str, outside: str
) -> list[str]:
    """Return what was done to the instances of the pool, with numbers.

    Args:
        settings: what was asked for.
        labels: (N,), of the pool.
        copies: how many instances repeat others.
        tail: the classes and how many of each were kept.
        outside: the classes of outliers.
    """
    count, outliers = len(labels), int((labels == NO_LABEL).sum())
    part = "pool and test set" if settings.imbalance_test else "pool"
    notes = {
        "imbalance": f"long tail in the {part}; instances of the pool by class: {tail}",
        "outliers": f"{outliers} of {count} instances of the pool are outliers, which nobody can "
        f"label; classes left out: {outside}",
        "duplicates": f"{copies} of {count} instances of the pool repeat others of it",
    }
    return [note for key, note in notes.items() if key in settings.disturbed_by]


def _named(numbers: _IntArray, classes: Sequence[str]) -> str:
    return few([classes[i] for i in np.sort(numbers)])
