"""Runs a sweep: plans all runs, launches those that are pending, and reports how they ended.

``python -m alupdate.run -m`` hands its arguments to Hydra. Hydra calls ``run_sweep`` through the
sweeper plugin in ``hydra_plugins/hydra_alupdate_sweeper.py``.
"""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.core.override_parser.types import Override
from hydra.types import HydraContext
from omegaconf import DictConfig

from alupdate.config import HOW_TO_RUN, PLACES, RunConfig
from alupdate.config.compose import composer_of, parse_overrides
from alupdate.config.overrides import override_text, shell_command
from alupdate.sweep.launch import (
    Launch,
    SweepResults,
    extract_shared_features,
    launch_until_done,
    make_launch,
)
from alupdate.sweep.plan import (
    PlannedRun,
    check_jobs,
    expand,
    plan_runs,
    sharded,
)
from alupdate.sweep.status import (
    MANIFEST,
    ManifestRow,
    current_row,
    progress_of,
    read_manifest,
    variant,
    write_manifest,
)
from alupdate.sweep.worker import keeps_results
from alupdate.utils.display import Display
from alupdate.utils.errors import DONE, FAILED, WRONG_INPUT, InputError, first_line
from alupdate.utils.paths import experiment_dir

ALLOW_PLUGINS = "allow_plugins"
"""The key that lets ``task=rerun`` run plug-ins that a manifest names."""
_FAILURES_SHOWN = 20
_LABELS = ("completed", "already done", "failed", "invalid", "pending")


class SweepError(Exception):
    """A sweep has ended and not all of its jobs are done; the user has been told which and why.

    Attributes:
        code: exit code of the command.
    """

    def __init__(self, code: int) -> None:
        super().__init__("not all jobs of the sweep are done")
        self.code = code


def run_sweep(
    master: DictConfig,
    context: HydraContext,
    params: Mapping[str, str],
    arguments: Sequence[str],
) -> None:
    """Run every job of a sweep that is not done yet.

    Args:
        master: what the configs of the jobs have in common, with Hydra's own settings.
        context: what Hydra's launchers need.
        params: swept keys and their values, from an experiment file.
        arguments: overrides from the command line; they take precedence over ``params``.

    Raises:
        InputError: the config of a job is wrong; no job has been started.
        SweepError: a job has failed, is invalid, or is still pending.
        KeyboardInterrupt: from the user, after the summary.
    """
    jobs = _jobs(master, params, arguments)
    configs = check_jobs(jobs, composer_of(master))
    if master.task.name == "rerun":
        _refuse_plugins(configs, arguments)
    display = Display(configs[0].progress)
    if all(keeps_results(config) for config in configs):
        runs = plan_runs(jobs, configs, display)
        launch = make_launch(master, context, _experiments(runs)[0])
        code = _run_pending(runs, launch, display)
    else:
        code = _run_all(sharded(jobs, configs), make_launch(master, context, Path()), display)
    if code != DONE:
        raise SweepError(code)


def _jobs(
    master: DictConfig, params: Mapping[str, str], arguments: Sequence[str]
) -> list[list[str]]:
    """Return the overrides of each job."""
    given = parse_overrides(arguments)
    if master.task.name == "rerun":
        folder = experiment_dir(master.experiment_dir, master.results_dir, master.experiment_name)
        return _failed_jobs(folder, given)
    return expand(params, given)


def _failed_jobs(folder: Path, given: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of an experiment's runs that are failed or invalid, however often.

    How to run them (threads, device, ...) can be said anew on the command line; what they are
    cannot.

    Raises:
        InputError: there is no such experiment, nothing failed in it, or other keys are given.
    """
    for override in given:
        if override.key_or_group not in HOW_TO_RUN | {"task", ALLOW_PLUGINS}:
            raise InputError(
                f"{override.input_line}: cannot change with task=rerun, which runs what "
                f"{MANIFEST} says"
            )
    if not folder.is_dir():
        raise InputError(f"experiment_dir={folder}: no such directory")
    place = [
        override_text("results_dir", str(folder.parent)),
        override_text("experiment_name", folder.name),
    ]
    how = HOW_TO_RUN - PLACES - {ALLOW_PLUGINS}
    anew = [o.input_line or "" for o in given if o.key_or_group in how]
    jobs = []
    for row in read_manifest(folder):
        now = current_row(folder / row.run, shlex.split(row.overrides))
        if now.state == "failed" or (row.state, now.state) == ("invalid", "waiting"):
            overrides = [*shlex.split(row.overrides), *place, "max_failures=null", *anew]
            jobs += expand({}, parse_overrides(overrides))
    if not jobs:
        raise InputError(f"experiment_dir={folder}: nothing failed in it")
    return jobs


def _refuse_plugins(configs: Sequence[RunConfig], arguments: Sequence[str]) -> None:
    """Refuse to run code that only a manifest names, unless the command itself allows it.

    Raises:
        InputError: naming the module.
    """
    given = {override.key_or_group: override.value() for override in parse_overrides(arguments)}
    modules = filter(None, map(_plugin_module, configs))
    for module in modules if given.get(ALLOW_PLUGINS) is not True else ():
        raise InputError(
            f"strategy.module={module}: {MANIFEST} names this module, and task=rerun would run "
            f"its code; give {ALLOW_PLUGINS}=true if you trust it"
        )


def _plugin_module(config: RunConfig) -> str | None:
    """Return the module of the user's own that a run imports."""
    return getattr(config.strategy, "module", None)


def _run_pending(runs: Sequence[PlannedRun], launch: Launch, display: Display) -> int:
    """Run what is pending, with a manifest before and after; return the exit code."""
    results = SweepResults()
    try:
        _record(runs, results)
    except OSError as error:  # where this cannot be written, nothing can
        place = f"{error.filename} ({error.strerror})"
        raise InputError(f"results_dir: cannot write {place}") from error
    try:
        with progress_of(runs, display):
            extract_shared_features(runs, launch, display)
            launch_until_done(runs, launch, results)
    finally:
        try:
            _record(runs, results)
        except OSError as error:  # such as a full disk; the runs have their own status
            display.complain(f"warning: {error.filename} is not written ({error.strerror})")
        _show_summary(runs, results, display)
    labels = {_label(run, results) for run in runs}
    if labels & {"failed", "pending"}:
        return FAILED
    return WRONG_INPUT if "invalid" in labels else DONE


def _run_all(jobs: Sequence[Sequence[str]], launch: Launch, display: Display) -> int:
    """Launch jobs that keep no results, and so cannot be skipped or resumed.

    Raises:
        InputError: the launcher does not work.
    """
    codes = {"done": DONE, "invalid": WRONG_INPUT}
    worst = DONE
    try:
        results = launch(jobs)
    except Exception as error:  # whatever a launcher raises: its worker died, no such queue
        raise InputError(f"hydra/launcher: {first_line(error, typed=True)}") from error
    for job, result in zip(jobs, results, strict=True):
        if result.outcome != "done":
            display.complain(f"{result.outcome}: {shlex.join(job)}: {result.reason}")
        worst = max(worst, codes.get(result.outcome, FAILED))
    done = sum(result.outcome == "done" for result in results)
    if done:
        display.say(f"{done} of {len(jobs)} jobs are done")
    return worst


def _record(runs: Sequence[PlannedRun], results: SweepResults) -> None:
    """Write how the runs stand to sweep.csv.

    Raises:
        OSError: it cannot be written.
    """
    for folder in _experiments(runs):
        own = [run for run in runs if run.path.parent == folder]
        write_manifest(folder, [_row(run, results) for run in own])


def _row(run: PlannedRun, results: SweepResults) -> ManifestRow:
    result = results.jobs.get(run.path)
    problem = result.reason if result is not None and result.outcome == "invalid" else None
    return current_row(run.path, run.overrides, problem)


def _experiments(runs: Sequence[PlannedRun]) -> list[Path]:
    """Return the directories of the runs' experiments."""
    return list(dict.fromkeys(run.path.parent for run in runs))


def _label(run: PlannedRun, results: SweepResults) -> str:
    """Return how a run of a sweep ended, as the summary names it."""
    result = results.jobs.get(run.path)
    if result is None:
        return "pending"
    if result.outcome == "done":
        return "already done" if run.is_finished else "completed"
    return "invalid" if result.outcome == "invalid" else "failed"


def _show_summary(runs: Sequence[PlannedRun], results: SweepResults, display: Display) -> None:
    """Print the counts, the failures with their reasons, and how to run those again."""
    counts: dict[str, Counter[str]] = {}
    for run in runs:
        counts.setdefault(variant(run.path.name), Counter())[_label(run, results)] += 1
    total = sum(counts.values(), Counter[str]())
    used = [name for name in _LABELS if total[name]]
    rows = [[name, *(str(count[column]) for column in used)] for name, count in counts.items()]
    rows.append([f"all {len(runs)}", *(str(total[column]) for column in used)])
    display.table("sweep", ["runs", *used], rows)
    if results.launcher_error is not None:
        display.complain(f"failed: the launcher gave up: {results.launcher_error}")
    _show_failures(runs, results, display)
    for folder in _experiments(runs):
        display.say(f"manifest: {folder / MANIFEST}")


def _show_failures(runs: Sequence[PlannedRun], results: SweepResults, display: Display) -> None:
    bad = [run for run in runs if _label(run, results) in ("failed", "invalid")]
    for run in bad[:_FAILURES_SHOWN]:
        reason = results.jobs[run.path].reason or "no reason is known"
        often = ""
        if run.is_given_up:
            often = f" (not tried again after {run.before.failures} failures; max_failures=null)"
        display.complain(f"{_label(run, results)}: {run.path.name}: {reason}{often}")
    if len(bad) > _FAILURES_SHOWN:
        display.complain(f"... and {len(bad) - _FAILURES_SHOWN} more in {MANIFEST}")
    for folder in _experiments(bad):
        again = ["task=rerun", override_text("experiment_dir", str(folder))]
        if any(_plugin_module(run.config) for run in bad):
            again.append(f"{ALLOW_PLUGINS}=true")
        display.complain(f"run only these again: {shell_command(again)}")
