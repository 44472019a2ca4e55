"""Wrong labels as a linear probe would confuse the classes."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from alupdate.config.values import NO_LABEL
from alupdate.data.dataset import Dataset, IntArray
from alupdate.data.disturbances import Disturbances, DrawnPart, wrong_labels
from alupdate.models.learner import Rows
from alupdate.models.training import optimal_linear

PROBE_FOLDS = 5
N_PROBED = 10_000
"""Instances that a probe is trained and tested on, at most."""
PROBE_DECAY = 1e-2
"""Of the probe, that of ``task=describe``."""
DECIMALS = 4
"""The confusion is rounded, so that rounding within a sum decides no label."""


def with_confused_labels(settings: Disturbances, dataset: Dataset, rows: Rows) -> Dataset:
    """Return the data set with wrong labels by confusion, if they are asked for.

    Args:
        settings: which and how many labels are wrong.
        dataset: with true labels.
        rows: (N, D), features of the pool with the bias column.
    """
    if not settings.label_noise or settings.label_noise_kind != "confusion":
        return dataset
    rng, classes = settings.generator_of(DrawnPart.PROBE), len(dataset.classes)
    confusion = probe_confusion(rows, dataset.train_labels, classes, rng)
    labels, note = wrong_labels(settings, dataset.train_labels, confusion)
    return replace(dataset, train_labels=labels, notes=(*dataset.notes, note))


def probe_confusion(
    rows: Rows, labels: IntArray, n_classes: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the mean probabilities (C, C) that a linear layer gives, by true class.

    They are those of instances that the layer was not trained on, by stratified cross-validation
    with ``PROBE_FOLDS`` folds, on ``N_PROBED`` random instances where there are more. The diagonal
    is 0. Rows sum to 1, and are uniform where nothing is known: for a class without instances.

    Args:
        rows: (N, D), features with the bias column.
        labels: (N,), true class indices; NO_LABEL for instances to leave out.
        n_classes: C.
        rng: draws the folds.
    """
    chosen = rng.permutation(np.flatnonzero(labels != NO_LABEL))[:N_PROBED]
    chosen = chosen[np.argsort(labels[chosen], kind="stable")]
    features = rows[torch.from_numpy(chosen)]
    truth = torch.from_numpy(labels[chosen]).to(features.device)
    fold = torch.arange(len(chosen), device=features.device) % PROBE_FOLDS
    total = np.zeros((n_classes, n_classes))
    for number in range(PROBE_FOLDS):
        held_out = fold == number
        if not held_out.any() or held_out.all():
            continue
        weights = optimal_linear(features[~held_out], truth[~held_out], n_classes, PROBE_DECAY)
        probabilities = torch.softmax((features[held_out] @ weights.T).double(), dim=1)
        np.add.at(total, truth[held_out].numpy(force=True), probabilities.numpy(force=True))
    np.fill_diagonal(total, 0)
    sums = total.sum(axis=1, keepdims=True)
    uniform = (1 - np.eye(n_classes)) / (n_classes - 1)
    shares = np.divide(total, sums, out=uniform, where=sums > 0)
    rounded: NDArray[np.float64] = np.round(shares, DECIMALS)
    return rounded
