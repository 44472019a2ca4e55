"""One job: find the run directory, skip or resume, run the task, record how it ended."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alupdate.config import RunConfig
from alupdate.display import Display
from alupdate.results.records import CycleRecord
from alupdate.results.store import RunStore

log = logging.getLogger("alupdate")


class RunError(Exception):
    """A run has failed; the traceback is in its log, and the message is one line."""


def run_job(config: RunConfig) -> None:
    """Run one configured job to its end; a finished one is skipped unless ``force`` is set.

    Raises:
        InputError: the command or its data are wrong; nothing was written.
        RunError: the run broke; its finished cycles are kept, and the same command resumes it.
    """
    display = Display(config.progress)
    store = RunStore(config)
    if store.is_complete() and not config.force:
        display.say(f"already done: {store.path / 'curve.csv'} (force=true runs it again)")
        return
    from alupdate.tasks.active_learning import ActiveLearning
    from alupdate.tasks.setup import prepare

    setup = prepare(config, display)
    task = ActiveLearning(config, setup)
    with store.locked():
        if config.force:
            store.clear()
        with _logging_to(store.path / "run.log"), _recorded(store):
            facts = {"device": str(setup.device), "threads": config.threads, "oracle": None}
            if task.is_oracle:
                facts["oracle"] = _oracle_note(config)
                log.warning(facts["oracle"])
                display.say(f"note: {facts['oracle']}")
            store.begin(facts)
            records = task.run(store, display)
            _draw_curve(store.path)
            store.set_state("completed")
    _summarise(store, records, display)


def _oracle_note(config: RunConfig) -> str:
    place = getattr(config.strategy, "evaluate_on", "test")
    return (
        f"strategy {config.strategy.name} is an oracle: it sees labels of instances that are not "
        f"bought, and labels of the {place} set; an upper baseline, not for practical use"
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
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
        line = f"{type(error).__name__}: {reason}"
        _try(lambda: log.exception("the run failed"))
        _try(lambda: store.set_state("failed", line))
        raise RunError(f"{store.path}: {line} (details in {store.path / 'run.log'})") from error


def _try(step: Callable[[], None]) -> None:
    """Do what can be done on a full or vanished disk: the first error is the one to report."""
    try:
        step()
    except OSError:
        return


class _RunLog(logging.FileHandler):
    """A log whose own trouble, such as a full disk, does not drown the run's error."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Give up on the record."""

    def close(self) -> None:
        """Close the file; what cannot be flushed is lost."""
        _try(super().close)


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    handler = _RunLog(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    log.info("process %d", os.getpid())
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()


def _draw_curve(folder: Path) -> None:
    import pandas as pd

    from alupdate.plots.learning_curve import learning_curve

    figure = learning_curve(pd.read_csv(folder / "curve.csv"))
    partial = folder / ".curve.partial.png"
    figure.savefig(partial, dpi=150)
    partial.replace(folder / "curve.png")


def _summarise(store: RunStore, records: list[CycleRecord], display: Display) -> None:
    step = max(1, len(records) // 5)
    shown = [*records[:-1:step], records[-1]]
    metrics = ("accuracy", "nll", "ece")
    rows = [[str(r.n_labelled), *(f"{r.scores[m]:.3f}" for m in metrics)] for r in shown]
    display.table(store.name, ["labels", *metrics], rows)
    display.say(f"curve: {store.path / 'curve.csv'} and curve.png")
