"""The first-order update: one gradient step per label, blind to the curvature.

For each new instance in turn, W' = W + gamma (e_y - softmax(W phi)) phi^T. Since only the logits of
the later instances are needed on the way, the recursion runs on the Gram matrix of the batch:

    f_i = W phi_i + gamma sum_{j<i} (phi_i^T phi_j) r_j,      r_i = e_{y_i} - softmax(f_i)

and W' = W + gamma sum_i r_i phi_i^T. The step ignores the covariance, but a loop that goes on from
here must not forget what has been observed: the covariance takes in the new instances' curvature
at the new mean, as in the other updates.
"""

import torch
from torch import Tensor

from alupdate.laplace.posterior import Layer, LowRankUpdate


def first_order(
    posterior: Layer, features: Tensor, labels: Tensor, gamma: float
) -> LowRankUpdate[Layer]:
    """Update the posterior with b labels, one after the other.

    Args:
        posterior: before the update; it is left as it is.
        features: (b, D), of the newly labelled instances, in order.
        labels: (b,), their class indices.
        gamma: step size; useful values shrink with the squared length of the features.
    """
    coefficients = first_order_batches(
        (features @ features.T)[None], posterior.logits(features)[None], labels[None], gamma
    )[0]
    mean = torch.addmm(posterior.mean, coefficients.T, features)
    weights = posterior.curvatures(features @ mean.T)
    updated = posterior.conditioned(mean, features, weights)
    return LowRankUpdate(updated, features, coefficients, weights)


def first_order_batches(gram: Tensor, logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """Return the coefficients (M, b, C) of the first-order update on each of M batches.

    New logits of any points T are ``old + Phi_T Phi_B^T @ coefficients``.

    Args:
        gram: (M, b, b), Phi_B Phi_B^T of each batch.
        logits: (M, b, C), of the batch members before the update.
        labels: (M, b), the class indices to update with.
        gamma: step size.
    """
    targets = torch.nn.functional.one_hot(labels, logits.shape[2]).to(logits.dtype)
    coefficients = torch.empty_like(logits)
    for i in range(labels.shape[1]):
        drift = (gram[:, i, None, :i] @ coefficients[:, :i])[:, 0]
        probabilities = torch.softmax(logits[:, i] + drift, dim=1)
        coefficients[:, i] = gamma * (targets[:, i] - probabilities)
    return coefficients
