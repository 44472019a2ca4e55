"""A temperature for the logits of a last layer [Guo2017], chosen by cross-validation on the labels.

The labelled instances are few, and the model has learnt all of them: on these its probabilities say
nothing about new ones. So the layer is trained on four fifths of them, five times, and one
temperature T is chosen that makes the left-out fifths most likely under softmax(logits / T).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from alupdate.data.dataset import IntArray
from alupdate.laplace.temperature import best_temperature
from alupdate.models.learner import LearnerSettings, train_last_layer
from alupdate.utils.seeds import Stream, generator

N_FOLDS = 5
LEAST_LABELS = 10
"""With fewer a temperature is not chosen."""


@dataclass(frozen=True)
class Temperature:
    """A temperature, and what a user should know about it.

    Attributes:
        value: by which logits are divided.
        note: why it was not chosen; None where it was.
    """

    value: float
    note: str | None = None


def choose_temperature(
    rows: Tensor, labels: Tensor, n_classes: int, settings: LearnerSettings
) -> Temperature:
    """Return the temperature under which left-out labels are most likely.

    Args:
        rows: (N, D), features of the labelled instances, bias column included.
        labels: (N,), class indices.
        n_classes: C.
        settings: of the learner that trained the model.
    """
    seen = len(torch.unique(labels))
    if seen < 2 or len(labels) < LEAST_LABELS:
        found = f"{len(labels)} labels of {seen} classes"
        needed = f"{LEAST_LABELS} labels of 2 classes are needed"
        return Temperature(1.0, f"calibrate: the temperature stays 1: of {found}, {needed}")
    logits = left_out_logits(rows, labels, n_classes, settings)
    return Temperature(best_temperature(logits, labels))


def left_out_logits(
    rows: Tensor, labels: Tensor, n_classes: int, settings: LearnerSettings
) -> Tensor:
    """Return the logits (N, C) of each instance under a layer that has not learnt its label.

    Arguments are those of ``choose_temperature``.
    """
    fold_of = folds(labels.numpy(force=True), generator(settings.seed, Stream.CALIBRATION))
    logits = rows.new_empty(len(rows), n_classes)
    for fold in range(N_FOLDS):
        out = torch.from_numpy(fold_of == fold).to(rows.device)
        weights = train_last_layer(rows[~out], labels[~out], n_classes, settings, fold)
        logits[out] = rows[out] @ weights.T
    return logits


def folds(labels: IntArray, rng: np.random.Generator) -> IntArray:
    """Return a fold 0..4 for each of N labels; each class is spread over them evenly.

    Args:
        labels: (N,).
        rng: decides which instance of a class goes where.

    Example:
        >>> folds(np.repeat([0, 1], 5), np.random.default_rng(0)).tolist()
        [3, 4, 1, 2, 0, 2, 0, 1, 4, 3]
    """
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    fold_of = np.empty(len(labels), np.int64)
    fold_of[order] = np.arange(len(labels)) % N_FOLDS
    return fold_of
