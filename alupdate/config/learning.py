"""The groups ``update``, ``posterior`` and ``training``: how a model learns from new labels."""

from typing import Literal

from pydantic.dataclasses import dataclass

from alupdate.config.values import (
    SETTINGS,
    Count,
    Flag,
    LikelihoodName,
    Positive,
    StepSize,
    UpdateName,
    UpdateOrRetrain,
)
from alupdate.laplace.names import GAUSSIAN, MAP, SECOND_ORDER, Predictive


@dataclass(frozen=True, config=SETTINGS)
class UpdateConfig:
    """How the model learns from an acquired batch, and the settings of every hypothetical update.

    Attributes:
        name: ``retrain``, or an update rule.
        gamma: step size of updates; ``auto`` for repeated hold-out validation on the labels.
        n_hypotheses: of the Monte-Carlo update.
        retrain_every: with an update rule, retrain in every k-th cycle all the same.
        compare: whether the other way of learning runs on the side.
        compare_with: where the model is retrained, the update to compare with.
    """

    name: UpdateOrRetrain
    gamma: StepSize = 10.0
    n_hypotheses: Count = 10_000
    retrain_every: Count | None = None
    compare: Flag = False
    compare_with: UpdateName = SECOND_ORDER


@dataclass(frozen=True, config=SETTINGS)
class PosteriorConfig:
    """The Laplace posterior over the weights of the last layer.

    Attributes:
        likelihood: the curvature that an observation adds to the precision.
        prior_precision: of the Gaussian prior.
        predictive: how test predictions use the posterior.
    """

    likelihood: LikelihoodName = GAUSSIAN
    prior_precision: Positive = 1.0
    predictive: Predictive = MAP


@dataclass(frozen=True, config=SETTINGS)
class TrainingConfig:
    """How the model is trained on all labels.

    Attributes:
        solver: the paper's recipe, or L-BFGS to the exact optimum of a linear layer.
        learning_rate, weight_decay, epochs, minibatch: of the recipe; weight decay of both.
    """

    solver: Literal["recipe", "lbfgs"] = "recipe"
    learning_rate: Positive = 0.01
    weight_decay: Positive = 1e-4
    epochs: Count = 200
    minibatch: Count = 64
