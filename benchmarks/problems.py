"""Classification problems of any size, on which a linear layer is right most of the time."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from alupdate.laplace.posterior import Posterior, fit_posterior
from alupdate.laplace.updates import update_rule
from alupdate.models.many_trainings import train_alone
from alupdate.models.training import Recipe, optimal_linear
from alupdate.strategies.base import Oracle, Query
from benchmarks.measure import CPU

WEIGHT_DECAY = 1e-4
_ROWS = 2**15
RECIPE = Recipe(0.01, WEIGHT_DECAY, 200, 64)


@dataclass(frozen=True)
class Problem:
    """Features (N, D + 1), whose last column is the bias, and labels (N,)."""

    features: Tensor
    labels: Tensor


def make_problem(
    count: int, dimension: int, classes: int, seed: int = 0, device: torch.device = CPU
) -> Problem:
    """Return Gaussian classes that overlap; every seed draws from the same classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    centres = np.random.default_rng(99).normal(size=(classes, dimension))
    features = torch.ones(count, dimension + 1)
    for start in range(0, count, _ROWS):  # in parts: a large pool fits once, not in 64 bits
        part = labels[start : start + _ROWS]
        rows = rng.normal(size=(len(part), dimension)) + 0.3 * centres[part]
        features[start : start + _ROWS, :-1] = torch.from_numpy(rows)
    return Problem(features.to(device), torch.from_numpy(labels).to(device))


def fitted(problem: Problem, classes: int) -> Posterior:
    """Return the posterior of a layer trained to the optimum on a problem."""
    weights = optimal_linear(problem.features, problem.labels, classes, WEIGHT_DECAY)
    return fit_posterior(weights, problem.features, "gaussian", 1.0)


def query_of(
    posterior: Posterior, pool: Problem, labelled: Problem, evaluation: Problem | None = None
) -> Query:
    """Return a fresh query, always with the same random stream."""
    oracle = None
    if evaluation is not None:
        oracle = Oracle(pool.labels, evaluation.features, evaluation.labels)
    return Query.of(
        posterior,
        pool.features,
        labelled.features,
        labelled.labels,
        rule=update_rule("second_order"),
        oracle=oracle,
        retrain=partial(_recipe, torch.zeros_like(posterior.mean)),
    )


def _recipe(start: Tensor, features: Tensor, labels: Tensor) -> Tensor:
    """Return the weights (C, D) of a layer trained by the recipe with its default settings."""
    return train_alone(start, features, labels, RECIPE, np.random.default_rng(0))
