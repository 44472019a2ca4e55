"""The schema of every config group: types, ranges and defaults, checked before a run starts.

Hydra composes the YAML files and the command line; this module turns the outcome into frozen
dataclasses, or refuses it with one line that names the key, the value and what is allowed.
It imports nothing heavy, so that a wrong command is answered at once.
"""

from alupdate.config.batches import BatchConfig, SequentialBatch, TopBatch
from alupdate.config.learning import PosteriorConfig, TrainingConfig, UpdateConfig
from alupdate.config.run import HOW_TO_RUN, PLACES, RunConfig, display_name, run_prefix
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
    "BatchConfig",
    "DescribeTask",
    "FeaturesTask",
    "MethodConfig",
    "MlflowTracker",
    "NoTracker",
    "PosteriorConfig",
    "RerunTask",
    "RunConfig",
    "SequentialBatch",
    "StatusTask",
    "StepSize",
    "TensorboardTracker",
    "TopBatch",
    "TrainingConfig",
    "UpdateConfig",
    "UpdateName",
    "UpdatingTask",
    "display_name",
    "run_prefix",
]
