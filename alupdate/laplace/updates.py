"""All updates behind one interface, so that loops and strategies can use any of them by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from alupdate.laplace.first_order import first_order, first_order_batches
from alupdate.laplace.map import map_batches, map_update
from alupdate.laplace.monte_carlo import monte_carlo, monte_carlo_batches
from alupdate.laplace.per_class import fit_multinomial
from alupdate.laplace.posterior import LastLayer, Likelihood, Updated, fit_posterior, require_shared
from alupdate.laplace.second_order import second_order, update_batches

UpdateName = Literal["first_order", "second_order", "map", "monte_carlo"]

N_HYPOTHESES = 10_000
"""The paper's number of Monte-Carlo hypotheses."""


@dataclass(frozen=True)
class Rule:
    """An update, and the means to foresee its effect for many batches at once.

    Attributes:
        update: (posterior, features (b, D), labels (b,), gamma) -> the updated model.
        directions: (posterior, features (P, D)) -> (K, P, D), along which an instance moves the
            weights of the classes; K = 1 where it is the same for all of them.
        coefficients: (posterior, gram (M, K, b, b), logits (M, b, C), labels (M, b), gamma) ->
            (M, b, C). The gram matrices are ``directions @ features^T`` within each batch. The
            new weights of class c are ``old_c + coefficients[m, :, c] @ directions_c[batch m]``.
        projects: whether the directions are Sigma_k phi, and so shrink as labels come in.
        step: of updates with one instance whose coefficients are ``step * (e_y - p)``, whatever
            the label: (posterior, lengths (R,), logits (R, C), gamma) -> (R,), where the lengths
            are ``direction @ feature``. None for the other updates.
    """

    update: Callable[[LastLayer, Tensor, Tensor, float], Updated]
    directions: Callable[[LastLayer, Tensor], Tensor]
    coefficients: Callable[[LastLayer, Tensor, Tensor, Tensor, float], Tensor]
    projects: bool
    step: Callable[[LastLayer, Tensor, Tensor, float], Tensor] | None = None


def update_rule(name: UpdateName, seed: int = 0, n_hypotheses: int = N_HYPOTHESES) -> Rule:
    """Return the update of that name as pure functions.

    Args:
        name: ``first_order``, ``second_order``, ``map`` or ``monte_carlo``.
        seed: of the hypotheses of ``monte_carlo``; the others draw nothing.
        n_hypotheses: of ``monte_carlo``.
    """
    if name == "monte_carlo":
        return _monte_carlo_rule(seed, n_hypotheses)
    return {
        "first_order": Rule(
            first_order, _features_themselves, _first_order_coefficients, False, _first_order_step
        ),
        "second_order": Rule(
            second_order, _projected, _second_order_coefficients, True, _second_order_step
        ),
        "map": Rule(map_update, _projected, _map_coefficients, True),
    }[name]


def _monte_carlo_rule(seed: int, n_hypotheses: int) -> Rule:
    """Draw the same hypotheses in every call: the rule stays a function of its arguments."""

    def update(posterior: LastLayer, features: Tensor, labels: Tensor, gamma: float) -> Updated:
        rng = np.random.default_rng(seed)
        return monte_carlo(posterior, features, labels, gamma, n_hypotheses, rng)

    def coefficients(
        posterior: LastLayer, gram: Tensor, logits: Tensor, labels: Tensor, gamma: float
    ) -> Tensor:
        require_shared(posterior, "monte_carlo")
        rng = np.random.default_rng(seed)
        return monte_carlo_batches(gram[:, 0], logits, labels, gamma, n_hypotheses, rng)

    return Rule(update, _projected, coefficients, True)


def mean_changes(directions: Tensor, coefficients: Tensor) -> Tensor:
    """Return the changes (M, C, D) of the mean weights by each of M hypothetical updates.

    Args:
        directions: (K, M, b, D), of the members of each batch.
        coefficients: (M, b, C), from ``Rule.coefficients``.
    """
    if len(directions) == 1:
        return coefficients.mT @ directions[0]
    return torch.einsum("mbc,cmbd->mcd", coefficients, directions)


def fit(
    mean: Tensor, features: Tensor, likelihood: Likelihood, prior_precision: float
) -> LastLayer:
    """Return the Laplace posterior around trained weights (C, D) for any likelihood.

    See ``posterior.fit_posterior`` and ``multinomial.fit_multinomial``.
    """
    if likelihood == "per_class":
        return fit_multinomial(mean, features, prior_precision)
    return fit_posterior(mean, features, likelihood, prior_precision)


def _projected(posterior: LastLayer, features: Tensor) -> Tensor:
    return posterior.project(features)


def _features_themselves(_: LastLayer, features: Tensor) -> Tensor:
    return features[None]


def _first_order_coefficients(
    _: LastLayer, gram: Tensor, logits: Tensor, labels: Tensor, gamma: float
) -> Tensor:
    return first_order_batches(gram[:, 0], logits, labels, gamma)


def _first_order_step(_: LastLayer, lengths: Tensor, logits: Tensor, gamma: float) -> Tensor:
    return torch.full_like(lengths, gamma)


def _second_order_step(
    posterior: LastLayer, lengths: Tensor, logits: Tensor, gamma: float
) -> Tensor:
    weights = require_shared(posterior, "second_order").curvatures(logits)[:, 0]
    return gamma / (1 + weights * lengths)


def _second_order_coefficients(
    posterior: LastLayer, gram: Tensor, logits: Tensor, labels: Tensor, gamma: float
) -> Tensor:
    likelihood = require_shared(posterior, "second_order").likelihood
    updates = update_batches(gram[:, 0], logits, labels, gamma, likelihood)
    return gamma * updates.coefficients


def _map_coefficients(
    _: LastLayer, gram: Tensor, logits: Tensor, labels: Tensor, gamma: float
) -> Tensor:
    return map_batches(gram, logits, labels, gamma)
