"""One job: find the run directory, skip or resume, run the task, record how it ended."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alupdate.config import (
    DescribeTask,
    FeaturesTask,
    LabelTask,
    PredictTask,
    RerunTask,
    RunConfig,
    ServeTask,
    StatusTask,
    SuggestTask,
    UpdatingTask,
)
from alupdate.config.options import Option
from alupdate.results.store import RunStore
from alupdate.trackers import catch_up, make_tracker, tracked
from alupdate.trackers.tracker import Tracker
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError, first_line, redacted
from alupdate.utils.files import require_regular
from alupdate.utils.paths import cache_dir

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from alupdate.experiment.setup import Setup
    from alupdate.experiment.task import Task, TaskSummary

log = logging.getLogger("alupdate")
SINGLE = (StatusTask, RerunTask, SuggestTask, LabelTask, ServeTask)
"""Tasks that are no jobs of a sweep."""


class RunError(Exception):
    """A run has failed; the traceback is in its log, and the message is one line."""

    def __init__(self, run: Path, reason: str) -> None:
        super().__init__(f"{run}: {reason} (details in {run / 'run.log'})")
        self.reason = reason


def run_job(config: RunConfig) -> None:
    """Run one configured job to its end; a finished one is skipped unless ``force`` is set.

    Raises:
        InputError: the command or its data are wrong; nothing was written.
        RunError: the run broke; its finished cycles are kept, and the same command resumes it.
    """
    check_task(config)
    display = Display(config.progress)
    if isinstance(config.task, DescribeTask | FeaturesTask | PredictTask):
        _run_without_store(config, display)
        return
    store = RunStore(config, digests(config, display))
    tracker = make_tracker(config, store)
    _repair_tables(store, config, display)
    if _is_done(store, config, display):
        catch_up(tracker, store, display)
        _keep_model_of_finished(config, store, display)
        return
    setup, task = _prepared(config, store, display)
    with store.locked():
        if _is_done(store, config, display):  # by another process, while this one made ready
            return
        summary = _run_task(config, store, setup, task, tracker, display)
        _keep_model(config, store, task, display)
    display.table(store.name, summary.columns, summary.rows)
    if summary.note:
        display.say(summary.note)
    display.say(f"results: {store.main_table}")


def check_task(config: RunConfig) -> None:
    """Refuse a task that is no job of a sweep.

    Raises:
        InputError: it is one.
    """
    if isinstance(config.task, SINGLE):
        raise InputError(f"task={config.task.name}: is not for a sweep; leave -m out")


def _run_task(
    config: RunConfig,
    store: RunStore,
    setup: "Setup",
    task: "Task",
    tracker: Tracker | None,
    display: Display,
) -> "TaskSummary":
    """Run a task in its locked directory, and record how it ended."""
    changed = store.changes()
    for note in changed:
        display.say(f"note: {note}")
    if config.force:
        store.clear()
    with _logging_to(store.path / "run.log"), _recorded(store):
        facts: dict[str, Any] = {"device": str(setup.device)}
        if setup.placement is not None and (names := setup.placement.other_than_cpu()):
            facts["devices"] = names
        facts |= {"threads": config.threads, "oracle": None}
        if task.is_oracle:
            facts["oracle"] = _oracle_note(config)
            log.warning(facts["oracle"])
            display.say(f"note: {facts['oracle']}")
        for note in changed:
            log.warning(note)
        for note in setup.dataset.notes:
            log.warning("%s: %s", setup.dataset.name, note)
        if setup.placement is not None:
            log.info("devices: %s", setup.placement)
        store.begin(facts)
        with tracked(tracker, store, display, config.force):
            summary = task.run(store, display)
            _save_figure(summary.draw, store.main_table.with_suffix(".png"), display)
            store.set_state("completed")
        if summary.note:
            log.info(summary.note)
        log.info("completed")
    return summary


def _keep_model(config: RunConfig, store: RunStore, task: "Task", display: Display) -> None:
    """Write the model of a finished run into its directory, if that is asked for."""
    from alupdate.experiment.active_learning import ActiveLearning

    if config.keep_model and isinstance(task, ActiveLearning):
        display.say(f"model: {task.saved_model(store, display).save(store.path)}")


def _keep_model_of_finished(config: RunConfig, store: RunStore, display: Display) -> None:
    """Make the model of a run that has finished without it, or whose files are damaged."""
    if not config.keep_model:
        return
    from alupdate.experiment.kept_model import has_model
    from alupdate.experiment.setup import prepare

    if has_model(store.path, config, store.n_labelled()):
        return
    task = make_task(config, prepare(config, display))
    with store.locked():
        _keep_model(config, store, task, display)


def _prepared(config: RunConfig, store: RunStore, display: Display) -> "tuple[Setup, Task]":
    """Prepare data, learner and task; wrong input writes nothing, any other error a failed run."""
    from alupdate.experiment.setup import prepare

    try:
        setup = prepare(config, display)
        return setup, make_task(config, setup)
    except (InputError, OSError):
        raise
    except Exception:
        with store.locked(), _logging_to(store.path / "run.log"), _recorded(store):
            store.begin({})
            raise


def make_task(config: RunConfig, setup: "Setup") -> "Task":
    """Return the configured task.

    Raises:
        InputError: its sizes do not fit the data.
    """
    from alupdate.experiment.active_learning import ActiveLearning
    from alupdate.experiment.updating import Updating

    if isinstance(config.task, UpdatingTask):
        return Updating(config, setup)
    return ActiveLearning(config, setup)


def _is_done(store: RunStore, config: RunConfig, display: Display) -> bool:
    done = not config.force and store.is_complete()
    if done:
        display.say(f"already done: {store.main_table} (force=true runs it again)")
    return done


def _repair_tables(store: RunStore, config: RunConfig, display: Display) -> None:
    """Write the tables of a finished run again where they are not what its state says."""
    if config.force or not store.damaged_tables():
        return
    with store.locked():
        damaged = store.damaged_tables() or {}
        store.repair(damaged)
    if damaged:
        display.say(f"note: {store.path}: wrote {', '.join(damaged)} again from state.json")


def digests(
    config: RunConfig, display: Display, known: dict[str, dict[str, str]] | None = None
) -> dict[str, str]:
    """Return the content of all files that decide the result: key or name to SHA-256.

    Args:
        config: of the run.
        display: shows progress.
        known: what was found for options of earlier configs; new ones are added.

    Raises:
        InputError: a file is missing.
    """
    known = {} if known is None else known
    cache = cache_dir(config.cache_dir)
    place = repr((config.dataset, cache))
    if place not in known:
        digest = config.dataset.digest(cache, display)
        known[place] = {} if digest is None else {"dataset": digest}
    contents = dict(known[place])
    used: list[Option] = [config.backbone]
    if not isinstance(config.task, UpdatingTask):
        used.append(config.strategy)
    for option in used:
        if repr(option) not in known:
            known[repr(option)] = option.digests()
        contents |= known[repr(option)]
    return contents


def _run_without_store(config: RunConfig, display: Display) -> None:
    """Run a task that leaves no run directory."""
    if isinstance(config.task, DescribeTask):
        from alupdate.experiment.setup import describe

        describe(config, config.task, display)
    elif isinstance(config.task, PredictTask):
        from alupdate.experiment.predictions import write_predictions

        write_predictions(config, display)
    else:
        from alupdate.experiment.setup import keep_features

        keep_features(config, display)


def _oracle_note(config: RunConfig) -> str:
    place = config.strategy.evaluation_set
    return (
        f"strategy {config.strategy.name} is an oracle: it sees labels of instances that are not "
        f"labelled, and labels of the {place} set; an upper baseline, not for practical use"
    )


@contextmanager
def _recorded(store: RunStore) -> Iterator[None]:
    """Write to the status and the log how the run ended."""
    try:
        yield
    except KeyboardInterrupt:
        log.info("interrupted")
        store.set_state("interrupted", "interrupted by the user; the same command resumes it")
        raise
    except (Exception, SystemExit) as error:  # a plug-in, too, may call sys.exit
        line = _reason(error)
        _try(lambda: log.exception("the run failed"))
        _try(lambda: store.set_state("failed", line))
        raise RunError(store.path, line) from error


def _reason(error: BaseException) -> str:
    """Return in one line why a run has failed; of an arithmetic error, which settings to change."""
    line = first_line(error, typed=True)
    if "LinAlgError" not in type(error).__name__ and "did not converge" not in line:
        return line
    return (
        "numbers became too large or too small: use a smaller training.learning_rate or "
        f"update.gamma, or a posterior.prior_precision nearer to 1 ({line})"
    )


def _try(step: Callable[[], None]) -> None:
    """Do what can be done on a full or vanished disk: the first error is the one to report."""
    try:
        step()
    except OSError:
        return


class _Redacting(logging.Formatter):
    """Writes records, tracebacks included, without passwords."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line or lines of a record."""
        return redacted(super().format(record))


class _RunLog(logging.FileHandler):
    """A file handler that ignores I/O errors, so that the error of the run is the one reported."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Give up on the record."""

    def close(self) -> None:
        """Close the file; what cannot be flushed is lost."""
        _try(super().close)


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    if path.exists():  # nothing reads a pipe
        require_regular(path)
    handler = _RunLog(path, encoding="utf-8")
    handler.setFormatter(_Redacting("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    log.info("process %d", os.getpid())
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before[0])
        log.propagate = before[1]
        handler.close()


def _save_figure(draw: "Callable[[], Figure]", path: Path, display: Display) -> None:
    """Draw and save a picture; the results are complete without it, so trouble is a warning."""
    from alupdate.analysis.theme import plain_text

    partial = path.with_name(f".{path.stem}.partial.png")
    try:
        figure = plain_text(draw())
        figure.savefig(partial, dpi=150, pil_kwargs={"compress_level": 1})  # a quarter of the time
        partial.replace(path)
    except Exception as error:  # whatever matplotlib, Pillow or the disk may raise
        _try(lambda: partial.unlink(missing_ok=True))
        line = f"{path} could not be drawn ({first_line(error, typed=True)})"
        log.warning(line)
        display.complain(f"warning: {line}; the run is complete without it")
