"""A finished run as a Python user gets it: its tables, its directory, its model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from alupdate.config import RunConfig
from alupdate.config.check import parse_config
from alupdate.config.compose import compose_config
from alupdate.config.extraction import check_no_sweep
from alupdate.experiment.job import digests, run_job
from alupdate.results.csv_tables import read_run_table
from alupdate.results.records import MAIN_TABLES
from alupdate.results.store import RunStore
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError

if TYPE_CHECKING:
    from alupdate.models.learner import Model

Overrides = Sequence[str] | Mapping[str, Any] | DictConfig | RunConfig
"""``KEY=VALUE`` strings as on the command line, or a whole config."""


@dataclass(frozen=True)
class RunResult:
    """What a completed run has written, and the model that it ended with.

    Each table is read from the file of its name in ``path``; where the run has no such file, an
    ``InputError`` says so.

    Attributes:
        config: of the run.
        path: its directory.
    """

    config: RunConfig
    path: Path

    @property
    def curve(self) -> pd.DataFrame:
        """The learning curve: a row per cycle with the number of labels and every metric."""
        return self._table("curve.csv")

    @property
    def queries(self) -> pd.DataFrame:
        """The acquired labels: a row for each with its cycle, place in the batch and pool index."""
        return self._table("queries.csv")

    @property
    def timings(self) -> pd.DataFrame:
        """Seconds per cycle and phase."""
        return self._table("timings.csv")

    @property
    def comparison(self) -> pd.DataFrame:
        """Update against retraining per cycle, of a run with ``update.compare=true``."""
        return self._table("comparison.csv")

    @property
    def costs(self) -> pd.DataFrame:
        """What the labels have cost after each cycle, of a run with ``dataset.cost``."""
        return self._table("costs.csv")

    @property
    def annotations(self) -> pd.DataFrame:
        """How many labels are wrong after each cycle, of a run with an ``annotator`` that errs."""
        return self._table("annotations.csv")

    @property
    def forecast(self) -> pd.DataFrame:
        """The expected accuracy after each cycle, of a run with ``forecast=expected``."""
        return self._table("forecast.csv")

    @property
    def stopping(self) -> pd.DataFrame:
        """The verdicts of the stopping rules: a row per cycle and rule, of a run with ``stop``."""
        return self._table("stopping.csv")

    @property
    def disturbances(self) -> pd.DataFrame:
        """How many picks are wrong, outliers or repeated after each cycle, on disturbed data."""
        return self._table("disturbances.csv")

    @property
    def updates(self) -> pd.DataFrame:
        """Every update rule against retraining, of a run with ``task=updating``."""
        return self._table("updates.csv")

    @cached_property
    def model(self) -> "Model":
        """The model after the last cycle: features and posterior.

        It is made from the recorded labels, as a resumed run makes it, with features from the
        cache. On a CPU it is the model of the run, bit for bit.

        Raises:
            InputError: the run is no active-learning run.
        """
        from alupdate.experiment.active_learning import ActiveLearning
        from alupdate.experiment.setup import prepare
        from alupdate.utils.threads import threads_kept

        if self.config.task.name != "active_learning":
            raise InputError(f"task={self.config.task.name}: has no model of its own")
        with threads_kept():
            task = ActiveLearning(self.config, prepare(self.config, Display(enabled=False)))
            return task.model_of(_store(self.config))

    def _table(self, name: str) -> pd.DataFrame:
        if not (self.path / name).is_file():
            raise InputError(f"{self.path}: has no {name}")
        return read_run_table(self.path / name)


def run(overrides: Overrides = (), /) -> RunResult:
    """Run one experiment and return what came of it; one that is complete is not run again.

    Nothing outside the run's directory and the caches changes: no signal handlers, no environment
    variables, no logging set-up, no thread counts, and no state of Hydra, so that it works twice in
    one process, in a notebook, and in an application that itself uses Hydra.

    Args:
        overrides: strings such as ``"strategy=margin"``, as on the command line, or a whole config
            (a mapping or ``DictConfig`` composed from ``conf/``, or a ``RunConfig``).

    Returns:
        The run's tables as DataFrames, its directory, and its model.

    Raises:
        InputError: the config or the data are wrong; nothing was written.
        RunError: the run broke; its finished cycles are kept, and the same call resumes it.

    Example:
        >>> import alupdate
        >>> small = ["dataset=digits", "backbone=pixels", "n_cycles=2", "progress=false"]
        >>> result = alupdate.run([*small, f"results_dir={results}"])
        >>> result.curve["n_labelled"].tolist()
        [10, 20, 30]
    """
    config = _config_of(overrides)
    check_no_sweep(config)
    if config.task.name not in MAIN_TABLES:
        raise InputError(
            f"task={config.task.name}: leaves no results; run it with python -m alupdate.run"
        )
    from alupdate.utils.threads import threads_kept

    with threads_kept():
        run_job(config)
    return RunResult(config, _store(config).path)


def _config_of(overrides: Overrides) -> RunConfig:
    if isinstance(overrides, RunConfig):
        return overrides
    if isinstance(overrides, DictConfig):
        return parse_config(overrides)
    if isinstance(overrides, Mapping):
        return parse_config(OmegaConf.create(dict(overrides)))
    given = list(overrides)
    if isinstance(overrides, str) or not all(isinstance(text, str) for text in given):
        raise InputError(f"{overrides}: give a list of overrides, as in ['strategy=margin']")
    return compose_config(given)


def _store(config: RunConfig) -> RunStore:
    return RunStore(config, digests(config, Display(enabled=False)))
