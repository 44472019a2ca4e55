"""The annotations of a Label Studio project as the labels of a pool, in their order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from alupdate.data.dataset import Images, Instances, IntArray
from alupdate.data.label_studio_exports import INSTANCE, annotations_of
from alupdate.data.label_studio_matching import Finder
from alupdate.data.labels import shortened
from alupdate.utils.errors import InputError

Order = tuple[datetime, int]
"""When an annotation was made, and its number."""
NOWHERE: Order = (datetime.min.replace(tzinfo=UTC), 0)


@dataclass(frozen=True)
class LabelledTask:
    """What the annotations of a task say of its instance.

    Attributes:
        task: its number.
        index: of the instance in the pool; None where it is about no instance of the pool.
        label: the class index; None where nothing counts.
        place: of its first label in the order of labels.
        is_skipped: whether it is passed over: it was skipped, or what was annotated does not count.
        problem: why that does not count; empty where it does.
        annotators: the users who annotated it.
    """

    task: int
    index: int | None
    label: int | None = None
    place: Order = NOWHERE
    is_skipped: bool = False
    problem: str = ""
    annotators: frozenset[int] = frozenset()


class TaskReader:
    """Reads what Label Studio says of the tasks of a pool.

    Example:
        >>> from alupdate.data.dataset import Texts
        >>> reader = TaskReader(["1", "2"], Texts(("good", "bad")), ["no", "yes"], "http://studio")
        >>> choice = {"type": "choices", "value": {"choices": ["yes"]}}
        >>> annotation = {"id": 7, "result": [choice], "created_at": "2026-11-28T01:00:00Z"}
        >>> annotation["updated_at"] = annotation["created_at"]
        >>> task = {"id": 3, "data": {"text": "bad"}, "annotations": [annotation]}
        >>> found = reader.read(task)
        >>> found.index, found.label
        (1, 1)
    """

    def __init__(
        self, names: Iterable[str], pool: Instances, classes: Iterable[str], studio: str
    ) -> None:
        """Make ready.

        Args:
            names: (P,), of the instances.
            pool: the P instances.
            classes: (C,), their names.
            studio: the address of Label Studio.
        """
        self._names = {name: index for index, name in enumerate(names)}
        self._classes = {name: number for number, name in enumerate(classes)}
        self._finder = Finder(list(self._names), pool)
        self._shows_files = isinstance(pool, Images)
        self._studio = studio

    def read(self, task: Mapping[str, Any]) -> LabelledTask:
        """Return what Label Studio says of a task.

        Of several annotations the one that was changed last counts, at the place of the first.
        """
        number, data = int(task["id"]), task.get("data")
        here = f"task {number}"
        index = self._index(data) if isinstance(data, Mapping) else None
        if index is None:
            what = shortened(str(data))
            problem = f"{here}: its data ({what}) show no instance of the pool"
            return LabelledTask(number, None, problem=problem)
        annotations = task.get("annotations") or ()
        users = (_annotator(annotation) for annotation in annotations)
        known = frozenset(user for user in users if user is not None)
        found = LabelledTask(number, index, annotators=known)
        try:
            said = annotations_of({"data": data, "annotations": annotations}, number, here)
        except InputError as error:
            return replace(found, is_skipped=True, problem=str(error))
        given = [one for one in said if one.label]
        if not given:
            return replace(found, is_skipped=bool(said))
        latest = max(given, key=lambda one: (one.updated, one.number))
        if latest.label not in self._classes:
            problem = f"{here}: {shortened(latest.label)} is none of the classes"
            return replace(found, is_skipped=True, problem=problem)
        place = min((one.created, one.number) for one in given)
        return replace(found, label=self._classes[latest.label], place=place)

    def _index(self, data: Mapping[str, Any]) -> int | None:
        """Return which instance a task shows: the one that it names, or that it must be."""
        name = data.get(INSTANCE)
        if name is None:
            texts = [text for text in data.values() if isinstance(text, str)]
            name = self._finder.find(filter(self._is_own, texts) if self._shows_files else texts)
        return self._names.get(name) if isinstance(name, str) else None

    def _is_own(self, text: str) -> bool:
        """Return whether a text is no address, or one in this Label Studio."""
        return "://" not in text.split("?", maxsplit=1)[0] or text.startswith(f"{self._studio}/")


def _annotator(annotation: Any) -> int | None:
    """Return who made an annotation: a number, or a description of the user with one."""
    user = annotation.get("completed_by") if isinstance(annotation, Mapping) else None
    user = user.get("id") if isinstance(user, Mapping) else user
    return user if isinstance(user, int) else None


@dataclass(frozen=True)
class PoolLabels:
    """The labels of a pool.

    Attributes:
        indices: (N,), the labelled instances, in the order of labelling.
        labels: (N,), their class indices.
        skipped: (S,), ascending, those that were skipped.
    """

    indices: IntArray
    labels: IntArray
    skipped: IntArray

    def content(self) -> tuple[bytes, bytes, bytes]:
        """Return what tells these labels from others."""
        return self.indices.tobytes(), self.labels.tobytes(), self.skipped.tobytes()


def pool_labels(earlier: PoolLabels, tasks: Iterable[LabelledTask]) -> PoolLabels:
    """Put the annotations of a project, in the order of their making, behind earlier labels.

    An annotated instance has the label and the place of its annotation. Where several tasks are
    about one instance, the one that was labelled last counts.

    Args:
        earlier: what the data and the labels file say.
        tasks: of the project.
    """
    labels = dict(zip(earlier.indices.tolist(), earlier.labels.tolist(), strict=True))
    skipped = set(earlier.skipped.tolist())
    ours = sorted((task for task in tasks if task.index is not None), key=lambda task: task.place)
    for task in ours:
        assert task.index is not None
        if task.label is not None:
            labels.pop(task.index, None)
            labels[task.index] = task.label
        elif task.is_skipped:
            skipped.add(task.index)
    skipped -= set(labels)
    return PoolLabels(
        np.array(list(labels), np.int64),
        np.array(list(labels.values()), np.int64),
        np.array(sorted(skipped), np.int64),
    )
