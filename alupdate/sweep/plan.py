"""Which jobs a sweep has, checked before the first of them starts."""

import copy
import itertools
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from alupdate.config import RunConfig
from alupdate.config.check import HYDRA_ERRORS, explain_hydra_error, parse_config
from alupdate.experiment.job import digests
from alupdate.results.status import RunStatus, read_status
from alupdate.results.store import RunStore
from alupdate.trackers import make_tracker
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError
from alupdate.utils.paths import conf_dir

CONFIG = "config"


def parse_overrides(arguments: Sequence[str]) -> list[Override]:
    """Return arguments as Hydra reads them; to be called while Hydra is initialised."""
    loader = GlobalHydra.instance().config_loader()
    return OverridesParser.create(config_loader=loader).parse_overrides(list(arguments))


def expand(params: Mapping[str, object], given: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of every job: all combinations of the values that are swept.

    Args:
        params: key to values, from ``hydra.sweeper.params`` of an experiment file.
        given: on the command line; they take the place of the file's.

    Raises:
        InputError: a sweep is over an interval, which only a search can do.
    """
    defaults = parse_overrides([f"{key}={value}" for key, value in params.items()])
    values: dict[str, list[str]] = {}
    for override in (*defaults, *given):
        key = override.get_key_element()
        if not override.is_sweep_override():
            values[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            values[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise InputError(
                f"{override.input_line}: an interval has no end of values; list some, or search "
                "with hydra/sweeper=optuna"
            )
    return [list(job) for job in itertools.product(*values.values())]


class Composer:
    """Composes the configs of many jobs; what jobs have in common is composed once.

    Hydra takes a tenth of a second per config, nearly all of it for groups. So configs are
    composed for every combination of groups, and plain values are put into copies of them.
    """

    def __init__(self, common: Sequence[str] = ()) -> None:
        """Start with nothing composed; ``common`` are overrides of Hydra's own keys."""
        self._common = list(common)
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def config(self, overrides: Sequence[str]) -> RunConfig:
        """Return the checked config of one job.

        Raises:
            InputError: the overrides or the config that they make are wrong.
        """
        try:
            return parse_config(self._compose(overrides))
        except HYDRA_ERRORS as error:
            raise InputError(explain_hydra_error(error)) from error

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        parsed = parse_overrides(overrides)
        values = [override for override in parsed if _is_plain_value(override)]
        groups = tuple(o.input_line or "" for o in parsed if not _is_plain_value(o))
        if groups not in self._composed:
            self._composed[groups] = compose(CONFIG, [*self._common, *groups])
        config = copy.deepcopy(self._composed[groups])
        try:
            _put(config, values)
        except OmegaConfBaseException:  # Hydra words what is wrong
            return compose(CONFIG, [*self._common, *overrides])
        return config


def _is_plain_value(override: Override) -> bool:
    plain = not (override.is_add() or override.is_delete() or override.is_hydra_override())
    return plain and override.package is None and not _is_group(override.key_or_group)


def _is_group(key: str) -> bool:
    return "." not in key and ("/" in key or (conf_dir() / key).is_dir())


def _put(config: DictConfig, values: Iterable[Override]) -> None:
    for override in values:
        OmegaConf.update(config, override.key_or_group, override.value(), merge=True)


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep.

    Attributes:
        overrides: that make it, as on the command line.
        config: that they make.
        path: its directory.
        before: its status when the sweep began.
        complete: whether it was complete then.
    """

    overrides: tuple[str, ...]
    config: RunConfig
    path: Path
    before: RunStatus
    complete: bool

    @property
    def is_finished(self) -> bool:
        """Whether the sweep finds nothing to do."""
        return self.complete and not self.config.force

    @property
    def needs_nothing(self) -> bool:
        """Whether not to launch it; a tracker may have missed something of a finished run."""
        return self.is_finished and self.config.tracker.name == "none"

    @property
    def is_given_up(self) -> bool:
        """Whether it has failed too often to be tried again."""
        most = self.config.max_failures
        enough = most is not None and self.before.failures >= most
        return self.before.state == "failed" and enough and not self.config.force


def configs(jobs: Sequence[Sequence[str]], composer: Composer) -> list[RunConfig]:
    """Return the configs of jobs.

    Raises:
        InputError: one of them is wrong; nothing has started.
    """
    checked = []
    for number, overrides in enumerate(jobs):
        try:
            checked.append(composer.config(overrides))
        except InputError as error:
            where = f" (job {number + 1} of {len(jobs)}: {shlex.join(overrides)})"
            raise InputError(f"{error}{where if len(jobs) > 1 else ''}") from error
    return checked


def planned(
    jobs: Sequence[Sequence[str]], checked: Sequence[RunConfig], display: Display
) -> list[PlannedRun]:
    """Return the runs of a sweep, each once, in the order of the jobs.

    Raises:
        InputError: a file or the package of a tracker is missing.
    """
    contents: dict[str, dict[str, str]] = {}
    runs: dict[Path, PlannedRun] = {}
    for overrides, config in zip(jobs, checked, strict=True):
        source = repr((config.dataset, config.backbone, config.cache_dir))
        if source not in contents:
            contents[source] = digests(config, display)
        store = RunStore(config, contents[source])
        if not runs:
            make_tracker(config, store)
        status, complete = read_status(store.path), store.is_complete()
        run = PlannedRun(tuple(overrides), config, store.path, status, complete)
        runs.setdefault(store.path, run)
    if len(runs) < len(jobs):
        display.say(f"note: {len(jobs)} jobs are {len(runs)} different runs")
    return list(runs.values())


def extractions(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Return one of the runs for each extraction that several wait for and none has used yet."""
    sharing: dict[str, list[PlannedRun]] = {}
    for run in runs:
        if run.config.backbone.extracts:
            key = repr((run.config.dataset, run.config.backbone, run.config.cache_dir))
            sharing.setdefault(key, []).append(run)
    return [
        group[0]
        for group in sharing.values()
        if len(group) > 1 and not any(run.complete for run in group)
    ]
