"""New answers from a file that people filled in, added to the labels file of a campaign."""

from collections.abc import Iterable
from pathlib import Path

from alupdate.config import RunConfig, SuggestTask
from alupdate.data.label_merge import Conflict, merge_labels
from alupdate.data.label_studio_matching import with_instances
from alupdate.data.labels_file import (
    REMOVED,
    Answer,
    LabelsFile,
    append_answers,
    read_labels_file,
)
from alupdate.data.own_data import OwnData, PartlyLabelled, undeclared
from alupdate.labelling.batch_files import BATCH
from alupdate.labelling.campaign import read_labels
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError


def taken_in(
    config: RunConfig, folder: Path, data: PartlyLabelled, labels_file: Path, display: Display
) -> PartlyLabelled:
    """Add new answers to the labels file, and return the pool with all labels.

    Args:
        config: of the command; it may name the file of answers. Otherwise they are in batch.csv,
            whose label column may have been filled in.
        folder: of the campaign.
        data: the pool with the labels so far.
        labels_file: where these are.
        display: says how many answers were added.

    Raises:
        InputError: a file is malformed, or an answer contradicts a label; nothing was added.
    """
    assert isinstance(config.task, SuggestTask)
    assert isinstance(config.dataset, OwnData)
    named = config.task.answers
    source = folder / BATCH if named is None else Path(named)
    if named is None and not source.is_file():
        return data
    file = _answers_of(source, f"{source}" if named is None else f"task.answers={named}", data)
    for note in file.notes if file.is_export else ():
        display.say(f"note: {note}")
    known = _answers_of(labels_file, f"{labels_file}", data) if labels_file.is_file() else None
    new = _not_known(_latest(file), [*_labels_of(data), *(() if known is None else _latest(known))])
    if not new:
        return data
    _check(data, file, config.dataset.on_conflict)
    append_answers(labels_file, new)
    display.say(f"{labels_file}: {len(new)} answers added from {source}")
    return read_labels(config, folder, display)[0]


def _answers_of(path: Path, where: str, data: PartlyLabelled) -> LabelsFile:
    return with_instances(read_labels_file(str(path), where), data.names, data.pool)


def _labels_of(data: PartlyLabelled) -> Iterable[Answer]:
    """Yield the labels of a pool, those among them that its data hold and no labels file."""
    for index, label in zip(data.indices.tolist(), data.labels.tolist(), strict=True):
        yield Answer(data.names[index], data.classes[label])


def _latest(file: LabelsFile) -> Iterable[Answer]:
    """Return the answers of a file, of several annotations of an instance the one that counts."""
    answers = [answer for _, answer in file.rows]
    return {one.instance: one for one in answers}.values() if file.is_export else answers


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
    known = {answer.instance: answer.label for answer in _labels_of(data)}
    merged = merge_labels(data.names, [known.get(name) for name in data.names], file, on_conflict)
    for label, row in zip(merged.labels, merged.rows, strict=True):
        if data.declared and label not in data.classes:
            here = f"{file.where}: {file.unit} {row}"
            raise InputError(f"{here}: {undeclared(label, data.classes)}")
