"""Random small problems for the property tests of the updates, with every likelihood."""

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from alupdate.laplace.names import Likelihood
from alupdate.laplace.posterior import LastLayerPosterior
from alupdate.laplace.rules import UpdateRule
from alupdate.laplace.updates import fit, update_rule
from tests.support import references_updates as reference

steady = settings(derandomize=True, deadline=None, max_examples=25)

COMBINATIONS: list[tuple[str, Likelihood]] = [
    ("first_order", "gaussian"),
    ("first_order", "per_class"),
    ("second_order", "gaussian"),
    ("second_order", "categorical"),
    ("map", "gaussian"),
    ("map", "categorical"),
    ("map", "per_class"),
    ("monte_carlo", "gaussian"),
    ("monte_carlo", "categorical"),
]


@dataclass(frozen=True)
class Problem:
    """Trained weights, what they were trained on, new labels, points to predict; float64."""

    mean: Tensor
    old: Tensor
    features: Tensor
    labels: Tensor
    points: Tensor
    prior: float

    def posterior(self, likelihood: Likelihood) -> LastLayerPosterior:
        return fit(self.mean, self.old, likelihood, self.prior)

    def covariances(self, likelihood: Likelihood) -> reference.Array:
        """The naive inverse, one (D, D) per class."""
        return reference.covariances(self.mean.numpy(), self.old.numpy(), likelihood, self.prior)


def make_problem(
    seed: int = 0, dimension: int = 5, classes: int = 3, size: int = 4, n_old: int = 7
) -> Problem:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(rng.normal(size=shape))

    return Problem(
        normal(classes, dimension),
        normal(n_old, dimension),
        normal(size, dimension),
        torch.from_numpy(rng.integers(classes, size=size)),
        normal(9, dimension),
        float(rng.uniform(0.1, 3)),
    )


problems = st.builds(
    make_problem,
    seed=st.integers(0, 2**32 - 1),
    dimension=st.integers(1, 9),
    classes=st.integers(2, 5),
    size=st.integers(1, 6),
    n_old=st.integers(1, 14),
)
gammas = st.floats(0.01, 100)
likelihoods: st.SearchStrategy[Likelihood] = st.sampled_from(
    ["gaussian", "categorical", "per_class"]
)
combinations = st.sampled_from(COMBINATIONS)


def small_rule(name: str) -> UpdateRule:
    """The rule, with few hypotheses where it draws any."""
    return update_rule(name, seed=3, n_hypotheses=200)


def dense(posterior: LastLayerPosterior) -> Tensor:
    """The covariances (K, D, D), read off the projections of the unit vectors."""
    return posterior.project(torch.eye(posterior.mean.shape[1], dtype=posterior.mean.dtype))
