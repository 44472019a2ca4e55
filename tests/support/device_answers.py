"""The same step on the CPU and on a device: what has to agree, and how closely.

In float64, so that rounding, which differs between devices, decides no choice.
"""

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch

from alupdate.config import PosteriorConfig, TrainingConfig
from alupdate.data.feature_cache import Features
from alupdate.laplace.updates import laplace_posterior, update_rule
from alupdate.models.learner import FrozenLearner, LearnerSettings
from alupdate.strategies.batches import build_batch
from tests.support.problems import make_query

CPU = torch.device("cpu")
CLASSES, DIMENSION = 4, 6
CLOSE = {"rtol": 1e-6, "atol": 1e-9}
AFTER_TRAINING = {"rtol": 1e-3, "atol": 1e-4}
"""In float32, after some hundred steps."""


def moved(value: Any, device: torch.device) -> Any:
    """Return a copy of a query or the like with its tensors on a device, and its own generator."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, np.random.Generator):
        return np.random.default_rng(0)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    return replace(
        value, **{f.name: moved(getattr(value, f.name), device) for f in fields(value) if f.init}
    )


def check_strategy(strategy, batch, device):
    """The strategy chooses the same batch on both, in order, by the same utilities."""
    query = make_query(seed=3, dtype=torch.float64, taken=(0, 3))
    if strategy.hypothetical_update is not None:
        query = replace(query, rule=update_rule(strategy.hypothetical_update))
    rule = update_rule(getattr(batch, "update", None) or "second_order", n_hypotheses=50)
    choices, scores = [], []
    for place in (CPU, device):
        asked = moved(query, place)
        truth = asked.oracle.candidate_labels
        if getattr(strategy, "utilities", None) is not None:
            scores.append(strategy.utilities(replace(asked, rng=np.random.default_rng(1))))
        choices.append(
            build_batch(
                strategy,
                asked,
                batch,
                rule,
                annotate=lambda picked, truth=truth: truth[torch.from_numpy(picked)],
            )
        )
    assert choices[0].tolist() == choices[1].tolist()
    compare(scores, device)


def check_update(name, likelihood, device):
    """The updated posterior is the same on both: weights, and logits and variances of points."""
    rng = np.random.default_rng(0)
    weights, known, new, points = (
        torch.from_numpy(rng.normal(size=(count, DIMENSION))) for count in (CLASSES, 9, 5, 11)
    )
    labels = torch.from_numpy(rng.integers(CLASSES, size=5))
    found = []
    for place in (CPU, device):
        before = laplace_posterior(weights.to(place), known.to(place), likelihood, 1.0)
        rule = update_rule(name, n_hypotheses=50)
        after = rule.apply(before, new.to(place), labels.to(place), 0.5).posterior
        there = points.to(place)
        found.append((after.mean, after.logits(there), after.variances(there)))
    for pair in zip(*found, strict=True):
        compare(pair, device)


def check_solver(solver, likelihood, device):
    """Retraining gives the same model on both, and leaves it where the features are."""
    rng = np.random.default_rng(0)
    pool, test = (rng.normal(size=(count, DIMENSION)).astype(np.float32) for count in (60, 20))
    labels = (pool[:, :CLASSES] @ np.eye(CLASSES)).argmax(axis=1)
    training = TrainingConfig(solver=solver, epochs=20, minibatch=16)
    settings = LearnerSettings(training, PosteriorConfig(likelihood=likelihood), seed=0)
    found = []
    for place in (CPU, device):
        learner = FrozenLearner(Features(pool, test), CLASSES, settings, place)
        model = learner.fit(np.arange(40), labels[:40], cycle=1)
        found.append((model.posterior.logits(model.test), model.posterior.variances(model.test)))
    for pair in zip(*found, strict=True):
        compare(pair, device, AFTER_TRAINING)


def compare(pair, device, close=CLOSE):
    """The second of two tensors is on the device, and like the first; nothing is compared of none.

    Raises:
        AssertionError: it is elsewhere, or differs.
    """
    if not len(pair):
        return
    first, second = pair
    assert second.device.type == device.type
    torch.testing.assert_close(second.cpu(), first, equal_nan=True, **close)
