"""The tasks: what ``task=NAME`` runs."""

from typing import Protocol

from alupdate.config import RunConfig, UpdatingTask
from alupdate.display import Display
from alupdate.results.store import RunStore
from alupdate.tasks.active_learning import ActiveLearning
from alupdate.tasks.outcome import Outcome
from alupdate.tasks.setup import Setup
from alupdate.tasks.updating import Updating


class Task(Protocol):
    """Something that a job can run, step by step, so that it can be resumed."""

    @property
    def is_oracle(self) -> bool:
        """Whether it uses labels that were not bought."""
        ...

    def run(self, store: RunStore, display: Display) -> Outcome:
        """Run what the store does not hold yet, committing every step."""
        ...


def make_task(config: RunConfig, setup: Setup) -> Task:
    """Return the configured task.

    Raises:
        InputError: its sizes do not fit the data.
    """
    if isinstance(config.task, UpdatingTask):
        return Updating(config, setup)
    return ActiveLearning(config, setup)
