"""Applying an update rule to a model, and choosing its step size."""

from dataclasses import replace

import torch
from torch import Tensor

from alupdate.config import RunConfig, UpdateConfig, UpdateName
from alupdate.data.instances import IntArray
from alupdate.data.pool import Pool
from alupdate.laplace.posterior import LastLayer, Updated
from alupdate.laplace.step_size import choose_gamma
from alupdate.laplace.updates import Rule, fit, update_rule
from alupdate.learner import Model, train_last_layer
from alupdate.seeds import Stream, generator, sub_seed


def make_rule(name: UpdateName, settings: UpdateConfig, seed: int) -> Rule:
    """Return an update rule; only the Monte-Carlo update draws anything, from its own stream."""
    return update_rule(name, sub_seed(generator(seed, Stream.HYPOTHESES)), settings.n_hypotheses)


def apply_rule(
    rule: Rule, model: Model, indices: IntArray, labels: IntArray, gamma: float
) -> Updated:
    """Return the outcome of updating a model's posterior with newly bought labels (b,)."""
    rows, targets = labelled(model, indices, labels)
    return rule.update(model.posterior, rows, targets, gamma)


def updated_model(
    rule: Rule, model: Model, indices: IntArray, labels: IntArray, gamma: float
) -> Model:
    """Return the model after an update with newly bought labels (b,)."""
    return replace(model, posterior=apply_rule(rule, model, indices, labels, gamma).posterior)


def step_size(
    rule: Rule,
    model: Model,
    pool: Pool,
    n_new: int,
    config: RunConfig,
    cycle: int,
) -> float:
    """Return the configured gamma; for ``auto``, the one that rehearsals on the labels prefer.

    Each rehearsal trains a last layer, by the configured solver, on part of the labelled
    instances and the model's present features. A step that suits the exact optimum does not suit
    the recipe's 200 epochs towards it, so the solver must be the one that trained the model.

    Args:
        rule: the update whose step size is sought.
        model: whose features are used.
        pool: what is labelled.
        n_new: how many labels the update will bring.
        config: seed, and settings of the update group.
        cycle: numbers the random splits.

    Raises:
        ValueError: ``auto`` with fewer than three labelled instances.
    """
    settings = config.update
    if settings.gamma != "auto":
        return settings.gamma
    rows, targets = labelled(model, pool.indices, pool.labels)
    classes = model.posterior.mean.shape[0]

    def rehearsal_fit(features: Tensor, given: Tensor) -> LastLayer:
        weights = train_last_layer(features, given, classes, settings, config.seed, cycle)
        return fit(weights, features, settings.likelihood, settings.prior_precision)

    rng = generator(config.seed, Stream.STEP_SIZE, cycle)
    return choose_gamma(rule, rehearsal_fit, rows, targets, n_new, rng)


def labelled(model: Model, indices: IntArray, labels: IntArray) -> tuple[Tensor, Tensor]:
    """Return the features (N, D) and labels (N,) of pool instances, on the model's device."""
    rows = model.pool[torch.from_numpy(indices)]
    return rows, torch.from_numpy(labels).to(rows.device)
