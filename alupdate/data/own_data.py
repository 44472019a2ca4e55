"""Your own data, of which some instances are labelled: what people label, and predict on."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as checked_dataclass
from typing_extensions import override

from alupdate.config.values import SETTINGS, ClassName, PathText
from alupdate.data.dataset import Dataset, DatasetOption, Instances, IntArray, make_dataset
from alupdate.data.label_merge import Conflict, MergedLabels, merge_labels
from alupdate.data.label_studio_matching import with_instances
from alupdate.data.labels import (
    absence_notes,
    as_strings,
    integers_if_all,
    label_notes,
    shortened,
)
from alupdate.data.labels_file import read_labels_file
from alupdate.data.splits import random_part, stratified_split
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError, suggestion
from alupdate.utils.files import file_digest

PARTLY = "; task=suggest, task=label and task=serve take pools without labels"
"""What a simulation says where it meets an instance without a label."""


@dataclass(frozen=True)
class PartlyLabelled:
    """A pool of which some instances are labelled, and perhaps a test set.

    Attributes:
        name: as shown in tables and figures.
        pool: the P instances.
        names: what each is called in files: its path, its row, or its cell in a named column.
        indices: (N,), the labelled instances, in the order of labelling.
        labels: (N,), their class indices 0..C-1.
        skipped: (S,), instances that nobody could or wanted to label.
        classes: the C class names, sorted; those of the labels, or the declared ones.
        declared: whether other classes than these are refused.
        test: the T instances of the test set; None where there is none.
        test_labels: (T,), their class indices; None where there is no test set or it has no labels.
        notes: what a user should know about the data, a line each.
        labels_file: the labels file that was read; None where there is none.
        absent: names of instances of the data that are left out.
    """

    name: str
    pool: Instances
    names: tuple[str, ...]
    indices: IntArray
    labels: IntArray
    skipped: IntArray
    classes: tuple[str, ...]
    declared: bool
    test: Instances | None = None
    test_labels: IntArray | None = None
    notes: tuple[str, ...] = ()
    labels_file: str | None = None
    absent: frozenset[str] = frozenset()

    def reduced(self, n_train: int | None, n_test: int | None) -> "PartlyLabelled":
        """Return the same random parts of pool and test set as ``Dataset.reduced``.

        Raises:
            InputError: there are fewer instances.
        """
        smaller = self
        if n_train is not None:
            smaller = self._part(random_part(len(self.pool), n_train, "dataset.n_train"))
        if n_test is not None and self.test is not None:
            kept = random_part(len(self.test), n_test, "dataset.n_test")
            labels = None if self.test_labels is None else self.test_labels[kept]
            smaller = replace(smaller, test=self.test.take(kept), test_labels=labels)
        return smaller

    def _part(self, kept: IntArray) -> "PartlyLabelled":
        places = np.full(len(self.pool), -1, np.int64)
        places[kept] = np.arange(len(kept))
        stays = places[self.indices] >= 0
        skipped = places[self.skipped]
        lost = int((~stays).sum())
        note = f"dataset.n_train={len(kept)}: leaves out {lost} labelled instances"
        return replace(
            self,
            pool=self.pool.take(kept),
            names=tuple(self.names[i] for i in kept.tolist()),
            indices=places[self.indices[stays]],
            labels=self.labels[stays],
            skipped=skipped[skipped >= 0],
            notes=(*self.notes, note) if lost else self.notes,
            absent=self.absent.union(np.delete(np.array(self.names, object), kept)),
        )


@dataclass(frozen=True)
class OwnInstances:
    """The instances of a source with the labels that it holds itself.

    Attributes:
        where: how to call the source in an error message.
        pool: the P instances.
        names: (P,), what each is called in a labels file.
        labels: (P,), the names of their classes; None for none.
        integers: whether classes that are all integers are sorted as integers.
        test: the T instances of the test set; None where there is none.
        test_labels: (T,), the names of their classes; None where the test set has no labels.
        labels_file: the labels file that goes with the source where no other is named.
        unread: names of instances that are left out since they cannot be read.
        notes: what a user should know about the source, a line each.
    """

    where: str
    pool: Instances
    names: tuple[str, ...]
    labels: Sequence[str | None]
    integers: bool = True
    test: Instances | None = None
    test_labels: Sequence[str] | None = None
    labels_file: str | None = None
    unread: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


@checked_dataclass(frozen=True, config=SETTINGS, kw_only=True)
class OwnData(DatasetOption, ABC):
    """A data set that the user brings; its instances may lack labels.

    Attributes:
        labels: a file of labels, with the columns instance and label; later rows are newer.
        classes: the names of all classes; None for those of the labels.
        on_conflict: what is done with two different labels of one instance.
    """

    labels: PathText | None = None
    classes: tuple[ClassName, ...] | None = None
    on_conflict: Conflict = "error"

    @override
    def check(self) -> None:
        super().check()
        if self.classes is None:
            return
        if len(self.classes) < 2:
            raise InputError(f"dataset.classes=[{', '.join(self.classes)}]: need two or more")
        twice = [name for name in self.classes if self.classes.count(name) > 1]
        if twice:
            raise InputError(f"dataset.classes: {shortened(twice[0])} is there twice; remove one")

    @abstractmethod
    def instances(self, cache: Path, display: Display) -> OwnInstances:
        """Return all instances with the labels that the data themselves hold.

        Args:
            cache: the cache directory, for the index of image files.
            display: shows progress.

        Raises:
            InputError: the data are missing or malformed.
        """

    @abstractmethod
    def read_labelled(self, cache: Path, display: Display) -> Dataset:
        """Return the whole data set where the data themselves hold all labels and classes.

        Arguments and errors are those of ``load``.
        """

    @abstractmethod
    def digest_of_data(self, cache: Path, display: Display) -> str:
        """Return a SHA-256 of the data without the labels file; arguments as ``digest``."""

    def labels_beside(self) -> Path | None:
        """Return the labels file that lies with the data, where one is read unasked."""
        return None

    def held_out(self) -> float | None:
        """Return which share of every class a simulation tests on where there is no test set."""
        return None

    @override
    def digest(self, cache: Path, display: Display) -> str:
        data = self.digest_of_data(cache, display)
        if self.labels is None:
            return data
        labels = file_digest("dataset.labels", self.labels)
        return hashlib.sha256(f"{data}{labels}".encode()).hexdigest()

    def partly_labelled(self, cache: Path, display: Display) -> PartlyLabelled:
        """Return the pool with the labels that there are.

        The classes are the declared ones, or those of the labels in pool and test set.

        Args:
            cache: the cache directory, for the index of image files.
            display: shows progress.

        Raises:
            InputError: the data or the labels are missing or malformed.
        """
        self.check()
        own = self.instances(cache, display)
        merged = self._merged(own, own.labels_file)
        test_labels = own.test_labels
        classes = self._classes({*merged.labels, *(test_labels or ())}, own)
        numbers = {name: i for i, name in enumerate(classes)}
        found = PartlyLabelled(
            name=self.display_name,
            pool=own.pool,
            names=own.names,
            indices=merged.indices,
            labels=_numbered(merged.labels, numbers),
            skipped=merged.skipped,
            classes=classes,
            declared=self.classes is not None,
            test=own.test,
            test_labels=None if test_labels is None else _numbered(test_labels, numbers),
            notes=(*own.notes, *merged.notes, *label_notes(as_strings(classes))),
            labels_file=self.labels or own.labels_file,
            absent=own.unread,
        )
        return found.reduced(self.n_train, self.n_test)

    @override
    def read(self, cache: Path, display: Display) -> Dataset:
        if self.labels is None and self.classes is None:
            return self.read_labelled(cache, display)
        own = self.instances(cache, display)
        merged = self._merged(own, None)
        missing = len(own.pool) - len(merged.indices)
        if missing and (self.labels is None or not len(merged.indices)):
            raise InputError(f"{own.where}: {missing} instances have no label{PARTLY}")
        order = np.argsort(merged.indices)
        kept = merged.indices[order]
        labels = as_strings([merged.labels[i] for i in order.tolist()])
        dataset = self._with_test_set(own, own.pool.take(kept), labels)
        left = (f"{missing} of {len(own.pool)} instances have no label: left out",)
        notes = (*own.notes, *merged.notes, *(left if missing else ()))
        dataset = replace(dataset, notes=(*notes, *dataset.notes))
        return dataset if self.classes is None else _in_classes(dataset, self._classes((), own))

    def _with_test_set(self, own: OwnInstances, pool: Instances, labels: NDArray[Any]) -> Dataset:
        """Return the data set of labelled instances (N,) and the test set, or a share held out."""
        if own.test is None:
            share = self.held_out()
            if share is None:
                raise InputError(f"{own.where}: has no test set{PARTLY}")
            (labels,) = integers_if_all(labels) if own.integers else (labels,)
            kept, held_out = stratified_split(labels, share, own.where)
            pool, test = pool.take(kept), pool.take(held_out)
            labels, test_labels = labels[kept], labels[held_out]
        elif own.test_labels is None:
            raise InputError(f"{own.where}: the test set has no labels{PARTLY}")
        else:
            test, test_labels = own.test, as_strings(own.test_labels)
            if own.integers:
                labels, test_labels = integers_if_all(labels, test_labels)
        return make_dataset(self.display_name, pool, labels, test, test_labels, own.where)

    def _classes(self, found: Iterable[str], own: OwnInstances) -> tuple[str, ...]:
        """Return the declared classes, or else those that were found, sorted."""
        names = as_strings(list(found) if self.classes is None else self.classes)
        (sortable,) = integers_if_all(names) if own.integers else (names,)
        return tuple(str(name) for name in np.unique(sortable))

    def _merged(self, own: OwnInstances, beside: str | None) -> MergedLabels:
        """Return the labels of the data and of the labels file.

        Args:
            own: the instances.
            beside: the labels file that is read where none is configured.

        Raises:
            InputError: the labels file is wrong, or a label is none of the declared classes.
        """
        path, where = beside, f"{beside}"
        if self.labels is not None:
            path, where = self.labels, f"dataset.labels={self.labels}"
        file = None
        if path is not None:
            file = with_instances(read_labels_file(path, where), own.names, own.pool, own.unread)
        merged = merge_labels(own.names, own.labels, file, self.on_conflict, own.unread)
        if self.classes is not None:
            known = frozenset(self.classes)
            for i, label, row in zip(merged.indices, merged.labels, merged.rows, strict=True):
                if label not in known:
                    here = f"{own.where}: instance {own.names[i]}"
                    if row and file is not None:
                        here = f"{where}: {file.unit} {row}"
                    raise InputError(f"{here}: {undeclared(label, self.classes)}")
            for label in own.test_labels or ():
                if label not in known:
                    raise InputError(f"{own.where}: test set: {undeclared(label, self.classes)}")
        return merged


def undeclared(label: str, classes: Sequence[str]) -> str:
    """Say that a label is none of the declared classes, and which it may be."""
    return (
        f"the label {shortened(label)} is none of dataset.classes; {suggestion(label, classes)}"
        f"correct it, or add it to dataset.classes"
    )


def _numbered(labels: Sequence[str], numbers: Mapping[str, int]) -> IntArray:
    return np.array([numbers[label] for label in labels], np.int64)


def _in_classes(dataset: Dataset, classes: tuple[str, ...]) -> Dataset:
    """Return a data set with more classes than those of its labels."""
    places = np.array([classes.index(name) for name in dataset.classes], np.int64)
    train, test = places[dataset.train_labels], places[dataset.test_labels]
    former = absence_notes(dataset.classes, dataset.train_labels, dataset.test_labels)
    others = [note for note in dataset.notes if note not in former]
    return replace(
        dataset,
        train_labels=train,
        test_labels=test,
        classes=classes,
        notes=(*others, *absence_notes(classes, train, test)),
    )


def all_or_none(
    labels: Sequence[str | None], names: Sequence[str], where: str
) -> tuple[str, ...] | None:
    """Return the labels of a test set, or None where it has none.

    Raises:
        InputError: some have a label and others have not; the first of these is named.
    """
    given = [label for label in labels if label is not None]
    if not given:
        return None
    if len(given) < len(labels):
        raise InputError(
            f"{where}: {names[list(labels).index(None)]} has no label, but others of the test set "
            "have one; label all of them or none"
        )
    return tuple(given)
