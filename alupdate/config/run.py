"""The schema of a whole run."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from alupdate.config.batches import BatchConfig
from alupdate.config.learning import PosteriorConfig, TrainingConfig, UpdateConfig
from alupdate.config.tasks import TaskConfig, UpdatingTask
from alupdate.config.trackers import NoTracker, TrackerConfig
from alupdate.config.values import SETTINGS, Count, Flag, FolderName, Natural, Text

if TYPE_CHECKING:
    from alupdate.data.dataset import DatasetOption
    from alupdate.models.features import Backbone
    from alupdate.strategies.base import StrategyOption
else:  # the schema of an option is checked where it is made; its module needs PyTorch
    DatasetOption = Backbone = StrategyOption = Any


@dataclass(frozen=True, config=SETTINGS)
class RunConfig:
    """One run: everything that decides its learning curve, and where and how to run it."""

    dataset: DatasetOption
    backbone: Backbone
    strategy: StrategyOption
    batch: BatchConfig
    posterior: PosteriorConfig
    training: TrainingConfig
    update: UpdateConfig
    task: TaskConfig
    tracker: TrackerConfig = NoTracker()
    seed: Natural = 0
    n_initial: Count = 10
    n_cycles: Natural = 20
    subset: Count | None = 1000
    force: Flag = False
    max_failures: Count | None = 3
    results_dir: Text = "results"
    experiment_name: FolderName = "default"
    experiment_dir: Text | None = None
    cache_dir: Text | None = None
    device: Annotated[str, Field(strict=True, pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    threads: Count | None = None
    progress: Flag = True


PLACES = frozenset({"results_dir", "experiment_name", "experiment_dir"})
"""Top-level keys that say where results are."""
HOW_TO_RUN = PLACES | {
    "tracker",
    "force",
    "cache_dir",
    "max_failures",
    "device",
    "threads",
    "progress",
}
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
