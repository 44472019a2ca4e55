"""The annotations of a Label Studio project as the labels of a pool, in their order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from alupdate.data.dataset import Images, Instances, IntArray
from alupdate.data.label_studio_exports import annotations_of, name_in
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
        changed: when its label was given or changed last.
        is_skipped: whether it is passed over: it was skipped, or what was annotated does not count.
        problem: why that does not count; empty where it does.
        annotators: the users who annotated it.
    """

    task: int
    index: int | None
    label: int | None = None
    place: Order = NOWHERE
    changed: Order = NOWHERE
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
        self,
        names: Iterable[str],
        pool: Instances,
        classes: Iterable[str],
        studio: str,
        absent: Iterable[str] = (),
    ) -> None:
        """Make ready.

        Args:
            names: (P,), of the instances.
            pool: the P instances.
            classes: (C,), their names.
            studio: the address of Label Studio.
            absent: names of instances of the data that are left out of the pool.
        """
        self._names = {name: index for index, name in enumerate(names)}
        self._classes = {name: number for number, name in enumerate(classes)}
        self._finder = Finder([*self._names, *absent], pool, list(self._names))
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
        changed = latest.updated, latest.number
        return replace(found, label=self._classes[latest.label], place=place, changed=changed)

    def _index(self, data: Mapping[str, Any]) -> int | None:
        """Return which instance a task shows: the one that it names, or that it must be."""
        name = name_in(data)
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

    As with the rows of an export, what was labelled earlier keeps its place, and of several tasks
    about one instance the one that was changed last counts, at the place of the first.

    Args:
        earlier: what the data and the labels file say.
        tasks: of the project.
    """
    labels = dict(zip(earlier.indices.tolist(), earlier.labels.tolist(), strict=True))
    skipped = set(earlier.skipped.tolist())
    places = dict.fromkeys(labels, NOWHERE)
    for task in sorted(tasks, key=lambda task: task.changed):
        if task.index is None:
            continue
        if task.label is not None:
            labels[task.index] = task.label
            places[task.index] = min(task.place, places.get(task.index, task.place))
        elif task.is_skipped:
            skipped.add(task.index)
    labels = {index: labels[index] for index in sorted(labels, key=places.__getitem__)}
    skipped -= set(labels)
    return PoolLabels(
        np.array(list(labels), np.int64),
        np.array(list(labels.values()), np.int64),
        np.array(sorted(skipped), np.int64),
    )
