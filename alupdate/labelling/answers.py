"""New answers from a file that people filled in, added to the labels file of a campaign."""

from collections.abc import Iterable
from pathlib import Path

from alupdate.config import RunConfig, SuggestTask
from alupdate.data.label_merge import Conflict, merge_labels
from alupdate.data.labels_file import (
    REMOVED,
    Answer,
    LabelsFile,
    append_answers,
    read_labels_file,
)
from alupdate.data.own_data import OwnData, PartlyLabelled, undeclared
from alupdate.labelling.campaign import read_labels
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError


def taken_in(
    config: RunConfig, folder: Path, batch: Path, display: Display
) -> tuple[PartlyLabelled, Path]:
    """Add new answers to the labels file, and return the pool with all labels, and that file.

    Args:
        config: of the command; it may name the file of answers.
        folder: of the campaign.
        batch: batch.csv, whose label column may have been filled in.
        display: says how many answers were added.

    Raises:
        InputError: a file is malformed, or an answer contradicts a label; nothing was added.
    """
    assert isinstance(config.task, SuggestTask)
    assert isinstance(config.dataset, OwnData)
    named = config.task.answers
    source = batch if named is None else Path(named)
    key = f"{batch}" if named is None else f"task.answers={named}"
    data, labels_file = read_labels(config, folder, display)
    if named is None and not batch.is_file():
        return data, labels_file
    file = read_labels_file(str(source), key)
    new = _not_known((answer for _, answer in file.rows), _answers_of(labels_file))
    if not new:
        return data, labels_file
    _check(data, file, config.dataset.on_conflict)
    append_answers(labels_file, new)
    display.say(f"{labels_file}: {len(new)} answers added from {source}")
    return read_labels(config, folder, display)


def _answers_of(labels_file: Path) -> list[Answer]:
    if not labels_file.is_file():
        return []
    return [answer for _, answer in read_labels_file(str(labels_file), str(labels_file)).rows]


def _not_known(given: Iterable[Answer], known: Iterable[Answer]) -> list[Answer]:
    """Return the answers that change what is known, in their order."""
    latest = {answer.instance: answer for answer in known}
    new = []
    for answer in given:
        former = latest.get(answer.instance)
        is_nothing = former is None or former.status == REMOVED
        if answer == former or (is_nothing and answer.status == REMOVED):
            continue
        latest[answer.instance] = answer
        new.append(answer)
    return new


def _check(data: PartlyLabelled, file: LabelsFile, on_conflict: Conflict) -> None:
    """Refuse answers to unknown instances, other classes than declared, and contradictions.

    Raises:
        InputError: naming the file and the row.
    """
    known: list[str | None] = [None] * len(data.names)
    for index, label in zip(data.indices.tolist(), data.labels.tolist(), strict=True):
        known[index] = data.classes[label]
    merged = merge_labels(data.names, known, file, on_conflict)
    for label, row in zip(merged.labels, merged.rows, strict=True):
        if data.declared and label not in data.classes:
            raise InputError(f"{file.where}: row {row}: {undeclared(label, data.classes)}")
