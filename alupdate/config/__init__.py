"""The schema of every config group: types, ranges and defaults, checked before a run starts.

Hydra composes the YAML files and the command line; this module turns the outcome into frozen
dataclasses, or refuses it with one line that names the key, the value and what is allowed.
It imports nothing heavy, so that a wrong command is answered at once.
"""

from alupdate.config.backbones import CnnBackbone, PretrainedBackbone
from alupdate.config.datasets import DatasetConfig, NpzDataset
from alupdate.config.run import HOW_TO_RUN, RunConfig, display_name, run_prefix
from alupdate.config.strategies import (
    BatchConfig,
    BatchMix,
    LookaheadStrategy,
    PlainStrategy,
    SequentialBatch,
    StrategyConfig,
    TopBatch,
)
from alupdate.config.tasks import MethodConfig, UpdateConfig, UpdatingTask
from alupdate.config.values import StepSize, UpdateName

__all__ = [
    "HOW_TO_RUN",
    "BatchConfig",
    "BatchMix",
    "CnnBackbone",
    "DatasetConfig",
    "LookaheadStrategy",
    "MethodConfig",
    "NpzDataset",
    "PlainStrategy",
    "PretrainedBackbone",
    "RunConfig",
    "SequentialBatch",
    "StepSize",
    "StrategyConfig",
    "TopBatch",
    "UpdateConfig",
    "UpdateName",
    "UpdatingTask",
    "display_name",
    "run_prefix",
]
