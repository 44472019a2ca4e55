"""Which jobs a sweep has, checked before the first of them starts."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alupdate.config import PlainBackbone, RunConfig, is_frozen
from alupdate.display import Display
from alupdate.errors import InputError
from alupdate.job import digests
from alupdate.results.status import RunStatus, read_status
from alupdate.results.store import RunStore
from alupdate.sweep.overrides import Composer


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
    """Return the runs of a sweep, each once, in the order of the jobs."""
    contents: dict[str, dict[str, str]] = {}
    runs: dict[Path, PlannedRun] = {}
    for overrides, config in zip(jobs, checked, strict=True):
        source = repr((config.dataset, config.backbone, config.cache_dir))
        if source not in contents:
            contents[source] = digests(config, display)
        store = RunStore(config, contents[source])
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
        if is_frozen(run.config.backbone) and not isinstance(run.config.backbone, PlainBackbone):
            key = repr((run.config.dataset, run.config.backbone, run.config.cache_dir))
            sharing.setdefault(key, []).append(run)
    return [
        group[0]
        for group in sharing.values()
        if len(group) > 1 and not any(run.complete for run in group)
    ]
