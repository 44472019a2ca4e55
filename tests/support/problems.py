"""Random small problems for property tests."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from alupdate.laplace.posterior import Posterior, fit_posterior
from alupdate.laplace.updates import update_rule
from alupdate.models.training import optimal_linear
from alupdate.strategies.base import Oracle, Query


@dataclass(frozen=True)
class Problem:
    """A posterior, new labelled instances, and points to predict; float64."""

    posterior: Posterior
    features: Tensor
    labels: Tensor
    points: Tensor
    point_labels: Tensor
    gamma: float


def make_problem(
    seed: int,
    dimension: int,
    classes: int,
    size: int,
    gamma: float,
    likelihood: Literal["gaussian", "categorical"],
) -> Problem:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(rng.normal(size=shape))

    def classes_of(count: int) -> Tensor:
        return torch.from_numpy(rng.integers(classes, size=count))

    posterior = fit_posterior(
        normal(classes, dimension), normal(7, dimension), likelihood, float(rng.uniform(0.1, 3))
    )
    return Problem(
        posterior,
        normal(size, dimension),
        classes_of(size),
        normal(9, dimension),
        classes_of(9),
        gamma,
    )


problems = st.builds(
    make_problem,
    seed=st.integers(0, 2**32 - 1),
    dimension=st.integers(1, 12),
    classes=st.integers(2, 6),
    size=st.integers(1, 8),
    gamma=st.floats(0.01, 30),
    likelihood=st.sampled_from(["gaussian", "categorical"]),
)


HYPOTHETICAL = [
    ("first_order", "gaussian"),
    ("second_order", "gaussian"),
    ("second_order", "categorical"),
    ("map", "gaussian"),
    ("map", "per_class"),
]
"""Updates and likelihoods that look-ahead evaluates without sampling."""


def make_query(
    candidates: int = 40,
    dimension: int = 6,
    classes: int = 3,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    features: Tensor | None = None,
    taken: tuple[int, ...] = (),
    update: str = "second_order",
    labelled: int = 8,
) -> Query:
    """A query on random data, with a rule and an oracle for the strategies that need them.

    Without labelled instances the posterior is the prior.
    """
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(rng.normal(size=shape)).to(dtype)

    points = normal(candidates, dimension) if features is None else features.to(dtype)
    dimension = points.shape[1]
    known = normal(labelled, dimension)
    mean = normal(classes, dimension) * bool(labelled)
    posterior = fit_posterior(mean, known, "gaussian", 1.0)
    known_labels = torch.from_numpy(rng.integers(classes, size=labelled))
    candidate_labels = torch.from_numpy(rng.integers(classes, size=candidates))
    query = Query.of(
        posterior,
        points,
        known,
        known_labels,
        seed=seed,
        rule=update_rule(update, n_hypotheses=100),
        oracle=Oracle(
            candidate_labels,
            normal(25, dimension),
            torch.from_numpy(rng.integers(classes, size=25)),
        ),
        retrain=partial(optimal_linear, n_classes=classes, weight_decay=0.1),
    )
    picked = torch.tensor(taken, dtype=torch.int64)
    return replace(query, picked=picked, picked_labels=candidate_labels[picked])
