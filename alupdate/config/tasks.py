"""The options of the group ``task``."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from alupdate.config.values import (
    SETTINGS,
    Count,
    LikelihoodName,
    Positive,
    StepSize,
    UpdateName,
)
from alupdate.laplace.names import GAUSSIAN


@dataclass(frozen=True, config=SETTINGS)
class ActiveLearningTask:
    """The cycle: select, label, learn, evaluate, record."""

    name: Literal["active_learning"]


@dataclass(frozen=True, config=SETTINGS)
class MethodConfig:
    """One update rule with its posterior, at each of several step sizes."""

    update: UpdateName
    gammas: Annotated[tuple[StepSize, ...], Field(min_length=1)]
    likelihood: LikelihoodName = GAUSSIAN
    prior_precision: Positive = 1.0


@dataclass(frozen=True, config=SETTINGS)
class UpdatingTask:
    """A base model on n_initial labels; n_new more by each update rule, and by retraining."""

    name: Literal["updating"]
    initial_sizes: Annotated[tuple[Count, ...], Field(min_length=1)]
    new_sizes: Annotated[tuple[Count, ...], Field(min_length=1)]
    methods: Annotated[tuple[MethodConfig, ...], Field(min_length=1)]


@dataclass(frozen=True, config=SETTINGS)
class DescribeTask:
    """A card of the data, and how well a linear layer on all of the pool does.

    ``weight_decay`` is the probe's: of the mean loss over the pool.
    """

    name: Literal["describe"]
    weight_decay: Positive = 1e-2


@dataclass(frozen=True, config=SETTINGS)
class FeaturesTask:
    """Extract the features and keep them, ahead of a sweep."""

    name: Literal["features"]


@dataclass(frozen=True, config=SETTINGS)
class StatusTask:
    """How the runs of an experiment stand."""

    name: Literal["status"]


@dataclass(frozen=True, config=SETTINGS)
class RerunTask:
    """Run the failed runs of an experiment again."""

    name: Literal["rerun"]


TaskConfig = Annotated[
    ActiveLearningTask | UpdatingTask | DescribeTask | FeaturesTask | StatusTask | RerunTask,
    Field(discriminator="name"),
]
