"""Which instances are labelled: by the data themselves, and by the rows of a labels file."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

import numpy as np

from alupdate.data.dataset import IntArray
from alupdate.data.labels import shortened
from alupdate.data.labels_file import REMOVED, Answer, LabelsFile
from alupdate.utils.errors import InputError, suggestion

Conflict = Literal["error", "last"]
MOST_COMPARED = 10_000
"""Names among which a similar one is looked for."""


@dataclass(frozen=True)
class MergedLabels:
    """What is known of the instances of a pool.

    Attributes:
        indices: (N,), the labelled instances, in the order of labelling: first those that the data
            label, in the order of the pool, then those of the labels file, in the order of rows.
            A corrected label keeps its place; one that was removed has lost it.
        labels: (N,), the names of their classes.
        rows: (N,), the row (or task) of the labels file that gives each; 0 for the data themselves.
        skipped: (S,), ascending, those that nobody could or wanted to label.
        notes: what a user should know about the labels, a line each.
    """

    indices: IntArray
    labels: tuple[str, ...]
    rows: tuple[int, ...]
    skipped: IntArray
    notes: tuple[str, ...] = ()


class _Said(NamedTuple):
    """The label of an instance, and the row that gives it."""

    label: str
    row: int


def merge_labels(
    names: Sequence[str],
    labels: Sequence[str | None],
    file: LabelsFile | None,
    on_conflict: Conflict = "error",
    unread: Collection[str] = (),
) -> MergedLabels:
    """Put the rows of a labels file behind the labels that the data themselves hold.

    O(P + R) for P instances and R rows.

    Args:
        names: (P,), of the instances, no two alike.
        labels: (P,), those of the data; None for none.
        file: the labels file, if there is one.
        on_conflict: what is done where an instance has a label and gets another one, or is given
            up: ``error``, or ``last`` for what was said last.
        unread: names of instances that exist and are left out; rows about them are passed over.

    Raises:
        InputError: a row names an instance that does not exist, or there is a conflict.
    """
    said = {i: _Said(label, 0) for i, label in enumerate(labels) if label is not None}
    rows = file.rows if file is not None else ()
    skipped, replaced, passed = set[int](), 0, 0
    positions = {name: i for i, name in enumerate(names)} if rows else {}
    for row, answer in rows:
        i = positions.get(answer.instance)
        if i is None:
            assert file is not None
            _refuse_unknown(answer, unread, names, f"{file.where}: {file.unit} {row}")
            passed += 1
        elif answer.status == REMOVED:
            said.pop(i, None)
            skipped.discard(i)
        else:
            former = said.get(i)
            if former is not None and former.label != answer.label:
                assert file is not None
                if on_conflict == "error":
                    here = f"{file.where}: {file.unit} {row}"
                    raise InputError(f"{here}: {_conflict(answer, former, file)}")
                replaced += 1
            _learn(said, skipped, i, answer, row)
    return MergedLabels(
        np.array(list(said), np.int64),
        tuple(one.label for one in said.values()),
        tuple(one.row for one in said.values()),
        np.array(sorted(skipped), np.int64),
        _notes(file, replaced, passed),
    )


def _learn(said: dict[int, _Said], skipped: set[int], i: int, answer: Answer, row: int) -> None:
    """Take down what was said of instance ``i``; in a dictionary a new value keeps its place."""
    if answer.label:
        said[i] = _Said(answer.label, row)
        skipped.discard(i)
    else:
        said.pop(i, None)
        skipped.add(i)


def _notes(file: LabelsFile | None, replaced: int, passed: int) -> tuple[str, ...]:
    if file is None:
        return ()
    notes = list(file.notes)
    if replaced:
        notes.append(f"{file.where}: {replaced} answers replace earlier ones (the last one counts)")
    if passed:
        notes.append(f"{file.where}: {passed} answers are about instances that cannot be read")
    return tuple(notes)


def _refuse_unknown(
    answer: Answer, unread: Collection[str], names: Sequence[str], here: str
) -> None:
    if answer.instance in unread:
        return
    base = PurePosixPath(answer.instance).name
    alike = next((name for name in names if PurePosixPath(name).name == base), None)
    if alike is not None:
        hint = f"did you mean {shortened(alike)}? "
    else:
        hint = suggestion(answer.instance, names) if len(names) <= MOST_COMPARED else ""
    example = "" if not names else f"instances are called like {shortened(names[0])}"
    raise InputError(
        f"{here}: the pool has no instance {shortened(answer.instance)}; {hint}{example}"
    )


def _conflict(answer: Answer, former: _Said, file: LabelsFile) -> str:
    now = f"is labelled {shortened(answer.label)}" if answer.label else f"is {answer.status}"
    then = f"{file.unit} {former.row} says" if former.row else "the data say"
    between = "" if file.is_export else f"add a row with status {REMOVED} between them, "
    return (
        f"{shortened(answer.instance)} {now}, but {then} {shortened(former.label)}; correct "
        f"one, {between}or set dataset.on_conflict=last"
    )
