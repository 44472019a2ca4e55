"""The run directory: its identity and lock, and the state from which a run resumes.

The truth about a run is one file, ``state.json``, replaced atomically at the end of every cycle
and guarded by a checksum that covers the run's name. The CSV files are written from it, so they can
never disagree with each other, and those of a finished run can be checked: whatever moment a run is
killed at, it resumes at its last finished cycle, and the CSV files are written again.
"""

import errno
import glob
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import reduce
from pathlib import Path
from typing import Any

import yaml
from filelock import Timeout

from alupdate.config import HOW_TO_RUN, RunConfig, UpdatingTask, run_prefix
from alupdate.results.provenance import now, provenance
from alupdate.results.records import (
    MAIN_TABLES,
    CycleRecord,
    cycles_of,
    run_tables,
    updates_of,
)
from alupdate.results.status import LOCK, STATUS, State, read_document, read_status
from alupdate.results.stopping import check_stops, ending_rules
from alupdate.utils.errors import InputError, cannot_read, first_line
from alupdate.utils.files import locked_file, regular_bytes, replace_file

FORMAT_VERSION = 6
"""Version of the result format and of what the numbers mean; part of every run's hash."""
STATE = "state.json"
ADDED: Mapping[str, Any] = {
    "initial": "random",
    "dataset.labels": None,
    "dataset.instance_column": None,
    "dataset.classes": None,
    "dataset.on_conflict": "error",
    "dataset.cost": None,
    "dataset.cost_column": None,
    "dataset.imbalance": 1.0,
    "dataset.imbalance_test": False,
    "dataset.label_noise": 0.0,
    "dataset.label_noise_kind": "symmetric",
    "dataset.outliers": 0.0,
    "dataset.outlier_classes": None,
    "dataset.duplicates": 0.0,
    "dataset.disturbance_seed": 0,
    "batch.labels": "acquired",
    "batch.n_samples": 1,
    "strategy.n_clustered": 10_000,
    "strategy.n_compared": 2000,
    "strategy.n_counted": 5000,
    "annotator": {"name": "truth"},
    "stop": {"name": "none"},
    "forecast": {"name": "none"},
    "backbone.precision": "float32",
}
"""Settings that earlier versions did not have, and the values that stand for what those did: with
them a run is the one that it was."""
ABSENT = object()
SECONDS_FOR_LOCK = 2.0
"""How long to try: whoever only looks whether a run is alive holds its lock for a moment."""
log = logging.getLogger(__name__)


class BusyError(InputError):
    """Another process is running this very run."""


class RunStore:
    """One run's directory, ``results_dir/experiment_name/<readable prefix>-<hash>``."""

    def __init__(self, config: RunConfig, digests: Mapping[str, str] | None = None) -> None:
        """Find the directory.

        Args:
            config: of the run.
            digests: what the files hold that decide the result: key or name to SHA-256.
        """
        self._config = config
        self._settings = _settings(config)
        self._observers: list[Callable[[list[dict[str, Any]]], None]] = []
        contents = dict(digests or {})
        self._facts: dict[str, Any] = {"sha256": contents}
        identity = _digest(self._settings, contents, config.dataset.places)
        self.name = f"{run_prefix(config)}-{identity}"
        self.path = Path(config.results_dir) / config.experiment_name / self.name
        self._lock_file: int | None = None

    @property
    def main_table(self) -> Path:
        """The CSV file for which the run was made."""
        return self.path / MAIN_TABLES[self._config.task.name]

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that decides the result, and where the data lie."""
        return self._settings

    def changes(self) -> list[str]:
        """Say which files differ from those of earlier runs with the very same settings."""
        prefix = f"{glob.escape(run_prefix(self._config))}-*"
        contents, notes = self._facts["sha256"], []
        for folder in sorted(self.path.parent.glob(prefix)):
            earlier = read_document(folder).get("sha256")
            if folder == self.path or not isinstance(earlier, dict):
                continue
            names = sorted(earlier.keys() | contents.keys())
            changed = [name for name in names if earlier.get(name) != contents.get(name)]
            if changed and _same(folder / "config.yaml", self._settings):
                notes.append(
                    f"{', '.join(changed)}: changed since {folder}, which stays as it is; this is "
                    "another run"
                )
        return notes

    def status(self) -> dict[str, Any]:
        """Return what status.json holds; nothing if there is no (readable) status."""
        return read_document(self.path)

    def is_complete(self) -> bool:
        """Return whether the run has finished and its tables are as its state says."""
        return self.damaged_tables() == {}

    def damaged_tables(self) -> dict[str, str] | None:
        """Return the tables of a finished run that are not what its state says.

        A finished run that has lost its state is taken as it is if its tables can be read.

        Returns:
            Name to right content; None if the run has not finished, or must be done again.
        """
        if read_status(self.path).state != "completed":
            return None
        steps, trouble = self._read_state()
        if trouble:
            return {} if self._is_readable() else None
        if not self._is_whole(steps):
            return None
        tables = run_tables(self.name, self._config, bool(self.status().get("oracle")), steps)
        return {name: text for name, text in tables.items() if self._content(name) != text.encode()}

    def repair(self, tables: Mapping[str, str]) -> None:
        """Replace damaged tables of a finished run, which this process must have locked."""
        for name, content in tables.items():
            replace_file(self.path / name, content)

    @property
    def _is_updating(self) -> bool:
        return isinstance(self._config.task, UpdatingTask)

    def _number_of_steps(self) -> int:
        task = self._config.task
        return (
            len(task.initial_sizes) if isinstance(task, UpdatingTask) else self._config.n_cycles + 1
        )

    def _is_whole(self, steps: list[dict[str, Any]]) -> bool:
        """Return whether nothing is left to do: all cycles are there, or a rule ended the run."""
        if len(steps) == self._number_of_steps():
            return True
        return not self._is_updating and bool(self.ending_rules(cycles_of(steps)))

    def ending_rules(self, records: Sequence[CycleRecord]) -> tuple[str, ...]:
        """Return the stopping rules that have ended the run; empty while it goes on."""
        return ending_rules(self._config, records[-1].stopping) if records else ()

    def n_labelled(self) -> int:
        """Return how many labels a finished run ended with."""
        records = cycles_of(self._read_state()[0])
        if records:
            return records[-1].n_labelled
        return self._config.n_initial + self._config.n_cycles * self._config.batch.size

    def _content(self, name: str) -> bytes | None:
        try:
            return regular_bytes(self.path / name)
        except OSError:
            return None

    def _is_readable(self) -> bool:
        names = {self.main_table.name}
        if not self._is_updating:
            names |= {"timings.csv", "queries.csv"}
        from alupdate.results.csv_tables import read_run_table  # pandas takes half a second

        try:
            for name in names:
                read_run_table(self.path / name)
        except InputError:
            return False
        return True

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Create the directory and hold it for this process.

        The operating system frees the lock with the process, so a dead run never holds it.

        Raises:
            BusyError: another process is running this very run.
            InputError: the directory cannot be made.
        """
        with ExitStack() as stack:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked_file(self.path / LOCK, SECONDS_FOR_LOCK))
            except Timeout as error:
                raise BusyError(f"{self.path}: another process is running this run") from error
            except OSError as error:
                reason = f"cannot write {self.path} ({error.strerror})"
                raise InputError(f"results_dir: {reason}") from error
            self._lock_file = self._inode()
            yield

    def begin(self, facts: dict[str, Any]) -> None:
        """Write config.yaml and the status ``running``; ``facts`` go into the status."""
        for stray in self.path.glob(".*.partial*"):  # of an attempt that was killed
            stray.unlink()
        failures = read_status(self.path).failures
        self._facts |= provenance() | facts | {"started": now(), "failures": failures}
        replace_file(self.path / "config.yaml", yaml.safe_dump(self._settings, sort_keys=False))
        self.set_state("running")

    def set_state(self, state: State, error: str | None = None) -> None:
        """Replace status.json; a state ``failed`` is counted."""
        self._require_place()
        if state == "failed":
            self._facts["failures"] = self._facts.get("failures", 0) + 1
        status = {"state": state, "error": error} | self._facts | {"updated": now()}
        replace_file(self.path / STATUS, json.dumps(status, indent=2) + "\n")

    def _inode(self) -> int | None:
        try:
            return (self.path / LOCK).stat().st_ino
        except FileNotFoundError:
            return None

    def _require_place(self) -> None:
        """Refuse to write into a directory that was removed, and maybe made anew by another run.

        Raises:
            FileNotFoundError: it was.
        """
        if self._inode() != self._lock_file:
            what = "was removed while the run was working"
            raise FileNotFoundError(errno.ENOENT, what, str(self.path))

    def clear(self) -> None:
        """Forget all results of the run, before it is done again."""
        for path in self.path.iterdir():
            if path.name != LOCK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def load(self) -> list[dict[str, Any]]:
        """Return the finished steps of an earlier attempt.

        A state that cannot be read, is that of another run, or holds what no run can have counts
        as none, with a warning.
        """
        steps, trouble = self._read_state()
        if trouble and (self.path / STATE).exists():
            self.reject(trouble)
        return steps

    def reject(self, trouble: str) -> None:
        """Warn that the steps of an earlier attempt are of no use."""
        log.warning("%s is damaged (%s); starting from the beginning", self.path / STATE, trouble)

    def _read_state(self) -> tuple[list[dict[str, Any]], str]:
        """Return the finished steps, and what is wrong if they are none.

        Raises:
            InputError: the system does not read them now; another attempt may find them.
        """
        try:
            document = json.loads(regular_bytes(self.path / STATE))
            steps: list[dict[str, Any]] = document["steps"]
            if document["run"] != self.name:
                raise ValueError(f"it is the state of {document['run']}")
            if document["sha256"] != _checksum(self.name, steps):
                raise ValueError("checksum mismatch")
            if len(steps) > self._number_of_steps():
                raise ValueError(f"it holds {len(steps)} steps")
            if self._is_updating:
                updates_of(steps)
            else:
                check_stops(self._config, [record.stopping for record in cycles_of(steps)])
        except FileNotFoundError:
            return [], "it is missing"
        except OSError as error:
            raise cannot_read(str(self.path / STATE), error) from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            return [], first_line(error, typed=isinstance(error, KeyError))
        return steps, ""

    def save(
        self, steps: list[dict[str, Any]], tables: dict[str, str], *, last: bool = False
    ) -> None:
        """Commit the finished steps, then replace the CSV files (name to content) made of them.

        The state survives a power cut after every call, the tables after the ``last`` one: until
        then a run that goes on makes them again.
        """
        self._require_place()
        checksum = _checksum(self.name, steps)
        document = {"format": FORMAT_VERSION, "run": self.name, "sha256": checksum, "steps": steps}
        replace_file(self.path / STATE, json.dumps(document))
        for name, content in tables.items():
            replace_file(self.path / name, content, synced=last)
        for observer in self._observers:
            observer(steps)

    def watch(self, observer: Callable[[list[dict[str, Any]]], None]) -> None:
        """Call ``observer`` with all finished steps after every commit from now on."""
        self._observers.append(observer)


def _settings(config: RunConfig) -> dict[str, Any]:
    """Return everything that decides the result, and where the data lie."""
    ignored = HOW_TO_RUN
    if isinstance(config.task, UpdatingTask):
        ignored |= {"strategy", "batch", "n_initial", "initial", "n_cycles", "subset"}
    return without_added(
        {key: value for key, value in asdict(config).items() if key not in ignored}
    )


def without_added(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings, or some groups of them, less those that stand for what is done anyway.

    See ``ADDED``. The settings that are given are changed.
    """
    nothing: dict[str, Any] = {}
    for key, former in ADDED.items():
        *groups, last = key.split(".")
        group = reduce(lambda tree, name: tree.get(name, nothing), groups, settings)
        if group.get(last, ABSENT) == former:
            del group[last]
    return settings


def _digest(settings: dict[str, Any], contents: dict[str, str], places: frozenset[str]) -> str:
    """Return the run's identity: its settings, and the content of files instead of their place."""
    dataset = {k: v for k, v in settings["dataset"].items() if k not in places}
    backbone = {k: v for k, v in settings["backbone"].items() if k not in contents}
    replaced = {"dataset": dataset, "backbone": backbone, "sha256": contents}
    document = {"format": FORMAT_VERSION} | settings | replaced
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:8]


def _same(path: Path, settings: dict[str, Any]) -> bool:
    """Return whether a run's config.yaml has these settings."""
    try:
        found = yaml.safe_load(regular_bytes(path))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return False
    return bool(found == yaml.safe_load(yaml.safe_dump(settings)))


def _checksum(run: str, steps: list[dict[str, Any]]) -> str:
    document = {"format": FORMAT_VERSION, "run": run, "steps": steps}
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
