"""The paper's update: one second-order step per label, with the closed-form inverse Hessian."""

import torch
from torch import Tensor

from alupdate.laplace.dual import update_batches
from alupdate.laplace.posterior import LastLayer, LowRankUpdate, Posterior, require_shared


def second_order(
    posterior: LastLayer, features: Tensor, labels: Tensor, gamma: float
) -> LowRankUpdate[Posterior]:
    """Update the posterior with b labels, one after the other.

    For each instance (Huseljic et al. 2025, update equations of mean and covariance):

        Sigma' = Sigma - w / (1 + w v) (Sigma phi)(Sigma phi)^T,     v = phi^T Sigma phi
        W'     = W + gamma (e_y - softmax(W phi)) (Sigma' phi)^T

    computed for the whole batch in the dual form of ``alupdate.laplace.dual``: O(b D^2) to project
    the features, once. Updates accumulate: b updates with one label equal one update with b.

    Args:
        posterior: before the update; it is left as it is.
        features: (b, D), of the newly labelled instances, in order.
        labels: (b,), their class indices.
        gamma: step size.

    Raises:
        ValueError: each class has its own covariance. A single step along p_c (1 - p_c), which
            nearly vanishes where a class is far from the decision, overshoots; see ``map_update``.
    """
    shared = require_shared(posterior, "second_order")
    projected = shared.project(features)[0]
    update = update_batches(
        (projected @ features.T)[None],
        shared.logits(features)[None],
        labels[None],
        gamma,
        shared.likelihood,
    )
    coefficients = gamma * update.coefficients[0]
    mean = torch.addmm(shared.mean, coefficients.T, projected)
    updated = shared.reduced(mean, update.reducers[0] @ projected)
    return LowRankUpdate(updated, projected, coefficients, update.weights[0][:, None])
