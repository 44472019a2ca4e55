"""The command with ``-m``: plan all runs, launch those that are left, say how they ended."""

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from alupdate.config import HOW_TO_RUN, PLACES
from alupdate.sweep.launch import Launch, Settled, complete, features_first, make_launch
from alupdate.sweep.plan import (
    CONFIG,
    Composer,
    PlannedRun,
    configs,
    expand,
    parse_overrides,
    planned,
)
from alupdate.sweep.status import (
    MANIFEST,
    ManifestRow,
    current_row,
    read_manifest,
    variant,
    watched,
    write_manifest,
)
from alupdate.sweep.worker import keeps_results
from alupdate.utils.display import Display
from alupdate.utils.errors import DONE, FAILED, WRONG_INPUT, InputError, first_line
from alupdate.utils.paths import conf_dir, experiment_dir

FAILURES_SHOWN = 20
LABELS = ("completed", "already done", "failed", "refused", "left")
BAD = ("failed", "refused")


def label(run: PlannedRun, settled: Settled) -> str:
    """Return how a run of a sweep ended, in the words of the summary."""
    ending = settled.endings.get(run.path)
    if ending is None:
        return "left"
    if ending.outcome == "done":
        return "already done" if run.is_finished else "completed"
    return "refused" if ending.outcome == "refused" else "failed"


def show_summary(runs: Sequence[PlannedRun], settled: Settled, display: Display) -> None:
    """Print the counts, the failures with their reasons, and how to run those again."""
    counts: dict[str, Counter[str]] = {}
    for run in runs:
        counts.setdefault(variant(run.path.name), Counter())[label(run, settled)] += 1
    total = sum(counts.values(), Counter[str]())
    used = [name for name in LABELS if total[name]]
    rows = [[name, *(str(count[column]) for column in used)] for name, count in counts.items()]
    rows.append([f"all {len(runs)}", *(str(total[column]) for column in used)])
    display.table("sweep", ["runs", *used], rows)
    if settled.breakdown is not None:
        display.complain(f"failed: the launcher gave up: {settled.breakdown}")
    _show_failures([run for run in runs if label(run, settled) in BAD], settled, display)
    for folder in experiments(runs):
        display.say(f"manifest: {folder / MANIFEST}")


def experiments(runs: Sequence[PlannedRun]) -> list[Path]:
    """Return the directories of the runs' experiments."""
    return list(dict.fromkeys(run.path.parent for run in runs))


def _show_failures(bad: Sequence[PlannedRun], settled: Settled, display: Display) -> None:
    for run in bad[:FAILURES_SHOWN]:
        reason = settled.endings[run.path].reason or "no reason is known"
        often = ""
        if run.is_given_up:
            often = f" (not tried again after {run.before.failures} failures; max_failures=null)"
        display.complain(f"{label(run, settled)}: {run.path.name}: {reason}{often}")
    if len(bad) > FAILURES_SHOWN:
        display.complain(f"... and {len(bad) - FAILURES_SHOWN} more in {MANIFEST}")
    for folder in experiments(bad):
        display.complain(
            f"run only these again: python -m alupdate.run task=rerun experiment_dir={folder}"
        )


def failed_jobs(folder: Path, given: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of an experiment's runs that failed or were refused, however often.

    How to run them (threads, device, ...) can be said anew on the command line; what they are
    cannot.

    Raises:
        InputError: there is no such experiment, nothing failed in it, or other keys are given.
    """
    for override in given:
        if override.key_or_group not in HOW_TO_RUN | {"task"}:
            raise InputError(
                f"{override.input_line}: cannot change with task=rerun, which runs what "
                f"{MANIFEST} says"
            )
    if not folder.is_dir():
        raise InputError(f"experiment_dir={folder}: no such directory")
    place = [f"results_dir={folder.parent}", f"experiment_name={folder.name}"]
    anew = [o.input_line or "" for o in given if o.key_or_group in HOW_TO_RUN - PLACES]
    jobs = []
    for row in read_manifest(folder):
        standing = current_row(folder / row.run, shlex.split(row.overrides))
        if standing.state == "failed" or (row.state, standing.state) == ("refused", "waiting"):
            overrides = [*shlex.split(row.overrides), *place, "max_failures=null", *anew]
            jobs += expand({}, parse_overrides(overrides))
    if not jobs:
        raise InputError(f"experiment_dir={folder}: nothing failed in it")
    return jobs


def run_sweep(arguments: Sequence[str]) -> int:
    """Run every job of a multirun that is not done yet; return the exit code.

    Raises:
        InputError: the config of a job is wrong; then none has started.
        KeyboardInterrupt: from the user, after the summary.
    """
    with initialize_config_dir(str(conf_dir()), job_name="alupdate", version_base="1.3"):
        master, jobs = _jobs(arguments)
        checked = configs(jobs, Composer(master.hydra.overrides.hydra))
        display = Display(checked[0].progress)
        if not all(keeps_results(config) for config in checked):
            return _run_all(jobs, make_launch(master, Path()), display)
        runs = planned(jobs, checked, display)
        return _run_left(runs, make_launch(master, experiments(runs)[0]), display)


def _jobs(arguments: Sequence[str]) -> tuple[DictConfig, list[list[str]]]:
    """Return the config that the jobs have in common, and the overrides of each."""
    given = parse_overrides(arguments)
    fixed = [override.input_line or "" for override in given if not override.is_sweep_override()]
    master = compose(CONFIG, fixed, return_hydra_config=True)
    own = [override for override in given if not override.is_hydra_override()]
    if master.task.name == "rerun":
        folder = experiment_dir(master.experiment_dir, master.results_dir, master.experiment_name)
        return master, failed_jobs(folder, own)
    params = OmegaConf.to_container(master.hydra.sweeper.params or OmegaConf.create())
    assert isinstance(params, dict)
    return master, expand({str(key): value for key, value in params.items()}, own)


def _run_left(runs: Sequence[PlannedRun], launch: Launch, display: Display) -> int:
    """Run what is left of a sweep, keeping its manifest; return the exit code."""
    settled = Settled()
    _record(runs, settled)  # where this cannot be written, nothing can
    try:
        with watched(runs, display):
            features_first(runs, launch, display)
            complete(runs, launch, settled)
    finally:
        try:
            _record(runs, settled)
        except OSError as error:  # such as a full disk; the runs have their own status
            display.complain(f"warning: {error.filename} is not written ({error.strerror})")
        show_summary(runs, settled, display)
    labels = {label(run, settled) for run in runs}
    if labels & {"failed", "left"}:
        return FAILED
    return WRONG_INPUT if "refused" in labels else DONE


def _run_all(jobs: Sequence[Sequence[str]], launch: Launch, display: Display) -> int:
    """Launch jobs that keep no results, and so cannot be skipped or resumed.

    Raises:
        InputError: the launcher does not work.
    """
    codes = {"done": DONE, "refused": WRONG_INPUT}
    worst = DONE
    try:
        endings = launch(jobs)
    except Exception as error:  # whatever a launcher raises: its worker died, no such queue
        raise InputError(f"hydra/launcher: {first_line(error, typed=True)}") from error
    for job, ending in zip(jobs, endings, strict=True):
        if ending.outcome != "done":
            display.complain(f"{ending.outcome}: {' '.join(job)}: {ending.reason}")
        worst = max(worst, codes.get(ending.outcome, FAILED))
    return worst


def _record(runs: Sequence[PlannedRun], settled: Settled) -> None:
    """Write how the runs stand to sweep.csv.

    Raises:
        OSError: it cannot be written.
    """
    for folder in experiments(runs):
        own = [run for run in runs if run.path.parent == folder]
        write_manifest(folder, [_row(run, settled) for run in own])


def _row(run: PlannedRun, settled: Settled) -> ManifestRow:
    ending = settled.endings.get(run.path)
    refusal = ending.reason if ending is not None and ending.outcome == "refused" else None
    return current_row(run.path, run.overrides, refusal)
