"""The exact optimum of the recipe's objective for a linear layer."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from alupdate.threads import one_blas_thread, threads_for

GRADIENT_TOLERANCE = 1e-6
MAX_ITERATIONS = 5000


def optimal_linear(features: Tensor, labels: Tensor, n_classes: int, weight_decay: float) -> Tensor:
    """Return argmin_W  mean_n CE(W phi_n, y_n) + weight_decay / 2 ||W||^2, of shape (C, D).

    The objective is strictly convex, so the start does not matter. Its minimiser lies in the span
    of the features: with Phi^T = Q R (Q of shape (D, N)) the rotated problem has N columns and the
    same optimum W = V Q^T, which is what makes few labels cheap. From N = D / 2 on, the rotation
    takes longer than what it saves.

    Args:
        features: (N, D), labels: (N,).

    Raises:
        RuntimeError: the gradient did not fall below ``GRADIENT_TOLERANCE``.
    """
    rows = features.cpu().double()
    basis = None
    if 2 * len(rows) < rows.shape[1]:
        basis, triangle = torch.linalg.qr(rows.T)
        rows = triangle.T.contiguous()
    targets = torch.nn.functional.one_hot(labels.cpu(), n_classes).T.double()
    with threads_for(rows.numel() * n_classes), one_blas_thread():
        result = minimize(
            _objective,
            np.zeros(n_classes * rows.shape[1]),
            args=(rows, rows.T.contiguous(), targets, weight_decay),
            jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": MAX_ITERATIONS,
                "maxfun": 2 * MAX_ITERATIONS,
                "maxcor": 10,
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
    solution = torch.from_numpy(np.asarray(result.x).reshape(n_classes, -1))
    weights: Tensor = (solution if basis is None else solution @ basis.T).to(features)
    return weights


def _objective(
    flat: NDArray[np.float64], rows: Tensor, columns: Tensor, targets: Tensor, weight_decay: float
) -> tuple[float, NDArray[np.float64]]:
    """Return value and gradient at flattened weights.

    Args:
        flat: (C * r,).
        rows: (N, r), the features.
        columns: (r, N), the same transposed: either product then runs along its second operand.
        targets: (C, N), one-hot labels.
        weight_decay: of the squared weights.
    """
    weights = torch.from_numpy(flat).view(len(targets), -1)
    log_probabilities = torch.log_softmax(weights @ columns, dim=0)
    value = -(targets * log_probabilities).sum() / len(rows)
    errors = log_probabilities.exp_().sub_(targets).div_(len(rows))
    gradient = (errors @ rows).add_(weights, alpha=weight_decay)
    return float(value) + weight_decay / 2 * float(flat @ flat), gradient.numpy().ravel()
