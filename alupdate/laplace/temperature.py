"""A temperature for the logits of a last layer [Guo2017], and logits left out in closed form.

The model has learnt all labels, so that on these its probabilities say nothing about new ones. What
it would say of an instance i without its label needs no second training: the MAP update is easily
taken back. Let W_-i and Sigma_-i,c (one covariance per class) be the posterior without label i. The
update with it (``alupdate.laplace.map``, gamma 1) ends where

    w_c = w_-i,c + (e_c - p_c) Sigma_-i,c phi_i,        p = softmax(W phi_i)

with p at the mean *after* the update, which is known. So the logits before it were

    f_-i,c = f_c - (e_c - p_c) v_-i,c,                  v_-i,c = phi_i^T Sigma_-i,c phi_i

By Sherman and Morrison's identity v_-i,c = v_c / (1 - w_c v_c), with w_c = p_c (1 - p_c) and
v_c = phi_i^T Sigma_c phi_i of the posterior with all labels. This is one step of Newton's method
from the mode towards that without i, with the Hessian's class blocks.

The prior N(0, I / lambda) of that posterior must be one under which W is a mode, or nearly: a mode
has W = R / lambda, R = sum_n (e_n - p_n) phi_n^T. Trained weights say what their prior is: lambda
is that of the least squares |W - R / lambda|^2.
"""

import math

import torch
from torch import Tensor

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.05, 20.0
LEAST_CURVATURE = 1e-8
"""Of a class, per observation; with less than that its residual is nothing, either."""


def best_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature T that minimises the mean of -log softmax(logits / T)_label.

    As a function of 1 / T it is convex, so that there is one minimum.

    Args:
        logits: (N, C), labels: (N,).
    """
    from scipy.optimize import minimize_scalar  # half a second that other runs need not wait

    wide, targets = logits.double().cpu(), labels.cpu()  # some thirty small sums

    def loss(power: float) -> float:
        return torch.nn.functional.cross_entropy(wide / math.exp(power), targets).item()

    bounds = math.log(LOWEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE)
    result = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return math.exp(float(result.x))


def implied_precision(mean: Tensor, features: Tensor, labels: Tensor) -> float | None:
    """Return the prior precision under which trained weights come closest to being a mode.

    None where there is none: where the weights do not point to the labels.

    Args:
        mean: (C, D), the weights.
        features: (N, D), labels: (N,), on which they were trained.
    """
    pull = _residuals(features @ mean.T, labels).T @ features
    along, square = float((mean * pull).sum()), float(pull.square().sum())
    found = square / along if along > 0 else math.inf
    return found if 0 < found < math.inf else None


def leave_one_out_logits(
    mean: Tensor, features: Tensor, labels: Tensor, precision: float
) -> Tensor:
    """Return the logits (N, C), in float64, of each instance without its own label.

    Args:
        mean: (C, D), the weights trained on all labels.
        features: (N, D), labels: (N,).
        precision: lambda of the prior.

    Cost: O(C m^2 max(N, D)) with m the smaller of N and D, memory for one class at a time.

    Example:
        >>> import torch
        >>> from alupdate.laplace.temperature import leave_one_out_logits
        >>> features, labels = torch.tensor([[1.0], [1.0], [-1.0]]), torch.tensor([0, 0, 1])
        >>> leave_one_out_logits(torch.tensor([[0.5], [-0.5]]), features, labels, 1.0)[:, 0]
        tensor([ 0.3070,  0.3070, -0.3070], dtype=torch.float64)
    """
    rows = features.double()
    logits = rows @ mean.double().T
    residuals = _residuals(logits, labels)
    probabilities = torch.softmax(logits, dim=1)
    weights = (probabilities * (1 - probabilities)).clamp_(min=LEAST_CURVATURE)
    dual = len(rows) <= rows.shape[1]
    gram = rows @ rows.T if dual else rows
    for c, column in enumerate(weights.T):
        spread = _dual_spread if dual else _primal_spread
        logits[:, c] -= residuals[:, c] * spread(gram, column, precision)
    return logits


def logits_without_own_label(mean: Tensor, features: Tensor, labels: Tensor) -> Tensor | None:
    """Return ``leave_one_out_logits`` (N, C) under the prior that trained weights imply.

    None where nothing can be left out: with fewer than two labels, with weights that do not point
    to the labels, so that no prior fits them, and where the posterior is too ill-conditioned to be
    inverted in float64.

    Args:
        mean: (C, D), the weights trained on all labels.
        features: (N, D), labels: (N,).
    """
    if len(labels) < 2:
        return None
    wide, rows = mean.double(), features.double()
    precision = implied_precision(wide, rows, labels)
    if precision is None:
        return None
    try:
        logits = leave_one_out_logits(wide, rows, labels, precision)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return None
    return logits if torch.isfinite(logits).all() else None


def temperature_of_labels(mean: Tensor, features: Tensor, labels: Tensor) -> float:
    """Return the temperature under which left-out labels are most likely [Guo2017].

    It is 1 where there is nothing to choose by: with labels of fewer than two classes, and where
    ``logits_without_own_label`` has none. Arguments are those of that function.
    """
    if len(torch.unique(labels)) < 2:
        return 1.0
    logits = logits_without_own_label(mean, features, labels)
    return 1.0 if logits is None else best_temperature(logits, labels)


def _residuals(logits: Tensor, labels: Tensor) -> Tensor:
    """Return e_y - softmax(f), (N, C)."""
    targets = torch.nn.functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return targets - torch.softmax(logits, dim=1)


def _dual_spread(gram: Tensor, weights: Tensor, precision: float) -> Tensor:
    """Return v_-i (N,) of one class from Phi Phi^T (N, N) and curvatures (N,).

    With S = diag(sqrt(w)) and A = I + S Phi Phi^T S / lambda, 1 - w_i v_i = (A^-1)_ii.
    """
    roots = weights.sqrt()
    system = roots[:, None] * gram * (roots / precision)
    system.diagonal().add_(1)
    left = torch.cholesky_inverse(torch.linalg.cholesky(system)).diagonal()
    spread: Tensor = (1 / left - 1) / weights
    return spread


def _primal_spread(rows: Tensor, weights: Tensor, precision: float) -> Tensor:
    """Return v_-i (N,) of one class from Phi (N, D) and curvatures (N,)."""
    system = rows.T @ (weights[:, None] * rows)
    system.diagonal().add_(precision)
    half: Tensor = torch.linalg.solve_triangular(torch.linalg.cholesky(system), rows.T, upper=False)
    variances = half.square().sum(dim=0)
    return variances / (1 - weights * variances).clamp_(min=LEAST_CURVATURE)
