"""The schema of every config group: types, ranges and defaults, checked before a run starts.

Hydra composes the YAML files and the command line; this module turns the outcome into frozen
dataclasses, or refuses it with one line that names the key, the value and what is allowed.
It imports nothing heavy, so that a wrong command is answered at once.
"""

from alupdate.config.schema import (
    HOW_TO_RUN,
    PLACES,
    ActiveLearningTask,
    BatchConfig,
    DescribeTask,
    FeaturesTask,
    LabelStudioConfig,
    LabelTask,
    MethodConfig,
    MlflowTracker,
    NoTracker,
    PosteriorConfig,
    PowerBatch,
    PredictTask,
    RerunTask,
    RunConfig,
    SequentialBatch,
    ServeTask,
    StatusTask,
    SuggestTask,
    TensorboardTracker,
    TopBatch,
    TrainingConfig,
    UpdateConfig,
    UpdatingTask,
    display_name,
    run_prefix,
)
from alupdate.config.values import StepSize, UpdateName

__all__ = [
    "HOW_TO_RUN",
    "PLACES",
    "ActiveLearningTask",
    "BatchConfig",
    "DescribeTask",
    "FeaturesTask",
    "LabelStudioConfig",
    "LabelTask",
    "MethodConfig",
    "MlflowTracker",
    "NoTracker",
    "PosteriorConfig",
    "PowerBatch",
    "PredictTask",
    "RerunTask",
    "RunConfig",
    "SequentialBatch",
    "ServeTask",
    "StatusTask",
    "StepSize",
    "SuggestTask",
    "TensorboardTracker",
    "TopBatch",
    "TrainingConfig",
    "UpdateConfig",
    "UpdateName",
    "UpdatingTask",
    "display_name",
    "run_prefix",
]
