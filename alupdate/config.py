"""The schema of every config group: types, ranges and defaults, checked before a run starts.

Hydra composes the YAML files and the command line; this module turns the outcome into frozen
dataclasses, or refuses it with one line that names the key, the value and what is allowed.
It imports nothing heavy, so that a wrong command is answered at once.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PlainValidator
from pydantic.dataclasses import dataclass

SETTINGS = ConfigDict(extra="forbid")

Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True, min_length=1)]
FolderName = Annotated[str, Field(strict=True, pattern=r"^[\w][\w.+-]*$")]
Natural = Annotated[int, Field(strict=True, ge=0)]
Count = Annotated[int, Field(strict=True, ge=1)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
UpdateName = Literal["first_order", "second_order", "monte_carlo", "map"]
LikelihoodName = Literal["gaussian", "categorical", "multinomial"]
NonNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]


def _step_size(value: object) -> float | Literal["auto"]:
    """One message for both alternatives, where a union of types would give two."""
    if value == "auto":
        return "auto"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and 0 < float(str(value)) < math.inf:
        return float(str(value))
    raise ValueError("must be greater than 0, or auto")


StepSize = Annotated[float | Literal["auto"], PlainValidator(_step_size)]


@dataclass(frozen=True, config=SETTINGS)
class EmbeddedDataset:
    """A data set that an installed package ships: no download, no path."""

    name: Literal["digits", "mnist5k"]
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class NpzDataset:
    """Arrays X_train, y_train, X_test and y_test in one NumPy archive."""

    name: Literal["npz"]
    path: Text
    label: Text | None = None


DatasetConfig = Annotated[EmbeddedDataset | NpzDataset, Field(discriminator="name")]


@dataclass(frozen=True, config=SETTINGS)
class PlainBackbone:
    """A backbone without parameters: the (flattened) instances are the features."""

    name: Literal["pixels", "identity"]
    standardise: Flag = True
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class PretrainedBackbone:
    """A frozen pretrained image network; ``image_size`` is in pixels."""

    name: Literal["efficientnet_lite0"]
    image_size: Annotated[int, Field(strict=True, ge=32, le=512)] = 96
    standardise: Flag = True
    label: Text | None = None


@dataclass(frozen=True, config=SETTINGS)
class CnnBackbone:
    """A small convolutional network trained end to end; ``width`` is its feature dimension."""

    name: Literal["cnn"]
    width: Annotated[int, Field(strict=True, ge=4, le=4096)] = 64
    label: Text | None = None


BackboneConfig = Annotated[
    PlainBackbone | PretrainedBackbone | CnnBackbone, Field(discriminator="name")
]


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


@dataclass(frozen=True, config=SETTINGS)
class UpdateConfig:
    """How the model learns from a bought batch, and the settings of every (hypothetical) update."""

    name: Literal["retrain"] | UpdateName
    gamma: StepSize = 10.0
    likelihood: LikelihoodName = "gaussian"
    prior_precision: Positive = 1.0
    n_hypotheses: Count = 10_000
    predictive: Literal["map", "mean_field", "monte_carlo"] = "map"
    retrain_every: Count | None = None
    compare: Flag = False
    compare_with: UpdateName = "second_order"
    solver: Literal["recipe", "lbfgs"] = "recipe"
    learning_rate: Positive = 0.01
    weight_decay: Positive = 1e-4
    epochs: Count = 200
    minibatch: Count = 64


@dataclass(frozen=True, config=SETTINGS)
class ActiveLearningTask:
    """The cycle: select, label, learn, evaluate, record."""

    name: Literal["active_learning"]


@dataclass(frozen=True, config=SETTINGS)
class MethodConfig:
    """One update rule with its posterior, at each of several step sizes."""

    update: UpdateName
    gammas: Annotated[tuple[StepSize, ...], Field(min_length=1)]
    likelihood: LikelihoodName = "gaussian"
    prior_precision: Positive = 1.0


@dataclass(frozen=True, config=SETTINGS)
class UpdatingTask:
    """A base model on n_initial labels; n_new more by each update rule, and by retraining."""

    name: Literal["updating"]
    initial_sizes: Annotated[tuple[Count, ...], Field(min_length=1)]
    new_sizes: Annotated[tuple[Count, ...], Field(min_length=1)]
    methods: Annotated[tuple[MethodConfig, ...], Field(min_length=1)]


TaskConfig = Annotated[ActiveLearningTask | UpdatingTask, Field(discriminator="name")]


@dataclass(frozen=True, config=SETTINGS)
class RunConfig:
    """One run: everything that decides its learning curve, and where and how to run it."""

    dataset: DatasetConfig
    backbone: BackboneConfig
    strategy: StrategyConfig
    batch: BatchConfig
    update: UpdateConfig
    task: TaskConfig
    seed: Natural = 0
    n_initial: Count = 10
    n_cycles: Natural = 20
    subset: Count | None = 1000
    force: Flag = False
    results_dir: Text = "results"
    experiment_name: FolderName = "default"
    cache_dir: Text | None = None
    device: Annotated[str, Field(strict=True, pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    threads: Count | None = None
    progress: Flag = True


HOW_TO_RUN = frozenset(
    {"force", "results_dir", "experiment_name", "cache_dir", "device", "threads", "progress"}
)
"""Top-level keys that say where and how to run, and so do not change what a run computes."""


def display_name(group: Any) -> str:
    """Return how a configured option is called in tables and figures: its label, or its name."""
    return str(getattr(group, "label", None) or group.name)


def run_prefix(config: RunConfig) -> str:
    """Return the readable part of a run's directory name."""
    groups: tuple[Any, ...] = (config.dataset, config.backbone)
    if isinstance(config.task, UpdatingTask):
        groups += (config.task,)
    else:
        groups += (config.strategy, config.batch, config.update)
    name = "-".join(display_name(group) for group in groups)
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name) + f"-s{config.seed}"
