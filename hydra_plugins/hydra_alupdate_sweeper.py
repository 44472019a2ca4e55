"""Registers the sweeper of alupdate with Hydra, as ``hydra/sweeper=alupdate``.

Hydra finds plugins in the namespace package ``hydra_plugins``, and imports all of them whenever any
application starts. So this module imports nothing heavy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from typing_extensions import override


@dataclass
class AlupdateSweeperConf:
    """Settings: ``params`` are the swept keys with their values, as on the command line."""

    _target_: str = "hydra_plugins.hydra_alupdate_sweeper.AlupdateSweeper"
    params: dict[str, str] = field(default_factory=dict)


ConfigStore.instance().store(
    group="hydra/sweeper", name="alupdate", node=AlupdateSweeperConf, provider="alupdate"
)


class AlupdateSweeper(Sweeper):
    """Runs all combinations of the values, skips finished runs and resumes interrupted ones."""

    def __init__(self, params: Mapping[str, str]) -> None:
        self._params = dict(params)

    @override
    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        # A sweep starts its jobs by a function of its own: it needs to know how each has ended.
        self.hydra_context, self.config = hydra_context, config

    @override
    def sweep(self, arguments: list[str]) -> None:
        from alupdate.sweep.command import run_sweep

        assert self.config is not None
        assert self.hydra_context is not None
        run_sweep(self.config, self.hydra_context, self._params, arguments)
