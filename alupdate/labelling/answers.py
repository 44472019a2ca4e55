"""New answers from a file that people filled in, added to the labels file of a campaign."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from alupdate.config import RunConfig, SuggestTask
from alupdate.data.labels_file import REMOVED, Answer, append_answers, read_labels_file
from alupdate.data.own_data import OwnData, PartlyLabelled
from alupdate.labelling.campaign import read_labels
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.paths import cache_dir


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
    given = [answer for _, answer in read_labels_file(str(source), key).rows]
    known = _answers_of(labels_file)
    new = _not_known(given, known)
    if not new:
        return data, labels_file
    _check(config, source, display)
    if config.dataset.on_conflict != "last":
        _refuse_conflicts(new, known, key, labels_file)
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


def _check(config: RunConfig, source: Path, display: Display) -> None:
    """Refuse answers to instances that do not exist, and classes that were not declared."""
    assert isinstance(config.dataset, OwnData)
    own = replace(config.dataset, labels=str(source))
    own.partly_labelled(cache_dir(config.cache_dir), display)


def _refuse_conflicts(
    new: Iterable[Answer], known: Iterable[Answer], key: str, labels_file: Path
) -> None:
    latest = {answer.instance: answer for answer in known}
    for answer in new:
        former = latest.get(answer.instance)
        if former is not None and former.label and answer.label:
            raise InputError(
                f"{key}: {answer.instance} is {answer.label}, but {former.label} in {labels_file}; "
                "correct one, or use dataset.on_conflict=last"
            )
