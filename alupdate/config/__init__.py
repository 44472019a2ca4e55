"""The schema of every config group: types, ranges and defaults, checked before a run starts.

Hydra composes the YAML files and the command line; this module turns the outcome into frozen
dataclasses, or refuses it with one line that names the key, the value and what is allowed.
It imports nothing heavy, so that a wrong command is answered at once.
"""

from alupdate.config.batches import BatchConfig, SequentialBatch, TopBatch
from alupdate.config.learning import PosteriorConfig, TrainingConfig, UpdateConfig
from alupdate.config.run import HOW_TO_RUN, PLACES, RunConfig, display_name, run_prefix
from alupdate.config.strategies import (
    BaitStrategy,
    BaldStrategy,
    BatchBaldStrategy,
    BatchMix,
    ExpectedLookaheadStrategy,
    GreedyLookaheadStrategy,
    LookaheadStrategy,
    Loss,
    OracleStrategy,
    PlainStrategy,
    PluginStrategy,
    ProbCoverStrategy,
    SkactivemlStrategy,
    StrategyConfig,
    TypiClustStrategy,
)
from alupdate.config.tasks import (
    ActiveLearningTask,
    DescribeTask,
    FeaturesTask,
    MethodConfig,
    RerunTask,
    StatusTask,
    UpdatingTask,
)
from alupdate.config.trackers import MlflowTracker, NoTracker, TensorboardTracker
from alupdate.config.values import StepSize, UpdateName

__all__ = [
    "HOW_TO_RUN",
    "PLACES",
    "ActiveLearningTask",
    "BaitStrategy",
    "BaldStrategy",
    "BatchBaldStrategy",
    "BatchConfig",
    "BatchMix",
    "DescribeTask",
    "ExpectedLookaheadStrategy",
    "FeaturesTask",
    "GreedyLookaheadStrategy",
    "LookaheadStrategy",
    "Loss",
    "MethodConfig",
    "MlflowTracker",
    "NoTracker",
    "OracleStrategy",
    "PlainStrategy",
    "PluginStrategy",
    "PosteriorConfig",
    "ProbCoverStrategy",
    "RerunTask",
    "RunConfig",
    "SequentialBatch",
    "SkactivemlStrategy",
    "StatusTask",
    "StepSize",
    "StrategyConfig",
    "TensorboardTracker",
    "TopBatch",
    "TrainingConfig",
    "TypiClustStrategy",
    "UpdateConfig",
    "UpdateName",
    "UpdatingTask",
    "display_name",
    "run_prefix",
]
