"""The annotations of a Label Studio project as the labels of a pool, in their order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from alupdate.data.dataset import IntArray
from alupdate.data.label_studio_exports import INSTANCE
from alupdate.data.labels import shortened

Place = tuple[str, int]
"""When an annotation was made and its number: the order of labels."""


@dataclass(frozen=True)
class LabelledTask:
    """What the annotations of a task say of its instance.

    Attributes:
        task: its number.
        index: of the instance in the pool; None where the pool has none of that name.
        label: the class index; None where there is no annotation that counts.
        place: of the annotation that counts, in the order of labels.
        is_skipped: whether it is passed over: it was skipped, or what was annotated does not count.
        problem: why that does not count; empty where it does.
        annotators: the users who annotated it.
    """

    task: int
    index: int | None
    label: int | None = None
    place: Place = ("", 0)
    is_skipped: bool = False
    problem: str = ""
    annotators: frozenset[int] = frozenset()


def labelled_task(
    task: Mapping[str, Any], names: Mapping[str, int], classes: Mapping[str, int]
) -> LabelledTask:
    """Return what Label Studio says of a task.

    Of several annotations the one that was changed last counts.

    Args:
        task: as Label Studio describes it.
        names: the pool index of each instance.
        classes: the class index of each class.

    Example:
        >>> choice = {"from_name": "choice", "type": "choices", "value": {"choices": ["dog"]}}
        >>> annotation = {"id": 7, "created_at": "2026", "result": [choice]}
        >>> task = {"id": 3, "data": {"instance": "a.png"}, "annotations": [annotation]}
        >>> labelled_task(task, {"a.png": 0}, {"cat": 0, "dog": 1}).label
        1
    """
    number, data = int(task["id"]), task.get("data")
    name = data.get(INSTANCE) if isinstance(data, Mapping) else None
    index = names.get(name) if isinstance(name, str) else None
    if index is None:
        problem = (
            f"task {number}: data.{INSTANCE}={shortened(str(name))} is no instance of the pool"
        )
        return LabelledTask(number, None, problem=problem)
    annotations = task.get("annotations") or ()
    users = map(_annotator, annotations)
    found = LabelledTask(number, index, annotators=frozenset(u for u in users if u is not None))
    given = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
    if not given:
        return replace(found, is_skipped=bool(annotations))
    latest = max(given, key=lambda annotation: (_time(annotation, "updated_at"), annotation["id"]))
    place = _time(latest, "created_at"), int(latest["id"])
    chosen = _choices(latest)
    if len(chosen) != 1:
        count = f"{len(chosen)} choices" if chosen else "no choice"
        problem = f"task {number}: an annotation has {count}; choose one class"
    elif chosen[0] not in classes:
        problem = f"task {number}: {shortened(chosen[0])} is none of the classes"
    else:
        return replace(found, label=classes[chosen[0]], place=place)
    return replace(found, is_skipped=True, problem=problem)


def _annotator(annotation: Mapping[str, Any]) -> int | None:
    """Return who made an annotation: a number, or a description of the user with one."""
    user = annotation.get("completed_by")
    user = user.get("id") if isinstance(user, Mapping) else user
    return user if isinstance(user, int) else None


def _time(annotation: Mapping[str, Any], key: str) -> str:
    """Return a time; Label Studio's have one form, so that they sort as text."""
    return str(annotation.get(key) or annotation.get("created_at") or "")


def _choices(annotation: Mapping[str, Any]) -> list[str]:
    chosen: list[str] = []
    for region in annotation.get("result") or ():
        if region.get("type") == "choices":
            chosen += [str(choice) for choice in region.get("value", {}).get("choices", ())]
    return chosen


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
    about one instance, the annotation that was made last counts.

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
