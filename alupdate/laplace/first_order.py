"""The first-order update: one gradient step per label, without curvature [Huseljic2025].

For each new instance in turn, W' = W + gamma (e_y - softmax(W phi)) phi^T. Since only the logits of
the later instances are needed on the way, the recursion runs on the Gram matrix of the batch:

    f_i = W phi_i + gamma sum_{j<i} (phi_i^T phi_j) r_j,      r_i = e_{y_i} - softmax(f_i)

and W' = W + gamma sum_i r_i phi_i^T. The step ignores the covariance, but a loop that goes on from
here must not forget what has been observed: the covariance takes in the new instances' curvature
at the new mean, as in the other updates.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from alupdate.laplace.arrays import on_host, one_hot
from alupdate.laplace.names import FIRST_ORDER, LIKELIHOODS, Likelihood
from alupdate.laplace.posterior import LastLayerPosterior, Layer
from alupdate.laplace.rules import LowRankUpdate, UpdateRule
from alupdate.laplace.tiles import is_accelerator, is_for_host


@dataclass(frozen=True)
class FirstOrder(UpdateRule):
    """One step of stochastic gradient descent per label.

    Useful step sizes shrink with the squared length of the features, hence they have no scale on
    which ``step_size.choose_gamma`` could search.
    """

    name: ClassVar[str] = FIRST_ORDER
    likelihoods: ClassVar[tuple[Likelihood, ...]] = LIKELIHOODS
    tunable: ClassVar[bool] = False
    projects: ClassVar[bool] = False

    @override
    def apply(
        self, posterior: LastLayerPosterior, features: Tensor, labels: Tensor, gamma: float
    ) -> LowRankUpdate[LastLayerPosterior]:
        return first_order(posterior, features, labels, gamma)

    @override
    def directions(self, posterior: LastLayerPosterior, features: Tensor) -> Tensor:
        return features[None]

    @override
    def coefficients(
        self,
        posterior: LastLayerPosterior,
        gram: Tensor,
        logits: Tensor,
        labels: Tensor,
        gamma: float,
    ) -> Tensor:
        return first_order_batches(gram[:, 0], logits, labels, gamma)

    @override
    def step(
        self, posterior: LastLayerPosterior, lengths: Tensor, logits: Tensor, gamma: float
    ) -> Tensor:
        return torch.full_like(lengths, gamma)


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
    count, size, classes = logits.shape
    targets = one_hot(labels, classes, logits)
    if is_accelerator(gram.device) and is_for_host(gram, size, count * size * (size + classes)):
        kernel, start, wanted = map(torch.from_numpy, on_host(gram, logits, targets))
        return _coefficients(kernel, start, wanted, gamma).to(gram.device)
    return _coefficients(gram, logits, targets, gamma)


def _coefficients(gram: Tensor, logits: Tensor, targets: Tensor, gamma: float) -> Tensor:
    coefficients = torch.empty_like(logits)
    for i in range(logits.shape[1]):
        drift = (gram[:, i, None, :i] @ coefficients[:, :i])[:, 0]
        probabilities = torch.softmax(logits[:, i] + drift, dim=1)
        coefficients[:, i] = gamma * (targets[:, i] - probabilities)
    return coefficients
