"""Slow, obvious references: plain loops, explicit inverses, one model copy per candidate."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max())
    probabilities: Array = powers / powers.sum()
    return probabilities


def weight(probabilities: Array, likelihood: str) -> float:
    return (
        1.0 if likelihood == "gaussian" else float(probabilities.max() * (1 - probabilities.max()))
    )


def inverse_covariance(features: Array, weights: Array, prior_precision: float) -> Array:
    """The exact inverse of lambda I + sum_n w_n phi_n phi_n^T."""
    precision = prior_precision * np.eye(features.shape[1])
    for row, w in zip(features, weights, strict=True):
        precision += w * np.outer(row, row)
    inverse: Array = np.linalg.inv(precision).astype(np.float64)
    return inverse


def sequential_update(
    mean: Array,
    covariance: Array,
    features: Array,
    labels: NDArray[np.int64],
    gamma: float,
    likelihood: str,
) -> tuple[Array, Array]:
    """The paper's second-order update, one instance after the other, with D x D matrices."""
    for row, label in zip(features, labels, strict=True):
        probabilities = softmax(mean @ row)
        w = weight(probabilities, likelihood)
        direction = covariance @ row
        covariance = covariance - w / (1 + w * row @ direction) * np.outer(direction, direction)
        error = -probabilities
        error[label] += 1
        mean = mean + gamma * np.outer(error, covariance @ row)
    return mean, covariance


def mean_loss(mean: Array, features: Array, labels: NDArray[np.int64], loss: str) -> float:
    total = 0.0
    for row, label in zip(features, labels, strict=True):
        probabilities = softmax(mean @ row)
        if loss == "nll":
            total -= math.log(probabilities[label])
        elif loss == "error":
            total += float(probabilities.argmax() != label)
        else:
            target = np.eye(len(probabilities))[label]
            total += float(((probabilities - target) ** 2).sum())
    return total / len(features)


def calibration_error_by_class(probabilities: Array, labels: NDArray[np.int64], bins: int) -> float:
    """The adaptive calibration error by explicit loops over classes and ranges."""
    gaps = []
    for c in range(probabilities.shape[1]):
        order = np.argsort(probabilities[:, c], kind="stable")
        for part in np.array_split(order, min(bins, len(labels))):
            frequency = np.mean(labels[part] == c)
            gaps.append(abs(frequency - probabilities[part, c].mean()))
    return float(np.mean(gaps))


def rates_by_class(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> tuple[Array, Array]:
    """Recalls of the classes among the labels, and F1 of those and of the predicted ones."""
    recalls, f1 = [], []
    for c in sorted({*labels.tolist(), *predicted.tolist()}):
        hits = sum(p == y == c for p, y in zip(predicted, labels, strict=True))
        if c in labels:
            recalls.append(hits / np.sum(labels == c))
        f1.append(2 * hits / (np.sum(labels == c) + np.sum(predicted == c)))
    return np.array(recalls), np.array(f1)


def share_of_ordered_pairs(confidence: Array, is_right: NDArray[np.bool_]) -> float:
    """How often a right instance has the larger confidence of a right and a wrong one."""
    pairs = [
        1.0 if right > wrong else 0.5 if right == wrong else 0.0
        for right in confidence[is_right]
        for wrong in confidence[~is_right]
    ]
    return float(np.mean(pairs)) if pairs else math.nan
