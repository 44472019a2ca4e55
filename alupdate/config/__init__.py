"""The schema of every config group: types, ranges and defaults, checked before a run starts.

Hydra composes the YAML files and the command line; this module turns the outcome into frozen
dataclasses, or refuses it with one line that names the key, the value and what is allowed.
It imports nothing heavy, so that a wrong command is answered at once.
"""

from alupdate.config.backbones import (
    BackboneConfig,
    CnnBackbone,
    ImageBackbone,
    PlainBackbone,
    TextBackbone,
    is_frozen,
    weights_file,
)
from alupdate.config.batches import BatchConfig, SequentialBatch, TopBatch
from alupdate.config.datasets import (
    WHERE_DATA_LIE,
    CsvDataset,
    DatasetConfig,
    EmbeddedDataset,
    HubDataset,
    ImageDataset,
    ImageFolderDataset,
    NpzDataset,
    OpenmlDataset,
    ParquetDataset,
)
from alupdate.config.run import HOW_TO_RUN, PLACES, RunConfig, display_name, run_prefix
from alupdate.config.tasks import (
    ActiveLearningTask,
    DescribeTask,
    FeaturesTask,
    MethodConfig,
    RerunTask,
    StatusTask,
    UpdateConfig,
    UpdatingTask,
)
from alupdate.config.trackers import MlflowTracker, NoTracker, TensorboardTracker
from alupdate.config.values import StepSize, UpdateName

__all__ = [
    "HOW_TO_RUN",
    "PLACES",
    "WHERE_DATA_LIE",
    "ActiveLearningTask",
    "BackboneConfig",
    "BatchConfig",
    "CnnBackbone",
    "CsvDataset",
    "DatasetConfig",
    "DescribeTask",
    "EmbeddedDataset",
    "FeaturesTask",
    "HubDataset",
    "ImageBackbone",
    "ImageDataset",
    "ImageFolderDataset",
    "MethodConfig",
    "MlflowTracker",
    "NoTracker",
    "NpzDataset",
    "OpenmlDataset",
    "ParquetDataset",
    "PlainBackbone",
    "RerunTask",
    "RunConfig",
    "SequentialBatch",
    "StatusTask",
    "StepSize",
    "TensorboardTracker",
    "TextBackbone",
    "TopBatch",
    "UpdateConfig",
    "UpdateName",
    "UpdatingTask",
    "display_name",
    "is_frozen",
    "run_prefix",
    "weights_file",
]
