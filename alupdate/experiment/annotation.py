"""Labels from annotators: who they are, which instances they are asked about again, and the votes.

With annotators who err, the label of an instance is the vote on all annotations so far. A part of a
batch may be spent on instances that are labelled already: those whose label the model believes
least, its self-confidence [Northcutt2021]. A vote whose first class is two or more ahead is settled
and is not asked about. Where that leaves too few, new instances take their place.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from alupdate.config import RunConfig
from alupdate.config.annotators import TruthAnnotator
from alupdate.config.values import NO_LABEL
from alupdate.data.annotators import GivenLabel, NoisyAnnotators, lead, majority, symmetric
from alupdate.data.dataset import IntArray
from alupdate.data.pool import Annotator, Pool
from alupdate.experiment.learning import Batch
from alupdate.experiment.setup import Setup
from alupdate.laplace.temperature import logits_without_own_label
from alupdate.models.learner import Model, Rows, labelled
from alupdate.results.annotations import CycleAnnotations
from alupdate.results.records import CycleRecord

SETTLED = 2
"""By how many votes the first class of a settled vote is ahead."""
Votes = Mapping[int, Sequence[int]]
"""Instance to the class indices that were given for it, in order."""
_ROWS = 2**14
"""How many instances are summed up at a time."""


def annotator_of(config: RunConfig, setup: Setup) -> Annotator:
    """Return who labels the pool of a run."""
    settings, labels = config.annotator, setup.dataset.train_labels
    if isinstance(settings, TruthAnnotator):
        return Annotator(labels)
    confusion = symmetric(len(setup.dataset.classes))
    if settings.kind == "similar":
        assert setup.learner.rows is not None
        confusion = similar(setup.learner.rows, labels, len(confusion))
    return NoisyAnnotators(labels, settings.rates, settings.votes, config.seed, confusion)


def similar(rows: Rows, labels: IntArray, n_classes: int) -> NDArray[np.float64]:
    """Return weights (C, C) of wrong classes: 1 / |m_a - m_b|^2, with the means m of the classes.

    Classes without an instance are never given. Classes of equal means are confused only with each
    other.

    Args:
        rows: features (N, D).
        labels: (N,), true class indices.
        n_classes: C.
    """
    sums = torch.zeros(n_classes, rows[torch.arange(1)].shape[1], dtype=torch.float64)
    for part in torch.split(torch.arange(len(labels)), _ROWS):
        sums.index_add_(0, torch.from_numpy(labels[part.numpy()]), rows[part].cpu().double())
    counts = np.bincount(labels, minlength=n_classes)
    means = (sums / torch.from_numpy(counts).clamp(min=1)[:, None]).numpy()
    squares = np.square(means[:, None] - means).sum(axis=2)
    least = np.where(symmetric(n_classes) > 0, squares, np.inf).min(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        nearness = np.where(least > 0, least / squares, squares == 0)
    return np.where((counts > 0) & (symmetric(n_classes) > 0), nearness, 0.0)


def votes_of(records: Iterable[CycleRecord]) -> dict[int, list[int]]:
    """Return the class indices that were given for each instance, in order.

    A label of a run whose annotations are always right is one vote.
    """
    votes = defaultdict[int, list[int]](list)
    for record in records:
        for index, label in _given(record):
            votes[index].append(label)
    return dict(votes)


def _given(record: CycleRecord) -> Iterable[tuple[int, int]]:
    if record.annotations is None:
        return zip(record.indices, record.labels, strict=True)
    return ((index, label) for index, _, label in record.annotations.given)


def present_labels(votes: Votes) -> dict[int, int]:
    """Return the label of each instance by the vote."""
    return {index: majority(labels) for index, labels in votes.items()}


def changed_labels(votes: Votes, annotations: CycleAnnotations | None) -> dict[int, int]:
    """Return the new labels of instances whose label further annotations change.

    Args:
        votes: before the annotations.
        annotations: of a cycle.
    """
    after = present_labels(_with(votes, annotations.given if annotations else ()))
    return {i: after[i] for i, labels in votes.items() if after[i] != majority(labels)}


def _with(votes: Votes, given: Iterable[GivenLabel]) -> dict[int, list[int]]:
    together = {index: list(labels) for index, labels in votes.items()}
    for index, _, label in given:
        together.setdefault(index, []).append(label)
    return together


def batches_in(pool: Pool, records: Sequence[CycleRecord]) -> list[Batch]:
    """Return what was labelled in each cycle, with the labels that the pool has now.

    Instances that nobody can label are left out.
    """
    counts = [sum(label != NO_LABEL for label in record.labels) for record in records]
    edges = np.cumsum(counts)[:-1]
    parts = (np.split(values, edges) for values in (pool.indices, pool.labels))
    return list(zip(*parts, strict=True))


def doubted(model: Model, pool: Pool, votes: Votes, count: int) -> IntArray:
    """Return the labelled instances (a <= count,) to ask about again, the most doubtful one first.

    Args:
        model: after the labels of the pool.
        pool: what is labelled.
        votes: on each labelled instance.
        count: how many there may be.
    """
    open_votes = [lead(votes[index]) < SETTLED for index in pool.indices.tolist()]
    if not count or not any(open_votes):
        return pool.indices[:0]
    confidence = self_confidence(model, pool)[open_votes]
    order = np.argsort(confidence, kind="stable")
    return pool.indices[open_votes][order[:count]]


def self_confidence(model: Model, pool: Pool) -> NDArray[np.float64]:
    """Return the probability (N,) of each label under the model without that label.

    The labels are left out in closed form (``alupdate.laplace.temperature``): the model that has
    learnt a label believes it. With labels of a single class, and where the weights do not point to
    the labels, the model is taken as it is.
    """
    rows, labels = labelled(model, pool.indices, pool.labels)
    mean, logits = model.posterior.mean.double(), None
    if len(torch.unique(labels)) > 1:
        logits = logits_without_own_label(mean, rows, labels)
    if logits is None:
        logits = rows.double() @ mean.T
    chosen = torch.softmax(logits, dim=1).gather(1, labels[:, None])[:, 0]
    confidence: NDArray[np.float64] = chosen.numpy(force=True)
    return confidence


def asked(
    annotator: Annotator,
    new: IntArray,
    again: IntArray,
    votes: Votes,
    truth: IntArray,
) -> CycleAnnotations | None:
    """Return what annotators say in a cycle; None where they are always right.

    Args:
        annotator: of the run.
        new: instances (b,) that are asked about for the first time.
        again: instances (a,) that are asked about once more.
        votes: on each instance that was labelled before the cycle.
        truth: (N,), true class indices of the pool.
    """
    if not isinstance(annotator, NoisyAnnotators):
        return None
    given: list[GivenLabel] = []
    for index in new.tolist():
        given += annotator.annotations(index)
    given += [annotator.annotations(i, len(votes[i]) + 1)[-1] for i in again.tolist()]
    annotations = CycleAnnotations(tuple(given), 0, 0)
    labels = present_labels(_with(votes, given))
    wrong = sum(label != truth[index] for index, label in labels.items())
    changed = len(changed_labels(votes, annotations))
    return CycleAnnotations(tuple(given), changed, int(wrong))


def disagreement(annotator: Annotator, records: Sequence[CycleRecord], truth: IntArray) -> str:
    """Return how recorded labels differ from what the annotators say; empty if in nothing.

    Args:
        annotator: of the run.
        records: of its cycles.
        truth: (N,), true class indices of the pool.
    """
    votes: dict[int, list[int]] = {}
    for record in records:
        new = np.array(record.indices, dtype=np.int64)
        rows = record.annotations.given if record.annotations else ()
        again = np.array([i for i, _, _ in rows if i in votes], dtype=np.int64)
        if (
            (new >= len(truth)).any()
            or annotator.annotate(new).tolist() != list(record.labels)
            or asked(annotator, new, again, votes, truth) != record.annotations
        ):
            return f"cycle {record.cycle} has labels that the data do not have"
        for index, label in _given(record):
            votes.setdefault(index, []).append(label)
    return ""
