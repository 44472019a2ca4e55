"""Slow and obvious versions of the updates: float64, plain loops, full matrices."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from alupdate.laplace.names import Likelihood

Array = NDArray[np.floating]


def covariances(weights: Array, features: Array, likelihood: Likelihood, prior: float) -> Array:
    """One inverse precision (D, D) per class, every instance added in turn: (C, D, D)."""
    classes, size = weights.shape
    precisions = np.stack([prior * np.eye(size) for _ in range(classes)])
    for phi in features:
        p = softmax(weights @ phi)
        for c in range(classes):
            weight = {"gaussian": 1.0, "categorical": p.max() * (1 - p.max())}.get(
                likelihood, p[c] * (1 - p[c])
            )
            precisions[c] += weight * np.outer(phi, phi)
    return np.linalg.inv(precisions)


def first_order(weights: Array, features: Array, labels: Array, gamma: float) -> Array:
    weights = weights.copy()
    for phi, label in zip(features, labels, strict=True):
        target = np.eye(len(weights))[int(label)]
        weights += gamma * np.outer(target - softmax(weights @ phi), phi)
    return weights


def map_objective(
    weights: Array, start: Array, precisions: Array, features: Array, labels: Array, gamma: float
) -> float:
    """The primal objective of the MAP update."""
    value = 0.0
    for change, precision in zip(weights - start, precisions, strict=True):
        value += float(change @ precision @ change) / (2 * gamma)
    for phi, label in zip(features, labels, strict=True):
        value -= float(log_softmax(weights @ phi)[int(label)])
    return value


def map_gradient(
    weights: Array, start: Array, precisions: Array, features: Array, labels: Array, gamma: float
) -> Array:
    """The gradient (C, D) of the primal objective."""
    gradient = np.zeros_like(weights)
    for c, precision in enumerate(precisions):
        gradient[c] = precision @ (weights[c] - start[c]) / gamma
    for phi, label in zip(features, labels, strict=True):
        gradient += np.outer(softmax(weights @ phi) - np.eye(len(weights))[int(label)], phi)
    return gradient


def map_weights(
    start: Array, covariance: Array, features: Array, labels: Array, gamma: float
) -> Array:
    """The minimiser of the primal objective by a general-purpose optimiser."""
    precisions = np.linalg.inv(covariance)

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(start.shape)
        value = map_objective(weights, start, precisions, features, labels, gamma)
        gradient = map_gradient(weights, start, precisions, features, labels, gamma)
        return value, gradient.ravel().astype(np.float64)

    result = minimize(
        objective,
        start.ravel().astype(np.float64),
        jac=True,
        method="BFGS",
        options={"gtol": 1e-9, "maxiter": 10_000},
    )
    return np.asarray(result.x).reshape(start.shape)


def monte_carlo(
    weights: Array,
    covariance: Array,
    features: Array,
    labels: Array,
    gamma: float,
    points: Array,
    n_hypotheses: int,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Sample whole weight matrices; return predictions (T, C) and the weighted mean (C, D)."""
    factor = np.linalg.cholesky(covariance)
    normals = rng.normal(size=(n_hypotheses, *weights.shape))
    hypotheses = weights + normals @ factor.T
    fits = log_softmax(hypotheses @ features.T, axis=1)
    evidence = sum(fits[:, int(label), i] for i, label in enumerate(labels))
    share = softmax(gamma * np.asarray(evidence))
    predictions = softmax(points @ hypotheses.swapaxes(1, 2), axis=2)
    return np.tensordot(share, predictions, axes=1), np.tensordot(share, hypotheses, axes=1)


def two_class_integral(difference: float, variance: float) -> float:
    """E[sigmoid(f)] for f ~ N(difference, variance), by Gauss-Hermite quadrature."""
    nodes, shares = np.polynomial.hermite_e.hermegauss(80)
    values = 1 / (1 + np.exp(-(difference + np.sqrt(variance) * nodes)))
    return float(shares @ values / shares.sum())
