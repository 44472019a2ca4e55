"""The command with ``-m``: plan all runs, launch those that are left, say how they ended."""

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from alupdate.display import Display
from alupdate.errors import InputError, first_line
from alupdate.paths import conf_dir, experiment_dir
from alupdate.sweep.launch import Launch, features_first, make_launch
from alupdate.sweep.manifest import ManifestRow, current_row, write_manifest
from alupdate.sweep.overrides import CONFIG, Composer, expand, parse_overrides
from alupdate.sweep.plan import PlannedRun, configs, planned
from alupdate.sweep.rerun import failed_jobs
from alupdate.sweep.rounds import Settled, complete
from alupdate.sweep.summary import experiments, label, show_summary
from alupdate.sweep.watch import watched
from alupdate.sweep.worker import keeps_results

DONE, FAILED, WRONG_INPUT = 0, 1, 2


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
        raise InputError(f"hydra/launcher: {type(error).__name__}: {first_line(error)}") from error
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
