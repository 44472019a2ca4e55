"""The options of the group ``strategy``."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from alupdate.config.values import (
    SETTINGS,
    Count,
    NonNegative,
    Positive,
    PositiveOrAuto,
    Text,
    UpdateName,
)
from alupdate.laplace.names import NLL, SECOND_ORDER, Loss

EvaluationSet = Literal["test", "holdout", "pool"]
Scalar = bool | int | float | str | None
ModuleName = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
Identifier = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z_]\w*$")]
Share = Annotated[float, Field(strict=True, gt=0, le=1)]


@dataclass(frozen=True, config=SETTINGS)
class PlainStrategy:
    """A strategy without settings."""

    name: Literal["random", "margin", "entropy", "least_confidence", "variance", "badge", "coreset"]
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class BaldStrategy:
    """The largest mutual information of label and weights, over ``n_samples`` of the posterior."""

    name: Literal["bald"]
    n_samples: Count = 100
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class BatchBaldStrategy:
    """The mutual information of a batch's labels and the weights, built up greedily.

    Exact while the batch so far has at most ``n_configurations`` joint labels, by as many sampled
    ones beyond.
    """

    name: Literal["batch_bald"]
    n_samples: Count = 100
    n_configurations: Count = 1000
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class BaitStrategy:
    """Fisher information: pick ``oversample`` times the batch greedily, then drop the worst."""

    name: Literal["bait"]
    fisher: Literal["multiclass", "binary"] = "multiclass"
    oversample: Count = 2
    regularisation: Positive = 1.0
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class TypiClustStrategy:
    """The most typical member of each cluster without labels."""

    name: Literal["typiclust"]
    n_neighbours: Count = 20
    max_clusters: Count = 500
    min_cluster_size: Count = 5
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class ProbCoverStrategy:
    """Cover the pool with balls; ``auto``: the largest radius whose balls are ``purity`` pure."""

    name: Literal["probcover"]
    radius: PositiveOrAuto = "auto"
    purity: Share = 0.95
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class SkactivemlStrategy:
    """Any pool strategy of scikit-activeml, by the name of its class."""

    name: Literal["skactiveml"]
    query_strategy: Identifier
    parameters: dict[str, Scalar] = Field(default_factory=dict)
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class PluginStrategy:
    """A strategy of the user's own: ``make_strategy(settings)`` of an importable module."""

    name: Literal["plugin"]
    module: ModuleName
    settings: dict[str, Scalar] = Field(default_factory=dict)
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class BatchMix:
    """Relative shares of the three kinds of candidate batches; only their ratios matter."""

    random: NonNegative = 1.0
    diverse: NonNegative = 1.0
    informative: NonNegative = 1.0


@dataclass(frozen=True, config=SETTINGS)
class LookaheadStrategy:
    """Try ``n_batches`` candidate batches with their true labels and keep the best (an oracle)."""

    name: Literal["lookahead"]
    n_batches: Count = 300
    mix: BatchMix = BatchMix()
    evaluate_on: EvaluationSet = "test"
    holdout: Count = 500
    loss: Loss = NLL
    update: UpdateName = SECOND_ORDER
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class GreedyLookaheadStrategy:
    """Build the batch from the best of ALL candidates at every step (an oracle).

    ``memory`` (in MB) bounds the kernel between candidates and evaluation set.
    """

    name: Literal["greedy_lookahead"]
    evaluate_on: EvaluationSet = "test"
    holdout: Count = 500
    loss: Loss = NLL
    update: UpdateName = SECOND_ORDER
    memory: Count = 512
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class ExpectedLookaheadStrategy:
    """The smallest loss to expect after an update, over the labels that the model thinks likely.

    Needs no label that was not bought. Looks at the ``n_candidates`` of smallest margin, at their
    ``n_labels`` most probable labels, and at ``n_points`` of the pool.
    """

    name: Literal["expected_lookahead"]
    n_candidates: Count = 200
    n_points: Count = 1000
    n_labels: Count = 10
    loss: Loss = NLL
    update: UpdateName = SECOND_ORDER
    label: Text | None = None


OracleStrategy = LookaheadStrategy | GreedyLookaheadStrategy

StrategyConfig = Annotated[
    PlainStrategy
    | BaldStrategy
    | BatchBaldStrategy
    | BaitStrategy
    | TypiClustStrategy
    | ProbCoverStrategy
    | SkactivemlStrategy
    | PluginStrategy
    | LookaheadStrategy
    | GreedyLookaheadStrategy
    | ExpectedLookaheadStrategy,
    Field(discriminator="name"),
]
