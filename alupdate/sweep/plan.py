"""Plans a sweep: expands and checks the configs of all jobs before the first of them starts."""

import itertools
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep, Sweep

from alupdate.config import FeaturesTask, RunConfig
from alupdate.config.compose import Composer, parse_overrides
from alupdate.experiment.job import digests
from alupdate.results.status import RunStatus, read_status
from alupdate.results.store import RunStore
from alupdate.trackers import SweepTrackers
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError

MAX_JOBS = 100_000
"""Of one sweep; all their configs are composed before the first job starts."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep, and how it stood when the sweep began.

    Attributes:
        overrides: arguments of ``python -m alupdate.run`` that make it.
        config: composed from them, and checked; without a tracker that does not work.
        path: directory of its results.
        before: its status when the sweep began.
        complete: whether it was complete when the sweep began.
    """

    overrides: tuple[str, ...]
    config: RunConfig
    path: Path
    before: RunStatus
    complete: bool

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to compute."""
        return self.complete and not self.config.force

    @property
    def needs_nothing(self) -> bool:
        """Whether it is not launched: it is finished, and nothing else is wanted of it.

        A tracker may have missed part of it, and its model may be missing.
        """
        others = self.config.tracker.name != "none" or bool(self.config.keep_model)
        return self.is_finished and not others

    @property
    def is_given_up(self) -> bool:
        """Whether it has failed ``max_failures`` times, and is not tried again."""
        most = self.config.max_failures
        enough = most is not None and self.before.failures >= most
        return self.before.state == "failed" and enough and not self.config.force


def check_jobs(jobs: Sequence[Sequence[str]], composer: Composer) -> list[RunConfig]:
    """Return the configs of all jobs.

    Raises:
        InputError: the config of a job is wrong; the message says which job.
    """
    checked = []
    for number, overrides in enumerate(jobs):
        try:
            checked.append(composer.config(overrides))
        except InputError as error:
            where = f" (job {number + 1} of {len(jobs)}: {shlex.join(overrides)})"
            raise InputError(f"{error}{where if len(jobs) > 1 else ''}") from error
    return checked


def plan_runs(
    jobs: Sequence[Sequence[str]], configs: Sequence[RunConfig], display: Display
) -> list[PlannedRun]:
    """Return the runs of a sweep, each once, in the order of the jobs.

    Raises:
        InputError: a file or the package of a tracker is missing, or its address is a directory.
    """
    contents: dict[str, dict[str, str]] = {}
    runs: dict[Path, PlannedRun] = {}
    trackers = SweepTrackers(display)
    for overrides, config in zip(jobs, configs, strict=True):
        store = RunStore(config, digests(config, display, contents))
        status, complete = read_status(store.path), store.is_complete()
        used = trackers.usable(config, store)
        run = PlannedRun(tuple(overrides), used, store.path, status, complete)
        runs.setdefault(store.path, run)
    if len(runs) < len(jobs):
        display.say(f"note: {len(jobs)} jobs are {len(runs)} different runs")
    return list(runs.values())


def expand(params: Mapping[str, object], given: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of every job: the Cartesian product of the swept values.

    Args:
        params: swept keys and their values, from ``hydra.sweeper.params`` of an experiment file.
        given: overrides from the command line; they take precedence over ``params``.

    Raises:
        InputError: a value is an interval, which only a search can sample; a key has no values, or
            there are too many jobs.
    """
    defaults = parse_overrides([f"{key}={value}" for key, value in params.items()])
    values: dict[str, list[str]] = {}
    for override in (*defaults, *given):
        key = override.get_key_element()
        if not override.is_sweep_override():
            values[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            check_sweep(override)
            values[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
            if not values[key]:
                raise InputError(f"{override.input_line}: has no values")
        else:
            raise InputError(
                f"{override.input_line}: an interval has no end of values; list some, or search "
                "with hydra/sweeper=optuna"
            )
    if math.prod(map(len, values.values())) > MAX_JOBS:
        raise InputError(f"the sweep: has more than {MAX_JOBS} jobs; split it")
    return [list(job) for job in itertools.product(*values.values())]


def check_sweep(override: Override) -> None:
    """Refuse a range that is empty, endless or too long to be a sweep, and a sweep in a list.

    Raises:
        InputError: it is.
    """
    sweep = override.value()
    if isinstance(sweep, ChoiceSweep) and any(isinstance(value, Sweep) for value in sweep.list):
        raise InputError(f"{override.input_line}: a list of values holds a sweep; write them out")
    if not isinstance(sweep, RangeSweep):
        return
    assert sweep.start is not None
    assert sweep.stop is not None
    if not sweep.step or not math.isfinite(float(sweep.start) + float(sweep.stop)):
        raise InputError(f"{override.input_line}: has no end; give range(START, STOP, STEP)")
    count = math.ceil((sweep.stop - sweep.start) / sweep.step)
    if count <= 0:
        raise InputError(f"{override.input_line}: has no values")
    if count > MAX_JOBS:
        raise InputError(f"{override.input_line}: has {count} values; a sweep can take {MAX_JOBS}")


def sharded(jobs: Sequence[Sequence[str]], configs: Sequence[RunConfig]) -> list[list[str]]:
    """Return the jobs, with one for each shard in place of an extraction that is shared."""
    return [
        [*job, *part]
        for job, config in zip(jobs, configs, strict=True)
        for part in (shards_of(config) if isinstance(config.task, FeaturesTask) else [[]])
    ]


def shards_of(config: RunConfig) -> list[list[str]]:
    """Return the overrides that make an extraction the jobs that share it."""
    if not config.extraction.is_for_sweep:
        return [[]]
    return [[f"extraction.shard={number}"] for number in range(config.extraction.shards)]


def extractions(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Return one run for each set of features that several runs need and none has used yet.

    Those that one run needs are extracted ahead, too, where several jobs share that.
    """
    sharing: dict[str, list[PlannedRun]] = {}
    for run in runs:
        if run.config.backbone.extracts:
            key = repr((run.config.dataset, run.config.backbone, run.config.cache_dir))
            sharing.setdefault(key, []).append(run)
    return [
        group[0]
        for group in sharing.values()
        if (len(group) > 1 or group[0].config.extraction.is_for_sweep)
        and not any(run.complete for run in group)
    ]
