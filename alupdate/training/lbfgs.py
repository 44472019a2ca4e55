"""The exact optimum of the recipe's objective for a linear layer."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax
from torch import Tensor

GRADIENT_TOLERANCE = 1e-6
MAX_ITERATIONS = 5000


def optimal_linear(features: Tensor, labels: Tensor, n_classes: int, weight_decay: float) -> Tensor:
    """Return argmin_W  mean_n CE(W phi_n, y_n) + weight_decay / 2 ||W||^2, of shape (C, D).

    The objective is strictly convex, so the start does not matter. Its minimiser lies in the span
    of the features: with Phi^T = Q R (Q of shape (D, min(N, D))) the rotated problem has
    min(N, D) columns and the same optimum W = V Q^T, which is what makes few labels cheap.

    Args:
        features: (N, D), labels: (N,).

    Raises:
        RuntimeError: the gradient did not fall below ``GRADIENT_TOLERANCE``.
    """
    basis, triangle = torch.linalg.qr(features.cpu().double().T)
    rows: NDArray[np.float64] = triangle.T.contiguous().numpy()
    targets = np.eye(n_classes)[labels.cpu().numpy()]
    result = minimize(
        _objective,
        np.zeros(n_classes * rows.shape[1]),
        args=(rows, targets, weight_decay),
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": MAX_ITERATIONS,
            "maxfun": 2 * MAX_ITERATIONS,
            "maxcor": 20,
            "gtol": GRADIENT_TOLERANCE,
            "ftol": 0.0,
        },
    )
    steepest = float(np.abs(result.jac).max())
    if steepest > 10 * GRADIENT_TOLERANCE:
        raise RuntimeError(
            f"L-BFGS stopped with a gradient of {steepest:.1e} after {result.nit} iterations: "
            f"{result.message}"
        )
    solution = torch.from_numpy(np.asarray(result.x).reshape(n_classes, -1)) @ basis.T
    weights: Tensor = solution.to(features)
    return weights


def _objective(
    flat: NDArray[np.float64],
    rows: NDArray[np.float64],
    targets: NDArray[np.float64],
    weight_decay: float,
) -> tuple[float, NDArray[np.float64]]:
    """Return value and gradient at flattened weights, for rows (N, r) and targets (N, C)."""
    weights = flat.reshape(targets.shape[1], -1)
    log_probabilities = log_softmax(rows @ weights.T, axis=1)
    value = -(targets * log_probabilities).sum() / len(rows)
    errors = (np.exp(log_probabilities) - targets) / len(rows)
    gradient = errors.T @ rows + weight_decay * weights
    return value + weight_decay / 2 * float(flat @ flat), gradient.ravel()
