"""The options of the groups ``strategy`` and ``batch``."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from alupdate.config.values import SETTINGS, Count, NonNegative, Text, UpdateName


@dataclass(frozen=True, config=SETTINGS)
class PlainStrategy:
    """A strategy that only looks at the current predictions, or at nothing."""

    name: Literal["random", "margin", "entropy", "least_confidence"]
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
    evaluate_on: Literal["test", "holdout", "pool"] = "test"
    holdout: Count = 500
    loss: Literal["nll", "error", "brier"] = "nll"
    update: UpdateName = "second_order"
    label: Text | None = None


StrategyConfig = Annotated[PlainStrategy | LookaheadStrategy, Field(discriminator="name")]


@dataclass(frozen=True, config=SETTINGS)
class TopBatch:
    """Pick the whole batch at once."""

    name: Literal["top_b"]
    size: Count = 10


@dataclass(frozen=True, config=SETTINGS)
class SequentialBatch:
    """Pick ``every`` instances, buy their labels, update the model, and pick the next."""

    name: Literal["sequential"]
    size: Count = 10
    every: Count = 1
    update: UpdateName = "second_order"


BatchConfig = Annotated[TopBatch | SequentialBatch, Field(discriminator="name")]
